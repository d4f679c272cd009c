"""The list: what it shows, what it can be narrowed to, and that it stays quick."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from continuations.admin import paginator
from continuations.models import Continuation, StepRecord
from continuations.testing import run_until_finished

from . import states
from .jobs import Broken, Days, Import
from .pages import LIST, source_of, text_of

pytestmark = pytest.mark.django_db


def queries(client: Client, where: str) -> CaptureQueriesContext:
    client.get(where)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(where).status_code == 200
    return captured


# What it shows


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (states.enqueued, "enqueued"),
        (states.running, "running 2: load 6 of 10 (60 %) · 2.0 a second · 2.0 s left"),
        (states.stalled, "stalled 2: load"),
        (states.interrupted, "interrupted the worker was told to stop 2: load 4 of 10 (40 %)"),
        (states.waiting_for_event, "waiting for approved 1: approved"),
        (states.waiting_for_children, "waiting for children 2: children"),
        (states.backing_off, "waiting in"),
        (states.pausing, "pausing by ana"),
        (states.paused, "paused by ana"),
        (states.cancelling, "cancelling by ana"),
        (states.cancelled, "cancelled by ana"),
        (states.succeeded, "succeeded 3 steps"),
        (states.failed, "failed 2: break"),
        (states.discarded, "discarded 1: look"),
        (states.follow_up_failed, "follow-up failed"),
    ],
)
def test_a_row_says_in_words_how_it_is(admin_client: Client, state: Any, said: str) -> None:
    row = state()
    Continuation.objects.exclude(pk=row.pk).delete()
    text = text_of(admin_client, LIST)
    assert said in text
    assert str(row.pk)[-6:] in text


def test_an_error_is_shown_with_the_beginning_of_its_message(admin_client: Client) -> None:
    states.discarded()
    assert "KeyError 'nothing'" in text_of(admin_client, LIST)


def test_the_message_of_an_error_is_not_shown_where_it_may_hold_a_secret(admin_client: Client) -> None:
    """The arguments are not loaded, so it could not be found in it."""
    states.failed()
    text = text_of(admin_client, LIST)
    assert "ValueError" in text
    assert "the server said no" not in text


def test_progress_beyond_the_total_is_no_share(admin_client: Client) -> None:
    row = states.running()
    StepRecord.objects.filter(continuation=row, name="load").update(processed=12)
    assert "12, 10 expected" in text_of(admin_client, LIST)


def test_progress_without_a_total_is_a_count(admin_client: Client) -> None:
    row = states.running()
    StepRecord.objects.filter(continuation=row, name="load").update(processed=9112, total=None)
    text = text_of(admin_client, LIST)
    assert "9,112" in text
    assert "<progress" not in source_of(admin_client, LIST)


def test_a_bar_has_a_name_and_a_value_in_every_language(admin_client: Client, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    settings.USE_THOUSAND_SEPARATOR = True
    row = states.running()
    StepRecord.objects.filter(continuation=row, name="load").update(processed=12345, total=100_000)
    source = source_of(admin_client, LIST)
    assert re.search(r'value="12\.3" max="100" aria-label="[^"]*load[^"]*"', source)
    assert "12.345" in source


# Filters


def shown(client: Client, query: str) -> set[str]:
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200, response
    return {str(row.pk) for row in response.context["cl"].result_list}


def test_it_can_be_filtered_by_status_class_queue_and_age(admin_client: Client) -> None:
    failed, succeeded, enqueued = states.failed(), states.succeeded(), states.enqueued()
    Continuation.objects.filter(pk=enqueued.pk).update(created_at=timezone.now() - dt.timedelta(hours=2))
    assert shown(admin_client, "status__exact=failed") == {str(failed.pk)}
    assert shown(admin_client, "job=tests.admin.jobs.Import") == {str(succeeded.pk), str(enqueued.pk)}
    assert shown(admin_client, "queue=default") == {str(failed.pk)}
    assert shown(admin_client, "age=1") == {str(failed.pk), str(succeeded.pk)}
    assert shown(admin_client, "age=24&queue=imports") == {str(succeeded.pk), str(enqueued.pk)}
    assert shown(admin_client, "age=1;drop") == {str(failed.pk), str(succeeded.pk), str(enqueued.pk)}


def test_what_needs_attention_can_be_listed(admin_client: Client) -> None:
    needing = [states.failed(), states.stalled(), states.deaf(), states.follow_up_failed(), states.paused_by_limit()]
    for calm in (states.enqueued, states.running, states.paused, states.succeeded, states.discarded):
        calm()
    assert shown(admin_client, "attention=yes") == {str(row.pk) for row in needing}


def test_what_is_stalled_can_be_listed(admin_client: Client) -> None:
    states.running()
    stalled = states.stalled()
    assert shown(admin_client, "attention=stalled") == {str(stalled.pk)}


def test_what_waits_where_no_worker_listens_needs_attention(
    admin_client: Client, redis_url: str, worker_on: Any
) -> None:
    heard, unheard = Broken.enqueue(), Import.enqueue("x")
    worker_on("default")
    assert shown(admin_client, "attention=yes") == {str(unheard.pk)}
    worker_on("imports")
    assert shown(admin_client, "attention=yes") == set()
    assert {str(heard.pk), str(unheard.pk)} == shown(admin_client, "")


def test_the_choices_of_filters_come_from_code(admin_client: Client) -> None:
    """DISTINCT over a million rows takes a second."""
    text = text_of(admin_client, LIST)
    for choice in ("Broken", "Days", "imports", "slow", "Last hour", "Needs attention"):
        assert choice in text
    assert not any("DISTINCT" in query["sql"] for query in queries(admin_client, LIST).captured_queries)


def test_only_classes_that_can_run_are_offered(admin_client: Client) -> None:
    source = admin_client.get(LIST).content.decode()
    assert "?job=tests.admin.jobs.Import" in source
    assert "?job=tests.admin.jobs.Base" not in source


def test_a_class_that_is_gone_can_still_be_filtered_by(admin_client: Client) -> None:
    row = Import.enqueue("x")
    Continuation.objects.update(job_path="nowhere.Gone")
    assert shown(admin_client, "job=nowhere.Gone") == {str(row.pk)}
    assert "Gone" in text_of(admin_client, f"{LIST}?job=nowhere.Gone")


# Search


def test_it_is_searched_by_id_rq_id_class_prefix_and_key(admin_client: Client) -> None:
    row, other = Import.enqueue("x"), Days.enqueue()
    Continuation.objects.filter(pk=other.pk).update(key="import:7")
    for term in (str(row.pk), str(row.pk).upper(), row.pk.hex, f"c-{row.pk}", f"c-{row.pk}-12", "imp", "Import"):
        assert shown(admin_client, f"q={term}") == {str(row.pk)}, term
    for term in ("import:7", "tests.admin.jobs.Days", "tests.admin.jobs.da", "  days "):
        assert shown(admin_client, f"q={term}") == {str(other.pk)}, term
    for term in ("nothing", "ort", "%", "c-1234"):
        assert shown(admin_client, f"q={term}") == set(), term


def test_the_key_of_what_has_ended_is_found(admin_client: Client) -> None:
    row = run_until_finished(Import.enqueue("x"))
    Continuation.objects.filter(pk=row.pk).update(key="import:8", active_key=None)
    assert shown(admin_client, "q=import:8") == {str(row.pk)}


# Banners


def test_a_banner_counts_what_is_stalled_and_leads_there(admin_client: Client) -> None:
    stalled = [states.stalled(), states.stalled()]
    source = source_of(admin_client, LIST)
    assert "2 jobs are stalled: they have given no sign of life for 10 min." in source
    assert 'href="?attention=stalled"' in source
    assert len(stalled) == 2


def test_a_banner_says_that_redis_did_not_answer(admin_client: Client) -> None:
    assert "Redis did not answer, so nobody knows whether workers listen." in text_of(admin_client, LIST)


def test_a_banner_names_a_queue_on_which_jobs_wait_and_no_worker_listens(
    admin_client: Client, redis_url: str, worker_on: Any
) -> None:
    Import.enqueue("x")
    worker_on("slow")
    source = source_of(admin_client, LIST)
    assert "No worker listens on queue “imports”, and jobs wait there." in source
    assert 'href="?queue=imports&amp;status__exact=enqueued"' in source
    assert "queue “default”" not in source
    assert "queue “slow”" not in source
    worker_on("imports")
    assert "No worker listens" not in text_of(admin_client, LIST)


def test_a_worker_that_was_killed_does_not_listen(admin_client: Client, redis_url: str, worker_on: Any) -> None:
    """RQ keeps its name in the queue's set until another one starts."""
    Import.enqueue("x")
    worker_on("imports", alive=False)
    assert "No worker listens on queue “imports”" in text_of(admin_client, LIST)


