"""What nearly every job does in one statement each, where it must take the way round, and what workers tell horses."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext
from django_rq import get_queue
from rq import SimpleWorker

from continuations import ContinuableJob, workplace
from continuations.claim import Refusal
from continuations.columns import RETURNING, columns_of
from continuations.execution import execute
from continuations.identifiers import uuid7
from continuations.models import Continuation, Execution
from continuations.transitions import Status
from continuations.worker import ContinuableSimpleWorker
from continuations.workplace import Workplace

pytestmark = pytest.mark.django_db(transaction=True)

meanwhile: Callable[[Continuation], object] = print


class Plain(ContinuableJob):
    def perform(self, result: Any = None) -> Any:
        self.step("step", lambda: None)
        return result


class Disturbed(ContinuableJob):
    def perform(self) -> str:
        self.step("step", lambda: None)
        meanwhile(Continuation.objects.get(pk=self.continuation.pk))
        return "done"


class Hooked(Plain):
    def on_success(self, result: Any = None) -> None:
        Plain.enqueue("from the hook")


def disturb(monkeypatch: pytest.MonkeyPatch, act: Callable[[Continuation], object]) -> None:
    monkeypatch.setattr(f"{__name__}.meanwhile", act)


def run(row: Continuation) -> Continuation:
    execute(row.pk, row.delivery, Workplace())
    row.refresh_from_db()
    return row


def stored(row: Continuation | Execution) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields]
    return {name: getattr(row, name) for name in names}


# Rows


def test_what_enqueue_returns_is_what_is_stored() -> None:
    row = Plain.using(rq_options={"job_timeout": 60, "meta": {"a": "ü%s"}}).enqueue({"k": "ü%s'\\"})
    assert not row._state.adding
    assert stored(Continuation.objects.get(pk=row.pk)) == stored(row)


def test_what_enqueue_many_returns_is_what_is_stored() -> None:
    rows = Plain.using(rq_options={"meta": {"a": 1}}).enqueue_many([(i,) for i in range(3)])
    assert [stored(Continuation.objects.get(pk=row.pk)) for row in rows] == [stored(row) for row in rows]
    assert [row.arguments for row in rows] == [((i,), {}) for i in range(3)]
    assert len({row.pk for row in rows}) == 3


def test_columns_in_which_rows_differ_are_stored_for_each() -> None:
    """Also those that are not plain text: JSON, moments, NULL beside a value."""
    rows = Plain.enqueue_many([(1,), (2,)])
    Continuation.objects.all().delete()
    rows[0].context, rows[1].context = {"trace": "%s"}, {}
    rows[0].run_after, rows[0].key = rows[0].created_at, "k"
    columns_of(Continuation, "default").insert_all(rows, connection, 500)
    assert [stored(Continuation.objects.get(pk=row.pk)) for row in rows] == [stored(row) for row in rows]


def test_who_listens_for_saved_rows_hears_of_those_that_are_enqueued() -> None:
    """Django's signals, as audit logs use them."""
    heard: list[tuple[str, bool]] = []

    def listen(signal: Any, instance: Continuation, **_: Any) -> None:
        heard.append(("before" if signal is pre_save else "after", instance._state.adding))

    for each in (pre_save, post_save):
        each.connect(listen, sender=Continuation)
    try:
        row = Plain.enqueue()
    finally:
        for each in (pre_save, post_save):
            each.disconnect(listen, sender=Continuation)
    assert heard == [("before", True), ("after", False)]
    assert Continuation.objects.filter(pk=row.pk).exists()


def test_an_execution_is_stored_as_its_claim_made_it() -> None:
    row = Plain.enqueue()
    place = Workplace()
    place.worker, place.rq_job_id, place.rq_execution_id, place.lease = "w", "j", "e", 12.0
    execute(row.pk, 0, place)
    found = Execution.objects.get(continuation=row)
    assert (found.number, found.worker, found.rq_job_id, found.rq_execution_id, found.lease) == (1, "w", "j", "e", 12.0)
    assert (found.outcome, found.reason, found.step, found.error_class) == ("succeeded", "", "step", "")
    assert found.finished_at is not None
    assert found.started_at <= found.finished_at


# The way round


