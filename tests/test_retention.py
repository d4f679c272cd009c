"""Retention: what goes, what stays, and what it costs."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
import rq
from django.db import connection, connections
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from continuations import ContinuableJob
from continuations.models import Continuation, Event, Execution, StepRecord
from continuations.retention import KEY, cutoffs, prunable, prune, prune_in_passing
from continuations.testing import run_enqueued, run_until_finished
from continuations.transitions import FINISHED, Status
from continuations.worker import ContinuableSimpleWorker
from tests.shop.jobs import Fails
from tests.shop.models import Receipt

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)
MONTH = 30 * DAY


def row(status: str = "succeeded", age: dt.timedelta = 40 * DAY, **fields: Any) -> Continuation:
    """A continuation of so many days; ended as long ago, if it has ended."""
    moment = timezone.now() - age
    if status in FINISHED:
        fields = {"finished_at": moment, "anchor_open": False, **fields}
    return Continuation.objects.create(
        job_path="shop.jobs.Import",
        queue_name="default",
        arguments_json="[]",
        status=status,
        created_at=moment,
        **fields,
    )


def left() -> set[Any]:
    return set(Continuation.objects.values_list("pk", flat=True))


class Import(ContinuableJob):
    def perform(self) -> None:
        self.step("one", lambda: 1)
        self.step("two", lambda: 2)


def test_what_ended_long_ago_goes_with_all_that_belongs_to_it() -> None:
    continuation = Import.enqueue()
    continuation.send("hello")
    run_until_finished(continuation)
    long_ago = timezone.now() - 31 * DAY
    Continuation.objects.filter(pk=continuation.pk).update(created_at=long_ago, finished_at=long_ago)
    assert Continuation.objects.prune(MONTH) == 1
    assert [model.objects.count() for model in (Continuation, StepRecord, Execution, Event)] == [0, 0, 0, 0]


def test_what_ended_lately_or_not_at_all_stays() -> None:
    young = row(age=29 * DAY)
    long = row(age=40 * DAY, finished_at=timezone.now() - DAY)
    unfinished = [row(status) for status in Status if status not in FINISHED]
    assert Continuation.objects.prune(MONTH) == 0
    assert left() == {young.pk, long.pk, *(each.pk for each in unfinished)}


def test_an_end_that_rq_has_not_been_told_of_stays() -> None:
    row(anchor_open=True)
    assert Continuation.objects.prune(MONTH) == 0


def test_a_moment_will_do_for_an_age() -> None:
    assert Continuation.objects.prunable(timezone.now()).count() == 0
    row(age=3 * DAY)
    assert Continuation.objects.prune(timezone.now() - 4 * DAY) == 0
    assert Continuation.objects.prune(timezone.now() - 2 * DAY) == 1


def test_what_a_person_should_look_at_stays_unless_failed_ones_are_named() -> None:
    failed = row("failed")
    not_followed_up = row(follow_up_failed_at=timezone.now() - MONTH)
    for status in ("succeeded", "discarded", "cancelled"):
        row(status)
    assert Continuation.objects.prune(MONTH) == 3
    assert left() == {failed.pk, not_followed_up.pk}
    assert Continuation.objects.prune(MONTH, states=["succeeded"]) == 0
    assert Continuation.objects.prune(MONTH, states=["succeeded", "failed"]) == 2


def test_only_the_statuses_that_are_named_go() -> None:
    cancelled, _ = row("cancelled"), row("succeeded")
    assert Continuation.objects.prune(MONTH, states=["succeeded"]) == 1
    assert left() == {cancelled.pk}


def test_only_those_of_the_queryset_go() -> None:
    other = row()
    Continuation.objects.filter(pk=other.pk).update(queue_name="imports")
    row()
    assert Continuation.objects.filter(queue_name="default").prune(MONTH) == 1
    assert left() == {other.pk}


def test_a_status_that_is_no_end_is_refused() -> None:
    with pytest.raises(ValueError, match="not for running"):
        Continuation.objects.prune(MONTH, states=["running", "failed"])
    with pytest.raises(ValueError, match="is not a valid"):
        Continuation.objects.prune(MONTH, states=["finished"])


@pytest.mark.parametrize("wrong", [30, "30d", dt.datetime(2026, 1, 1)])
def test_an_age_of_another_type_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected a timedelta or an aware datetime"):
        Continuation.objects.prune(wrong)


# Families


@pytest.mark.parametrize("status", [status for status in Status if status not in FINISHED])
def test_children_stay_while_their_parent_has_not_ended(status: Status) -> None:
    row(parent=row(status))
    assert Continuation.objects.prune(MONTH) == 0


def test_children_stay_while_their_parent_could_be_run_again() -> None:
    row(parent=row("failed"))
    row(parent=row(age=10 * DAY))
    assert Continuation.objects.prune(MONTH) == 0
    assert Continuation.objects.prune(MONTH, states=["succeeded", "failed"]) == 2


def test_parents_stay_while_a_child_has_not_ended() -> None:
    parent = row()
    child, _ = row("enqueued", parent=parent), row(parent=parent)
    assert Continuation.objects.prune(MONTH) == 1
    assert left() == {parent.pk, child.pk}


def test_a_parent_that_goes_leaves_younger_children_without_one() -> None:
    child = row(age=10 * DAY, parent=row())
    assert Continuation.objects.prune(MONTH) == 1
    child.refresh_from_db()
    assert child.parent is None


def test_a_child_whose_parent_was_deleted_otherwise_goes() -> None:
    parent = row("failed")
    child = row(parent=parent)
    Continuation.objects.filter(pk=parent.pk)._raw_delete("default")
    assert Continuation.objects.prunable(MONTH).get() == child


def test_three_generations_go_together() -> None:
    row(parent=row(parent=row()))
    assert Continuation.objects.prunable(MONTH).count() == 3
    assert Continuation.objects.prune(MONTH) == 3


# Batches


def test_batches_are_small_and_say_how_many_went() -> None:
    for status in ("succeeded", "succeeded", "succeeded", "cancelled"):
        row(status)
    kept = row("failed")
    assert list(prune(Continuation.objects.all(), cutoffs(MONTH), batch=2)) == [2, 1, 1]
    assert left() == {kept.pk}


def test_many_of_one_moment_go_in_several_batches() -> None:
    Continuation.objects.filter(pk__in=[row().pk for _ in range(5)]).update(created_at=timezone.now() - 50 * DAY)
    assert list(prune(Continuation.objects.all(), cutoffs(MONTH), batch=2)) == [2, 2, 1]


def test_nothing_is_loaded_but_keys() -> None:
    for _ in range(3):
        continuation = row()
        StepRecord.objects.create(continuation=continuation, position=0, name="one")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        Continuation.objects.prune(MONTH, states=["succeeded"])
    selected = [query["sql"].split(" FROM ")[0] for query in queries if query["sql"].startswith("SELECT")]
    assert selected
    assert not [sql for sql in selected if "arguments" in sql or "steprecord" in sql]


def test_the_number_of_statements_does_not_grow_with_the_rows() -> None:
    def statements(count: int) -> int:
        for _ in range(count):
            StepRecord.objects.create(continuation=row(), position=0, name="one")
        with CaptureQueriesContext(connection) as queries:
            assert Continuation.objects.prune(MONTH, states=["succeeded"]) == count
        return len(queries)

    assert statements(40) == statements(2)


def test_nothing_to_do_costs_one_query_by_an_index_for_each_status() -> None:
    row(age=DAY)
    before = cutoffs(MONTH)
    with CaptureQueriesContext(connection) as queries:
        assert list(prune(Continuation.objects.all(), before)) == []
    assert len(queries) == len(before) == 3
    if connection.vendor == "sqlite":
        plan = prunable(Continuation.objects.all(), before, Status.SUCCEEDED).order_by("created_at", "pk").explain()
        assert "USING INDEX continuation_status_created (status=? AND created_at<?)" in plan
        assert "SCAN" not in plan


def test_one_that_was_run_again_meanwhile_stays() -> None:
    continuation = row("failed")
    continuation.steps.create(position=0, name="one")

    def retry_first(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if not retried and sql.startswith("SELECT"):
            retried.append(True)
            Continuation.objects.get(pk=continuation.pk).retry()
        return found

    retried: list[bool] = []
    with connection.execute_wrapper(retry_first):
        assert Continuation.objects.prune(MONTH, states=["failed"]) == 0
    assert retried
    assert Continuation.objects.get().status == "enqueued"


@pytest.mark.django_db(transaction=True)
def test_what_somebody_keeps_locked_is_passed_over() -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one lock for all")
    locked, other = row(), row()
    is_locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with locked._changing():
                is_locked.set()
                done.wait(30)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert is_locked.wait(30)
        assert Continuation.objects.prune(MONTH) == 1
    finally:
        done.set()
        holder.join()
    assert left() == {locked.pk}
    assert other.pk not in left()


def test_foreign_keys_of_the_project_do_what_they_say() -> None:
    receipt = Receipt.objects.create(continuation=row())
    assert Continuation.objects.prune(MONTH) == 1
    receipt.refresh_from_db()
    assert receipt.continuation_id is None
    Receipt.objects.create(guarded=row())
    with pytest.raises(ProtectedError):
        Continuation.objects.prune(MONTH)
    assert Continuation.objects.filter(guards=None).prune(MONTH) == 0


# By the workers


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def worker(client: redis.Redis) -> ContinuableSimpleWorker:
    return ContinuableSimpleWorker([rq.Queue("default", connection=client)], connection=client)


@pytest.mark.django_db(transaction=True)
def test_a_worker_deletes_what_the_setting_says(client: redis.Redis, settings: Any) -> None:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "RETENTION": {"succeeded": 10 * DAY, "failed": 60 * DAY}}
    for status, age in (("succeeded", 11), ("succeeded", 9), ("failed", 61), ("failed", 59), ("cancelled", 100)):
        row(status, age * DAY)
    # One batch at a time: the statuses come one after the other.
    worker(client).look_for_lost_continuations()
    client.delete(KEY)
    worker(client).look_for_lost_continuations()
    ages = Continuation.objects.order_by("created_at").values_list("status", "created_at")
    assert [(status, (timezone.now() - created_at).days) for status, created_at in ages] == [
        ("cancelled", 100),
        ("failed", 59),
        ("succeeded", 9),
    ]


def test_without_the_setting_a_worker_deletes_nothing(client: redis.Redis) -> None:
    row(age=10000 * DAY)
    with CaptureQueriesContext(connection) as queries:
        assert prune_in_passing(client) == 0
    assert len(queries) == 0
    assert left()


def test_workers_look_now_and_then_and_sooner_while_there_is_more(client: redis.Redis, settings: Any) -> None:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "RETENTION": MONTH}
    assert prune_in_passing(client) == 0
    rarely = client.ttl(KEY)
    row()
    assert prune_in_passing(client) == 0
    client.delete(KEY)
    assert prune_in_passing(client) == 1
    assert 0 < client.ttl(KEY) < rarely / 10


@pytest.mark.workers
def test_rq_forgets_what_was_pruned(start_worker: Any, client: redis.Redis) -> None:
    continuation = Fails.enqueue("run")
    start_worker("default", "--burst").wait()
    Continuation.objects.get().retry()
    start_worker("default", "--burst").wait()
    queue = rq.Queue("default", connection=client)
    ids = [continuation.rq_job_id, f"{continuation.rq_job_id}-1"]
    assert sorted(queue.failed_job_registry.get_job_ids()) == ids
    other = queue.enqueue("tests.shop.jobs.dependent", "run")
    assert Continuation.objects.prune(timezone.now(), states=["failed"]) == 1
    assert queue.failed_job_registry.get_job_ids() == []
    assert not [key for key in client.scan_iter(f"*{continuation.pk}*") if b"worker" not in key]
    assert queue.get_job_ids() == [other.id]


@pytest.mark.django_db(transaction=True)
def test_rows_go_also_while_redis_is_away(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.CONTINUATIONS = {"DELIVERY": "continuations.delivery.RQDelivery"}
    row()
    assert Continuation.objects.prune(MONTH) == 1
    assert "RQ keeps its jobs of 1 pruned" in caplog.text


def test_a_pruned_continuation_is_not_missed_by_a_late_delivery() -> None:
    continuation = Import.enqueue()
    run_enqueued()
    Continuation.objects.update(created_at=timezone.now() - MONTH, finished_at=timezone.now() - MONTH)
    Continuation.objects.prune(DAY)
    from continuations.runner import run

    assert run(str(continuation.pk)) == "deleted"
