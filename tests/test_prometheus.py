"""Gauges on django-rq's metrics page."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_rq import stats_views
from prometheus_client import CollectorRegistry, generate_latest

from continuations.contrib import prometheus
from continuations.contrib.prometheus import OTHERS, ContinuationCollector, register
from continuations.models import Continuation, Execution, StepRecord

pytestmark = pytest.mark.django_db


def row(status: str, queue: str = "default", job: str = "shop.jobs.Import", **fields: Any) -> Continuation:
    return Continuation.objects.create(status=status, queue_name=queue, job_path=job, arguments_json="[]", **fields)


def ago(seconds: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(seconds=seconds)


def gauges(name: str) -> dict[tuple[str, ...], float]:
    """Samples of a gauge by the values of its labels."""
    families = {family.name: family for family in ContinuationCollector().collect()}
    return {tuple(sample.labels.values()): sample.value for sample in families[name].samples}


def test_what_has_not_ended_is_counted_and_what_failed() -> None:
    for status in ("enqueued", "running", "failed", "succeeded", "cancelled", "discarded"):
        row(status)
    row("enqueued", queue="imports")
    row("enqueued", job="shop.jobs.Export")
    row("enqueued", job="shop.jobs.Export")
    assert gauges("continuations") == {
        ("enqueued", "default", "shop.jobs.Import"): 1,
        ("enqueued", "imports", "shop.jobs.Import"): 1,
        ("enqueued", "default", "shop.jobs.Export"): 2,
        ("running", "default", "shop.jobs.Import"): 1,
        ("failed", "default", "shop.jobs.Import"): 1,
    }


def test_counting_ends_at_the_limit_which_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "LIMIT", 3)
    for _ in range(5):
        row("enqueued")
    row("paused")
    assert sorted(gauges("continuations").values()) == [1, 3]
    assert gauges("continuations_count_limit") == {(): 3}


def test_many_job_classes_share_a_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAX_JOBS", 1)
    for job, count in (("Rare", 1), ("Common", 3), ("Scarce", 2)):
        for _ in range(count):
            row("enqueued", job=job)
    assert gauges("continuations") == {("enqueued", "default", "Common"): 3, ("enqueued", "default", OTHERS): 3}


def test_the_oldest_that_a_worker_could_take_says_how_long_they_wait() -> None:
    row("enqueued", enqueued_at=ago(100))
    row("interrupted", enqueued_at=ago(50))
    row("waiting", queue="imports", enqueued_at=ago(900), run_after=ago(30))
    # Not due, waiting for somebody, running: nobody waits for a worker here.
    row("waiting", queue="slow", enqueued_at=ago(900), run_after=ago(-60))
    row("waiting", queue="slow", enqueued_at=ago(900), waiting_for="approval")
    row("running", queue="slow", enqueued_at=ago(900))
    row("enqueued", queue="slow", enqueued_at=ago(900), run_after=ago(-60))
    waiting = {labels: round(value, -1) for labels, value in gauges("continuations_oldest_waiting_seconds").items()}
    assert waiting == {("default",): 100, ("imports",): 30}


def test_the_oldest_beat_of_what_runs() -> None:
    def running(started: float, *beats: float, job: str) -> None:
        continuation = row("running", job=job)
        execution = Execution.objects.create(continuation=continuation, number=1, started_at=ago(started))
        Continuation.objects.filter(pk=continuation.pk).update(owner=execution.pk)
        for position, beat in enumerate(beats):
            StepRecord.objects.create(
                continuation=continuation, position=position, name=str(position), heartbeat_at=ago(beat)
            )

    running(500, 20, job="Beats")
    running(500, 200, job="Beats")
    # It took over a step from somebody else a moment ago.
    running(10, 400, job="Fresh")
    running(70, job="NoStep")
    silences = {labels: round(value, -1) for labels, value in gauges("continuations_oldest_beat_seconds").items()}
    assert silences == {("default", "Beats"): 200, ("default", "Fresh"): 10, ("default", "NoStep"): 70}


def test_what_needs_attention_is_counted_as_the_queryset_says() -> None:
    row("failed")
    row("succeeded", follow_up_failed_at=timezone.now())
    row("failed", follow_up_failed_at=timezone.now())
    row("pausing", requested_at=ago(3600))
    row("cancelling", requested_at=ago(1))
    row("succeeded")
    row("paused")
    assert gauges("continuations_needing_attention") == {(): 4}
    assert Continuation.objects.needing_attention().count() == 4


def test_the_number_of_queries_does_not_grow_and_none_reads_the_whole_table() -> None:
    def statements() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            list(ContinuationCollector().collect())
        return [query["sql"] for query in queries]

    before = len(statements())
    for status in Continuation.Status:
        for _ in range(20):
            row(status)
    after = statements()
    assert len(after) == before <= 11
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for sql in after:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                assert not [line for *_, line in cursor.fetchall() if line.startswith("SCAN continuations_")], sql


def test_a_database_that_is_away_is_told_as_such() -> None:
    assert gauges("continuations_up") == {(): 1}

    def refuse(*_: Any) -> None:
        raise OperationalError("away")

    with connection.execute_wrapper(refuse):
        families = list(ContinuationCollector().collect())
    assert [(family.name, family.samples[0].value) for family in families] == [("continuations_up", 0)]


def test_registering_asks_no_database() -> None:
    with CaptureQueriesContext(connection) as queries:
        register(registry := CollectorRegistry(auto_describe=True))
    assert len(queries) == 0
    assert b"continuations_up 1.0" in generate_latest(registry)


# The page


@pytest.fixture
def _new_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_views, "registry", None)


def page(client: Client) -> str:
    return client.get("/admin/django_rq/dashboard/metrics/").content.decode()


@pytest.mark.usefixtures("redis_url", "_new_page")
@pytest.mark.parametrize("first", [True, False], ids=["registered first", "shown first"])
def test_django_rqs_page_shows_continuations_beside_its_own(admin_client: Client, first: bool) -> None:
    row("enqueued")
    if not first:
        assert "continuations" not in page(admin_client)
    register()
    shown = page(admin_client)
    assert 'continuations{job="shop.jobs.Import",queue="default",status="enqueued"} 1.0' in shown
    assert re.search(r'^rq_jobs\{queue="default",status="queued"\} 0\.0$', shown, flags=re.MULTILINE)


@pytest.mark.usefixtures("redis_url", "_new_page")
def test_the_page_keeps_its_password(client: Client, settings: Any) -> None:
    register()
    settings.RQ_API_TOKEN = "token"
    url = "/admin/django_rq/dashboard/metrics/"
    assert client.get(url).status_code == 401
    assert "continuations_up 1.0" in client.get(url, headers={"Authorization": "Bearer token"}).content.decode()