# A million rows


@pytest.mark.parametrize("count", [0, 1, 60])
@pytest.mark.parametrize("query", ["", "?attention=yes", "?status__exact=enqueued&queue=imports", "?q=Import"])
def test_a_page_takes_five_queries_for_any_number_of_rows(admin_client: Client, query: str, count: int) -> None:
    """Session, user, count, rows with their steps, banners."""
    for number in range(count):
        Import.enqueue(str(number))
    assert len(queries(admin_client, LIST + query)) == 5


def test_a_page_of_every_state_takes_five_queries(admin_client: Client) -> None:
    for state in states.STATES:
        state()
    assert len(queries(admin_client, LIST)) == 5


def test_a_page_takes_five_queries_where_queues_are_unheard(admin_client: Client, redis_url: str) -> None:
    Import.enqueue("x")
    assert len(queries(admin_client, f"{LIST}?attention=yes")) == 5


def test_the_count_ends_at_the_cap_and_says_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paginator, "CAP", 55)
    for number in range(60):
        Import.enqueue(str(number))
    captured = queries(admin_client, LIST)
    counts = [query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"]]
    assert len(counts) == 1
    assert "LIMIT 56" in counts[0]
    assert "55+ continuations" in text_of(admin_client, LIST)
    assert "There are more than 55." in text_of(admin_client, f"{LIST}?p=2")


def test_below_the_cap_the_count_is_exact(admin_client: Client) -> None:
    Import.enqueue("x")
    text = text_of(admin_client, LIST)
    assert "1 continuation" in text
    assert "There are more than" not in text


def test_only_what_is_shown_is_loaded(admin_client: Client) -> None:
    states.failed()
    captured = queries(admin_client, LIST)
    table = connection.ops.quote_name("continuations_continuation")
    loaded = [query["sql"] for query in captured.captured_queries if f"FROM {table}" in query["sql"]]
    assert loaded
    for column in ("error_traceback", "arguments", "result", "follow_up_error", "rq_options", "context"):
        quoted = f"{table}.{connection.ops.quote_name(column)}"
        assert not any(quoted in sql for sql in loaded), column


def test_columns_that_no_index_serves_cannot_be_sorted_by(admin_client: Client) -> None:
    first, second = Import.enqueue("x"), Broken.enqueue()
    rows = [row.pk for row in admin_client.get(f"{LIST}?o=1").context["cl"].result_list]
    assert rows == [second.pk, first.pk]
    assert "sortable" not in source_of(admin_client, LIST)


def test_a_capped_count_is_a_number_where_templates_group_digits(
    admin_client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign among the digits would be grouped with them."""
    settings.USE_THOUSAND_SEPARATOR = True
    monkeypatch.setattr(paginator, "CAP", 55)
    for number in range(60):
        Import.enqueue(str(number))
    text = text_of(admin_client, LIST)
    assert "55 continuations" in text
    assert "There are more than 55." in text