@pytest.mark.parametrize("change", [{"delivery": 1}, {"status": Status.PAUSED}, {"status": Status.FAILED}])
def test_what_is_not_to_be_claimed_is_refused(change: dict[str, Any]) -> None:
    row = Plain.enqueue()
    Continuation.objects.filter(pk=row.pk).update(**change)
    assert execute(row.pk, 0, Workplace()).refusal in (Refusal.STALE, Refusal.ENDED)
    assert not Execution.objects.exists()


def test_a_deleted_one_is_refused() -> None:
    row = Plain.enqueue()
    Continuation.objects.all().delete()
    assert execute(row.pk, 0, Workplace()).refusal is Refusal.GONE
    assert not Execution.objects.exists()


def test_success_beats_a_request_that_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    disturb(monkeypatch, lambda row: row.pause(by="ann", reason="lunch"))
    row = run(Disturbed.enqueue())
    assert (row.status, row.result, row.owner, row.reason) == ("succeeded", "done", None, "")
    assert (row.request_by, row.request_reason) == ("ann", "lunch")


def test_an_execution_that_was_replaced_writes_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    heir = uuid7()
    disturb(monkeypatch, lambda row: Continuation.objects.filter(pk=row.pk).update(owner=heir))
    row = Disturbed.enqueue()
    assert execute(row.pk, 0, Workplace()).refusal is Refusal.SUPERSEDED
    row.refresh_from_db()
    assert (row.status, row.owner, row.result) == ("running", heir, None)
    assert Execution.objects.get().finished_at is None


def test_a_success_with_a_hook_goes_the_way_round() -> None:
    row = run(Hooked.enqueue())
    assert row.status == Status.SUCCEEDED
    assert Continuation.objects.exclude(pk=row.pk).get().arguments == (("from the hook",), {})


@pytest.mark.skipif(connection.vendor not in RETURNING, reason="there it takes the way round")
def test_neither_reads_a_row_before_it_writes() -> None:
    row = Plain.enqueue()
    with CaptureQueriesContext(connection) as queries:
        run(row)
    reads = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    # What `run` itself reads.
    assert len(reads) == 1


# What a worker tells its executions


@pytest.mark.usefixtures("redis_url", "own_signals")
def test_a_stock_worker_asks_redis_what_another_one_has_told_before() -> None:
    """In one process, as tests and scripts have them."""
    queue = get_queue("default", commit_mode="auto")
    queue.connection.flushall()
    rows = []
    for kind in (ContinuableSimpleWorker, SimpleWorker):
        rows.append(Plain.enqueue())
        kind([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")
    with_lease, without = [Execution.objects.get(continuation=row) for row in rows]
    assert (with_lease.lease > 0, without.lease > 0) == (True, False)
    assert with_lease.rq_execution_id
    assert without.rq_execution_id
    assert with_lease.rq_execution_id != without.rq_execution_id
    assert workplace._shared == workplace.Shared()


class Clock:
    """The worker's `time`, whose sleeps last until they are ended here."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.awake = threading.Event()
        self.sleepers: set[threading.Thread] = set()

    def sleep(self, _: float) -> None:
        self.sleepers.add(threading.current_thread())
        self.awake.wait()


@pytest.mark.usefixtures("redis_url", "own_signals")
def test_one_thread_keeps_the_leases_of_all_jobs_and_ends_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("continuations.worker.time", clock)
    queue = get_queue("default", commit_mode="auto")
    queue.connection.flushall()
    for i in range(3):
        Plain.enqueue(i)
    ContinuableSimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")
    (keeper,) = clock.sleepers
    clock.awake.set()
    keeper.join(10)
    assert not keeper.is_alive()


@pytest.fixture(autouse=True)
def _nothing_is_left_told() -> Iterator[None]:
    yield
    assert workplace._shared == workplace.Shared()


@pytest.mark.usefixtures("redis_url", "own_signals")
def test_a_worker_leaves_although_what_it_did_has_caught_its_order_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ raises it wherever an idle worker is, such as in a hook of Django's that catches all."""
    queue = get_queue("default", commit_mode="auto")
    worker = ContinuableSimpleWorker([queue], connection=queue.connection)

    def look() -> None:
        worker._looked_at = time.monotonic()
        with contextlib.suppress(Exception):
            worker.request_stop(signal.SIGTERM, None)

    monkeypatch.setattr(worker, "look_for_lost_continuations", look)
    continuation = Plain.enqueue()
    worker.work(burst=True, logging_level="ERROR")
    continuation.refresh_from_db()
    assert continuation.status == "enqueued"
