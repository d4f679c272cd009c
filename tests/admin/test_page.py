"""The page of one continuation: its answers, its tables, its values."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from continuations.masking import MASK
from continuations.models import Continuation, Event, Execution, StepRecord
from continuations.testing import interrupt_during, run_until_finished

from . import states
from .jobs import Approval, Broken, Days, Import, Parent
from .pages import address, source_of, staff, text_of

pytestmark = pytest.mark.django_db

# What each state's page must say, in the order of its questions.
SAID = {
    states.enqueued: ["enqueued", "Not now. It waits for a worker", "It has not started yet.", "at the beginning"],
    states.running: [
        "running",
        "step 2 · 6 of 10 (60 %) · 2.0 a second · 2.0 s left",
        "Yes, 2.0 a second. Last sign of life",
        "process",
        "this is its first execution",
        "To leave it alone. Pausing stops it at its next checkpoint",
        "2.0 s of work in step “load”",
    ],
    states.stalled: ["stalled", "It is stalled. Last sign of life 20 min ago", "To look at its worker"],
    states.interrupted: [
        "interrupted",
        "Execution 1: interrupted (the worker was told to stop).",
        "it goes on in step “load” at cursor 4",
    ],
    states.waiting_for_event: ["No, it rests", "It waits for event “approved”.", "To send event “approved”"],
    states.waiting_with_time_out: ["It waits for event “approved”; it gives up in"],
    states.sleeping: ["It sleeps and goes on in", "it goes on by itself once the time has come"],
    states.backing_off: ["It rests and goes on", "ConnectionError: no route (Tries at this place so far: 1)"],
    states.waiting_for_children: ["0 of 2 children", "It waits for its children", "once its children have ended"],
    states.pausing: ["Asked by ana", "Reason: deploy", "It stops at its next checkpoint.", "forced after five minutes"],
    states.deaf: ["Asked by ana", "or to take it away by force"],
    states.paused: [
        "No, it is paused.",
        "It was paused. Last request by ana",
        "Reason: deploy",
        "To resume it: it goes on in step “load”",
    ],
    states.paused_by_limit: ["continuations.errors.ResumeLimitError", "To resume it"],
    states.cancelling: ["Asked by ana", "Reason: wrong file"],
    states.cancelled: ["No, it has ended:", "Asked by ana", "It can be run again from a step"],
    states.succeeded: ["No, it has ended:", "It came to its end.", "Nothing needs to be done.", "It has ended."],
    states.failed: ["ValueError: row 67,543 is bad", "To retry it once the cause is mended", "at cursor 3"],
    states.discarded: ["An error that the job discards: KeyError: 'nothing'"],
    states.follow_up_failed: ["what follows its success failed", "To follow up again"],
}


@pytest.mark.parametrize("state", states.STATES)
def test_the_page_answers_what_somebody_asks_at_three_in_the_morning(admin_client: Client, state: Any) -> None:
    row = state()
    assert row.status == states.STATES[state]
    text = text_of(admin_client, row)
    at = 0
    for said in SAID[state]:
        assert said in text[at:], (said, text[at:])
        at += text[at:].index(said)
    for question in ("Is it moving?", "On which worker?", "What is safe now?", "How long left?"):
        assert question in text


def test_it_says_whether_workers_listen_on_its_queue(admin_client: Client, redis_url: str, worker_on: Any) -> None:
    row = states.enqueued()
    assert "No worker listens there; start one: manage.py rqworker imports" in text_of(admin_client, row)
    worker_on("imports")
    assert "Workers listen there." in text_of(admin_client, row)


def test_a_request_of_before_the_last_execution_is_not_why_it_is_paused_now(admin_client: Client) -> None:
    row = states.paused_by_limit()
    Continuation.objects.filter(pk=row.pk).update(
        request_by="ana", request_reason="lunch", requested_at=row.created_at - dt.timedelta(days=1)
    )
    answers = {each.question: str(each.text) for each in admin_client.get(address(row)).context["page"].answers}
    assert "ResumeLimitError" in answers["Why did it stop?"]
    assert "lunch" not in answers["Why did it stop?"]


# Steps and executions


def test_every_step_shows_state_cursor_result_counts_and_rate(admin_client: Client) -> None:
    text = text_of(admin_client, states.running())
    assert "1 check completed" in text
    assert '{"rows": 10}' in text
    assert "2 load running 6 of 10 (60 %) · 2.0 a second 6" in text


def test_every_execution_shows_worker_wait_run_cursors_and_why_it_ended(admin_client: Client) -> None:
    row = states.succeeded()
    start = row.created_at
    for number, (begin, end) in enumerate([(5, 35), (95, 100), (200, 3900)], start=1):
        Execution.objects.filter(continuation=row, number=number).update(
            worker=f"web-{number}",
            host="vm1",
            pid=41 + number,
            started_at=start + dt.timedelta(seconds=begin),
            finished_at=start + dt.timedelta(seconds=end),
        )
    lines = admin_client.get(address(row)).context["page"].executions
    assert [(line.record.number, line.waited, line.ran) for line in lines] == [
        (3, "1 min 40 s", "1 h 1 min"),
        (2, "1 min", "5.0 s"),
        (1, "5.0 s", "30 s"),
    ]
    assert [(line.before, line.after) for line in lines] == [("6", ""), ("3", "6"), ("", "3")]
    assert [line.why for line in lines] == ["", "the worker was told to stop", "the worker was told to stop"]
    text = text_of(admin_client, row)
    assert "2 web-2 vm1 · 43" in text


def test_steps_to_come_are_those_of_the_last_of_its_class_that_succeeded(admin_client: Client) -> None:
    run_until_finished(Import.enqueue("before"))
    text = text_of(admin_client, states.running())
    assert "step 2 of 3" in text
    assert "3 publish to come" in text


def test_steps_to_come_are_not_guessed_where_it_went_another_way(admin_client: Client) -> None:
    before = run_until_finished(Import.enqueue("before"))
    StepRecord.objects.filter(continuation=before, name="check").update(name="survey")
    text = text_of(admin_client, states.running())
    assert "to come" not in text
    assert "step 2 ·" in text


def test_idle_time_is_folded(admin_client: Client) -> None:
    """Two executions of a minute, with a night between them."""
    row = states.succeeded()
    Execution.objects.filter(continuation=row, number=3).delete()
    start = row.created_at
    hours = [(0, 1 / 60), (10, 10 + 1 / 60)]
    for number, (begin, end) in enumerate(hours, start=1):
        Execution.objects.filter(continuation=row, number=number).update(
            started_at=start + dt.timedelta(hours=begin), finished_at=start + dt.timedelta(hours=end)
        )
    StepRecord.objects.filter(continuation=row, name="load").update(
        started_at=start, finished_at=start + dt.timedelta(hours=11)
    )
    timeline = admin_client.get(address(row)).context["page"].timeline
    first, second = timeline.segments
    assert first.right - first.left == pytest.approx(second.right - second.left)
    assert second.left - first.right == pytest.approx(0.03)
    assert second.right == pytest.approx(1)
    assert "9 h 59 min in which nothing ran are folded" in text_of(admin_client, row)
    assert source_of(admin_client, row).count("continuations-fold") >= 1


def test_a_cursor_can_be_copied_with_a_script_and_selected_without(admin_client: Client) -> None:
    source = source_of(admin_client, states.running())
    assert '<code id="continuations-cursor-2">6</code>' in source
    button = re.search(r'<button[^>]*data-continuations-copy="continuations-cursor-2"[^>]*>', source)
    assert button is not None
    assert " hidden" in button[0]
    assert 'aria-label="Copy 6"' in button[0]


def test_a_long_cursor_is_folded(admin_client: Client) -> None:
    row = states.running()
    StepRecord.objects.filter(continuation=row, name="load").update(cursor_json=f'"{"x" * 20_000}"')
    source = source_of(admin_client, row)
    assert "<summary><code>&quot;xxxx" in source
    assert len(source) < 60_000


def test_types_of_values_are_readable(admin_client: Client) -> None:
    row = Days.enqueue()
    with interrupt_during(Days, "days", dt.date(2026, 2, 1)):
        states.once(row)
    assert "at cursor 2026-02-01" in text_of(admin_client, row)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("null", "null"),
        ('"text"', '"text"'),
        ('{"$":"tuple","v":[58213,{"$":"date","v":"2026-01-31"}]}', "(58213, 2026-01-31)"),
        ('{"$":"datetime","v":["2026-01-31T03:00:00","Europe/Berlin",0]}', "2026-01-31T03:00:00 Europe/Berlin"),
        ('{"$":"timedelta","v":[1,3600,5]}', "1 d 3600 s 5 µs"),
        ('{"$":"decimal","v":"1.50"}', "1.50"),
        ('{"$":"set","v":[1,2]}', "{1, 2}"),
        ('{"$":"dict","v":[[1,"one"]]}', '{1: "one"}'),
        ('{"$":"enum","v":["shop","Colour","RED"]}', "Colour.RED"),
        ('{"$":"model","v":["shop.product",7,"default"]}', "shop.product 7"),
        ('{"$":"bytes","v":"AAA="}', "bytes AAA="),
        ('{"$":"unheard","v":[1]}', '{"$": "unheard", "v": [1]}'),
        ('{"a":[1.5,true,null]}', '{"a": [1.5, true, null]}'),
        ("no JSON", '"no JSON"'),
        ("[" * 100_000, None),
    ],
)
def test_a_stored_value_is_shown_without_being_rebuilt(stored: str, shown: str | None) -> None:
    from continuations.admin.plain import readable

    assert readable(stored) == shown if shown is not None else readable(stored)


# Errors and values


def test_an_error_shows_the_frames_of_the_project_first_and_all_of_it_behind(admin_client: Client) -> None:
    row = states.failed()
    page = admin_client.get(address(row)).context["page"]
    assert [frame.name for frame in page.trace.frames] == ["fail", "perform"]
    assert "raise ValueError" in page.trace.frames[0].code
    source = source_of(admin_client, row)
    assert "Traceback (most recent call last)" in source
    assert source.index("continuations-frames") < source.index("Traceback (most recent call last)")


def test_frames_of_libraries_are_not_the_projects() -> None:
    from continuations.admin.traces import Trace

    text = (
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/jobs.py", line 12, in load\n    self.fetch()\n    ~~~~~~~~~~^^\n'
        '  File "/usr/lib/python3.12/json/decoder.py", line 355, in raw_decode\n    raise JSONDecodeError\n'
        '  File "/srv/.venv/lib/python3.12/site-packages/requests/api.py", line 59, in get\n    return request()\n'
        '  File "<frozen importlib._bootstrap>", line 1, in load\n'
        "ValueError: no\n"
    )
    assert [(frame.path, frame.line, frame.code) for frame in Trace("ValueError", "no", text).frames] == [
        ("/srv/shop/jobs.py", "12", "self.fetch()")
    ]


def test_arguments_are_named_and_secrets_masked(admin_client: Client) -> None:
    row = Import.enqueue("airports.csv", "hunter22", 5, token2="visible", nested={"Token": "hunter23", "page": 2})
    text = text_of(admin_client, row)
    for said in ('path "airports.csv"', f"token {MASK}", "more 5", 'token2 "visible"', f'"Token": "{MASK}", "page": 2'):
        assert said in text
    assert "hunter2" not in source_of(admin_client, row)


def test_secrets_are_masked_in_attributes_cursors_results_and_payloads(admin_client: Client) -> None:
    row = Import.enqueue("airports.csv")
    with interrupt_during(Import, "load", 4):
        states.once(row)
    secret = '{"token":"hunter22","rest":1}'
    StepRecord.objects.filter(continuation=row).update(
        attributes_json='{"skipped":2,"token":"hunter22"}', cursor_json=secret, result_json=secret
    )
    Execution.objects.update(cursor_before_json=secret, cursor_after_json=secret)
    Continuation.objects.update(result_json=secret, context={"token": "hunter22", "tenant": "acme"})
    Event.objects.create(continuation=row, name="approved", payload_json=secret)
    source = source_of(admin_client, row)
    assert "hunter22" not in source
    text = text_of(admin_client, row)
    assert text.count(f'{{"token": "{MASK}", "rest": 1}}') >= 6
    assert 'tenant "acme"' in text


def test_secrets_are_masked_in_errors_and_tracebacks(admin_client: Client) -> None:
    row = states.once(Broken.enqueue("hunter22"))
    assert "hunter22" in row.error_message
    text = text_of(admin_client, row)
    assert f"the server said no to {MASK}" in text
    assert "hunter22" not in source_of(admin_client, row)


def test_all_values_are_masked_when_the_job_class_is_gone(admin_client: Client) -> None:
    row = states.once(Import.enqueue("airports.csv", "hunter22"))
    Continuation.objects.update(job_path="nowhere.Gone")
    source = source_of(admin_client, row)
    assert "airports.csv" not in source
    assert "hunter22" not in source
    assert "so nobody knows what is sensitive" in source
    assert "nowhere.Gone" in source


def test_the_page_renders_when_what_is_stored_cannot_be_read(admin_client: Client) -> None:
    row = states.running()
    Continuation.objects.update(arguments_json="{", context=[])
    StepRecord.objects.update(cursor_json="{", result_json='{"$":1}', attributes_json="[1]")
    assert "running" in text_of(admin_client, row)


def test_events_parent_and_children_are_shown(admin_client: Client) -> None:
    row = states.waiting_for_event()
    row.send("payment", {"amount": 5})
    assert re.search(r'payment .* \{"amount": 5\}', text_of(admin_client, row))
    parent = states.waiting_for_children()
    child = parent.children.first()
    assert child is not None
    assert str(child) in text_of(admin_client, parent)
    assert f"Enqueued by {parent}" in text_of(admin_client, child)


def test_progress_of_a_parent_is_that_of_its_children(admin_client: Client) -> None:
    """One has ended, one is half way, two have not begun: 1.5 of 4."""
    parent = states.once(Parent.enqueue(4))
    first, second, *_ = parent.children.order_by("created_at")
    run_until_finished(first)
    with interrupt_during(Import, "load", 5):
        states.once(second)
    page = admin_client.get(address(parent)).context["page"]
    assert page.family.fraction == pytest.approx(1.5 / 4)
    assert 'value="37.5"' in str(page.bar)
    assert "1 of 4 children" in page.bar_text
    text = text_of(admin_client, parent)
    assert "2 enqueued" in text
    assert "1 interrupted" in text
    assert "1 succeeded" in text


def test_it_links_to_the_job_in_django_rq(admin_client: Client, client: Client) -> None:
    row = states.waiting_for_event()
    row.send("approved")
    row.refresh_from_db()
    assert f"/c-{row.pk}-{row.delivery}/" in source_of(admin_client, row)
    assert row.delivery > 0


def test_without_a_known_queue_there_is_no_link_to_django_rq(admin_client: Client) -> None:
    row = Import.enqueue("x")
    Continuation.objects.update(queue_name="gone")
    assert "Open in RQ" not in source_of(admin_client, row)


# Who, and how much


def test_who_may_view_continuations_sees_the_page_without_buttons(client: Client) -> None:
    row = states.failed()
    text = text_of(staff("view"), row)
    assert "To retry it" in text
    assert "You lack the permission for some of what could be done now." in text
    assert "Run again" not in text


def test_who_may_not_view_continuations_sees_nothing() -> None:
    row = states.failed()
    client = staff("control", "retry", "edit_cursor")
    assert client.get(address(row)).status_code == 403
    assert client.get("/admin/continuations/continuation/").status_code == 403


def test_columns_cannot_be_edited_and_nothing_can_be_added(admin_client: Client) -> None:
    row = states.succeeded()
    assert admin_client.post(address(row), {"status": "failed", "queue_name": "slow"}).status_code == 403
    assert admin_client.get("/admin/continuations/continuation/add/").status_code == 403
    assert admin_client.post("/admin/continuations/continuation/add/", {"job_path": "x"}).status_code == 403
    row.refresh_from_db()
    assert (row.status, row.queue_name) == ("succeeded", "imports")


def queries(client: Client, row: Continuation) -> int:
    client.get(address(row))
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address(row)).status_code == 200
    return len(captured)


def test_the_page_takes_as_many_queries_whatever_it_has_been_through(admin_client: Client) -> None:
    """Session, user, row; what would change it; steps, executions, events, children, steps to come."""
    row = states.interrupted()
    assert queries(admin_client, row) == 9
    for cursor in range(5, 10):
        with interrupt_during(Import, "load", cursor):
            states.once(row)
    row.send("one")
    row.send("two")
    assert queries(admin_client, row) == 9


def test_the_page_of_a_parent_takes_as_many_queries_for_any_number_of_children(admin_client: Client) -> None:
    counts = {queries(admin_client, states.once(Parent.enqueue(number))) for number in (1, 30)}
    assert counts == {12}


def test_what_is_long_is_cut_and_counted(admin_client: Client) -> None:
    row = states.interrupted()
    execution = Execution.objects.get(continuation=row)
    for number in range(2, 62):
        execution.pk, execution.number = None, number
        execution.pk = Execution._meta.pk.get_default()
        execution.save(force_insert=True)
    Continuation.objects.filter(pk=row.pk).update(executions=61)
    page = admin_client.get(address(row)).context["page"]
    assert len(page.executions) == 50
    assert page.executions[0].record.number == 61
    assert "11 earlier executions are not shown." in text_of(admin_client, row)


def test_a_parent_lists_those_of_its_children_first_that_failed(admin_client: Client) -> None:
    parent = states.once(Parent.enqueue(25))
    last = parent.children.order_by("-created_at").first()
    assert last is not None
    Continuation.objects.filter(pk=last.pk).update(status="failed")
    page = admin_client.get(address(parent)).context["page"]
    assert len(page.family.listed) == 20
    assert page.family.listed[0].pk == last.pk
    assert "and 5 more" in text_of(admin_client, parent)


def test_an_approval_that_was_given_shows_what_it_brought(admin_client: Client) -> None:
    row = states.once(Approval.enqueue())
    row.send("approved", {"by": "ana", "password": "hunter22"})
    row = run_until_finished(row)
    text = text_of(admin_client, row)
    assert f'{{"by": "ana", "password": "{MASK}"}}' in text
    assert "approved waits for an event" in text
