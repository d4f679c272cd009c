"""The verbs on the page of a continuation: GET asks, POST does, and who may not changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from continuations.admin import verbs
from continuations.models import Continuation, Event
from continuations.testing import run_enqueued
from continuations.transitions import VERBS, Status, allows

from . import states
from .jobs import Broken
from .pages import ALL, address, call, messages_of, source_of, staff, text_of

pytestmark = pytest.mark.django_db

# Each verb with a state for it, what its form takes, the permission, and the status afterwards.
CASES: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("pause", states.running, {}, "control", "pausing"),
    ("pause", states.interrupted, {}, "control", "paused"),
    ("resume", states.paused, {}, "control", "enqueued"),
    ("resume", states.pausing, {}, "control", "running"),
    ("cancel", states.running, {}, "control", "cancelling"),
    ("cancel", states.paused, {}, "control", "cancelled"),
    ("force-pause", states.deaf, {}, "control", "paused"),
    ("force-cancel", states.deaf_to_cancelling, {}, "control", "cancelled"),
    ("send", states.waiting_for_event, {"name": "approved", "payload": "5"}, "control", "enqueued"),
    ("retry", states.failed, {}, "retry", "enqueued"),
    ("rerun", states.succeeded, {"step": "load"}, "retry", "enqueued"),
    ("follow-up", states.follow_up_failed, {}, "retry", "succeeded"),
    ("cursor", states.failed, {"step": "break", "cursor": "4"}, "edit_cursor", "failed"),
]


def test_every_verb_is_tried() -> None:
    assert {slug for slug, *_ in CASES} == set(verbs.BY_SLUG)


def prepared(client: Client, row: Continuation, slug: str, data: dict[str, Any]) -> dict[str, Any]:
    """With what the page of the verb puts into its form."""
    if slug != "cursor":
        return data
    return {**data, "was": client.get(address(row, "verb", slug)).context["form"]["was"].value()}


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_a_verb_does_what_the_models_does(
    slug: str, state: Any, data: dict[str, Any], permission: str, after: str, mend: Callable[[], None]
) -> None:
    row, client = state(), staff("view", permission)
    mend()
    response = call(client, row, slug, **prepared(client, row, slug, data), reason="it is late")
    row.refresh_from_db()
    assert row.status == after, messages_of(response)
    assert response.redirect_chain == [(address(row), 302)]
    assert "is now" in messages_of(response)[0]


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_history_says_who_did_what_and_why(
    slug: str, state: Any, data: dict[str, Any], permission: str, after: str, mend: Callable[[], None]
) -> None:
    row, client = state(), staff("view", permission)
    mend()
    call(client, row, slug, **prepared(client, row, slug, data), reason="it is <b>late</b>")
    entry = LogEntry.objects.get(object_id=str(row.pk))
    assert entry.user.username == "sam"
    done = str(verbs.BY_SLUG[slug].done).format_map(data)
    assert entry.change_message == f"{done[0].upper()}{done[1:]} Reason: it is <b>late</b>"
    history = source_of(client, address(row, "history"))
    assert "Reason: it is &lt;b&gt;late&lt;/b&gt;" in history


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_without_its_permission_a_verb_is_refused_and_nothing_changes(
    slug: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = snapshot(row)
    client = staff(*(set(ALL) - {permission}))
    data = {"confirmed": "yes", **data}
    for asked in (client.get(address(row, "verb", slug)), client.post(address(row, "verb", slug), data)):
        assert asked.status_code == 403
    assert snapshot(row) == before
    assert f"/verb/{slug}/" not in source_of(client, row)


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_without_the_permission_to_view_no_verb_may_be_called(
    slug: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = snapshot(row)
    assert staff(permission).post(address(row, "verb", slug), {"confirmed": "yes", **data}).status_code == 403
    assert snapshot(row) == before


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_a_get_changes_nothing(
    admin_client: Client, slug: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = snapshot(row)
    for method in (admin_client.get, admin_client.head, admin_client.options, admin_client.put):
        method(address(row, "verb", slug), {"confirmed": "yes", **data})
    assert snapshot(row) == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_a_post_without_a_csrf_token_is_refused(
    slug: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = snapshot(row)
    client = staff(*ALL, enforce_csrf_checks=True)
    assert client.post(address(row, "verb", slug), {"confirmed": "yes", **data}).status_code == 403
    assert snapshot(row) == before


@pytest.mark.parametrize(("slug", "state", "data", "permission", "after"), CASES)
def test_somebody_who_is_not_signed_in_is_sent_to_the_login(
    client: Client, slug: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = snapshot(row)
    response = client.post(address(row, "verb", slug), {"confirmed": "yes", **data})
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")
    assert snapshot(row) == before


def snapshot(row: Continuation) -> list[Any]:
    """Everything stored of it."""
    steps = list(row.steps.order_by("position").values())
    return [Continuation.objects.filter(pk=row.pk).values().get(), steps, list(row.events.values())]


# Confirmation


@pytest.mark.parametrize(
    ("slug", "state", "data"),
    [
        ("cancel", states.paused, {}),
        ("force-pause", states.deaf, {}),
        ("rerun", states.succeeded, {"step": "load"}),
        ("cursor", states.failed, {"step": "break", "cursor": "4"}),
    ],
)
def test_what_is_destructive_asks_first_and_says_what_that_means(
    admin_client: Client, slug: str, state: Any, data: dict[str, Any]
) -> None:
    row = state()
    before = snapshot(row)
    response = admin_client.post(address(row, "verb", slug), {**data, "reason": "it is late"})
    assert response.status_code == 200
    source = response.content.decode()
    for heading in ("Kept", "Repeated", "Not undone"):
        assert f"<dt>{heading}</dt>" in source
    assert 'value="it is late"' in source
    assert 'name="confirmed"' in source
    assert snapshot(row) == before


def test_running_again_says_which_steps_are_kept_and_which_repeated(admin_client: Client) -> None:
    text = text_of(admin_client, f"{address(states.succeeded(), 'verb', 'rerun')}?step=load")
    assert "Kept “check”, with results." in text
    assert "Repeated “load” and “publish”, from the start." in text


def test_running_again_asks_from_which_step_first(admin_client: Client) -> None:
    row = states.succeeded()
    source = source_of(admin_client, address(row, "verb", "rerun"))
    assert 'name="confirmed"' not in source
    for step in ("check", "load", "publish"):
        assert f'href="{address(row, "verb", "rerun")}?step={step}"' in source


def test_running_again_can_keep_the_cursor(admin_client: Client) -> None:
    row = states.succeeded()
    call(admin_client, row, "rerun", step="load", keep_cursor="on")
    step = row.steps.get(name="load")
    assert (step.status, step.cursor) == ("running", 10)
    assert "Its cursor was kept." in LogEntry.objects.get().change_message


def test_running_again_forgets_the_cursor_otherwise(admin_client: Client) -> None:
    row = states.succeeded()
    call(admin_client, row, "rerun", step="load")
    assert list(row.steps.values_list("name", flat=True)) == ["check"]


def test_a_step_that_is_not_there_changes_nothing(admin_client: Client) -> None:
    row = states.succeeded()
    response = call(admin_client, row, "rerun", step="dance")
    assert "has no step 'dance'" in messages_of(response)[0]
    row.refresh_from_db()
    assert row.status == "succeeded"


# What is offered


def offered(client: Client, row: Continuation) -> list[str]:
    return [control.verb.slug for control in client.get(address(row)).context["controls"]]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (states.enqueued, ["pause", "send", "cancel"]),
        (states.running, ["pause", "send", "cancel"]),
        (states.interrupted, ["pause", "send", "cursor", "cancel"]),
        (states.waiting_for_event, ["pause", "send", "cancel"]),
        (states.pausing, ["resume", "send", "cancel"]),
        (states.deaf, ["resume", "send", "force-pause", "cancel"]),
        (states.paused, ["resume", "send", "cursor", "rerun", "cancel"]),
        (states.cancelling, ["send"]),
        (states.cancelled, ["rerun"]),
        (states.succeeded, ["rerun"]),
        (states.follow_up_failed, ["follow-up"]),
        (states.failed, ["retry", "send", "cursor", "rerun"]),
        (states.discarded, ["rerun"]),
    ],
)
def test_only_what_is_legal_now_is_offered(admin_client: Client, state: Any, expected: list[str]) -> None:
    assert offered(admin_client, state()) == expected


@pytest.mark.parametrize("slug", verbs.BY_SLUG)
@pytest.mark.parametrize("state", states.STATES)
def test_what_is_not_offered_is_refused_with_a_message(admin_client: Client, state: Any, slug: str) -> None:
    row = state()
    if slug in offered(admin_client, row):
        return
    before = snapshot(row)
    response = call(admin_client, row, slug, step="load", name="x", cursor="1")
    assert response.status_code == 200
    assert "Nothing was changed" in messages_of(response)[0]
    assert snapshot(row) == before


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", VERBS)
def test_the_table_of_verbs_says_what_the_verbs_do(name: str, status: Status) -> None:
    """What is offered is asked of the table, so it must not promise more or less than the model does."""
    from continuations.errors import TransitionError

    row = states.interrupted()
    Continuation.objects.update(
        status=status, follow_up_failed_at=row.created_at if status == Status.SUCCEEDED else None
    )
    row.refresh_from_db()
    arguments: dict[str, tuple[Any, ...]] = {"rerun_from": ("load",), "set_cursor": ("load", 1), "send": ("x", None)}
    try:
        getattr(row, name)(*arguments.get(name, ()))
    except TransitionError:
        assert not allows(name, status)
    else:
        assert allows(name, status)


def test_the_recommended_button_is_the_first(admin_client: Client) -> None:
    for state, slug in ((states.failed, "retry"), (states.paused, "resume"), (states.waiting_for_event, "send")):
        controls = admin_client.get(address(state())).context["controls"]
        assert [control.verb.slug for control in controls if control.is_recommended] == [slug]


def test_what_is_not_destructive_is_one_press_away_with_a_reason(admin_client: Client) -> None:
    row = states.running()
    source = source_of(admin_client, row)
    assert f'formaction="{address(row, "verb", "pause")}" formmethod="post"' in source
    assert 'name="reason"' in source
    admin_client.post(address(row, "verb", "pause"), {"reason": "deploy"})
    row.refresh_from_db()
    assert (row.status, row.request_by, row.request_reason) == ("pausing", "admin", "deploy")


# Going wrong


def test_a_state_that_changed_meanwhile_is_a_message(admin_client: Client) -> None:
    row = states.paused()
    admin_client.get(address(row, "verb", "cancel"))
    row.resume()
    run_enqueued()
    response = call(admin_client, row, "cancel")
    assert "it is succeeded, and that does not allow it" in messages_of(response)[0]


def test_an_error_of_a_verb_is_a_message(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from continuations.errors import BusyError

    row = states.paused()

    def busy(*_: Any, **__: Any) -> None:
        raise BusyError("somebody else is at it")

    monkeypatch.setattr(Continuation, "resume", busy)
    response = call(admin_client, row, "resume")
    assert messages_of(response) == ["Nothing was changed: somebody else is at it"]
    assert not LogEntry.objects.exists()


def test_what_a_follow_up_raises_is_a_message(admin_client: Client) -> None:
    row = states.follow_up_failed()
    response = call(admin_client, row, "follow-up")
    assert "on_success raised RuntimeError: no mail today" in messages_of(response)[0]
    row.refresh_from_db()
    assert row.follow_up_failed_at is not None
    assert not LogEntry.objects.exists()


def test_a_continuation_that_is_gone_is_a_message(admin_client: Client) -> None:
    row = states.paused()
    where = address(row, "verb", "resume")
    row.delete()
    response = admin_client.post(where, follow=True)
    assert messages_of(response) == ["There is no such continuation any more."]


def test_one_that_is_deleted_under_the_verb_is_a_message(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = states.paused()
    is_offered = verbs.Verb.is_offered

    def deleted(verb: verbs.Verb, page: Any) -> bool:
        answer = is_offered(verb, page)
        Continuation.objects.all().delete()
        return answer

    monkeypatch.setattr(verbs.Verb, "is_offered", deleted)
    response = admin_client.post(address(row, "verb", "resume"), follow=True)
    assert "there is no continuation" in messages_of(response)[0]


def test_a_verb_that_does_not_exist_is_not_found(admin_client: Client) -> None:
    row = states.paused()
    assert admin_client.post(address(row, "verb", "explode")).status_code == 404
    assert admin_client.post("/admin/continuations/continuation/no-uuid/verb/pause/").status_code == 302


def test_a_reason_that_is_too_long_is_refused(admin_client: Client) -> None:
    row = states.paused()
    response = admin_client.post(address(row, "verb", "resume"), {"reason": "x" * 256})
    assert response.status_code == 200
    assert "at most 255 characters" in response.content.decode()
    row.refresh_from_db()
    assert row.status == "paused"


# Events


def test_an_event_brings_its_payload_with_its_types(admin_client: Client) -> None:
    row = states.waiting_for_event()
    call(admin_client, row, "send", name="approved", payload='{"on": {"$": "date", "v": "2026-01-31"}, "by": "ana"}')
    event = Event.objects.get()
    assert event.payload_json == '{"on":{"$":"date","v":"2026-01-31"},"by":"ana"}'
    run_enqueued()
    row.refresh_from_db()
    assert row.result["by"] == "ana"


def test_an_event_needs_no_payload(admin_client: Client) -> None:
    row = states.waiting_for_event()
    call(admin_client, row, "send", name="approved", payload="")
    assert Event.objects.get().payload_json is None


def test_the_event_that_is_waited_for_is_named_already(admin_client: Client) -> None:
    source = source_of(admin_client, address(states.waiting_for_event(), "verb", "send"))
    assert 'name="name" value="approved"' in source


@pytest.mark.parametrize(
    ("name", "payload"),
    [("", "5"), ("x" * 201, "5"), ("approved", "{"), ("approved", '{"$":"nothing","v":1}'), ("approved", "[" * 9999)],
)
def test_an_event_that_cannot_be_sent_is_refused(admin_client: Client, name: str, payload: str) -> None:
    row = states.waiting_for_event()
    response = call(admin_client, row, "send", name=name, payload=payload)
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert not Event.objects.exists()


def test_a_payload_is_not_told_to_the_history(admin_client: Client) -> None:
    call(admin_client, states.waiting_for_event(), "send", name="approved", payload='{"password": "hunter22"}')
    assert LogEntry.objects.get().change_message == "Sent it event “approved”."


def test_a_retry_goes_on_where_it_failed(admin_client: Client, mend: Callable[[], None]) -> None:
    row = states.failed()
    mend()
    call(admin_client, row, "retry")
    run_enqueued(Broken)
    row.refresh_from_db()
    assert row.status == "succeeded"
