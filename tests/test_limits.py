"""RQ's concurrency limits, across interruptions: never more at once than allowed, none is left out, none is doubled."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import django_rq
import pytest
from django.utils import timezone
from rq import Callback, RateLimit
from rq.job import Job, JobStatus

from continuations import ContinuableJob, ContinuationError
from continuations.delivery import RQDelivery
from continuations.liveness import MARKER_KEY
from continuations.models import Continuation, Execution
from tests.processes import Worker, eventually
from tests.shop import jobs
from tests.shop.jobs import Count, DiesOnce, Fails, Polite, Throttled
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]

ONE: dict[str, Any] = {"rate_limit": RateLimit("shops", 1)}


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def expected(n: int) -> list[str]:
    return ["first", *map(str, range(n))]


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def redis() -> Any:
    return django_rq.get_connection("default")


def queued(name: str = "default") -> list[str]:
    return django_rq.get_queue(name).job_ids


def in_line() -> list[str]:
    return [each.decode() for each in redis().zrange("rq:rl:shops:rate_limited", 0, -1)]


def slots() -> list[str]:
    return [each.decode() for each in redis().zrange("rq:rl:shops:allowed", 0, -1)]


def rq_job(rq_job_id: str) -> Job:
    return Job.fetch(rq_job_id, connection=redis())


def have_ended(made: list[Continuation]) -> bool:
    return all(status(each) == "succeeded" for each in made)


def let_time_pass() -> None:
    """As if recovery's times had come: it looks only at what is due."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Continuation.objects.filter(check_after__isnull=False).update(check_after=past)


def assert_never_two_at_once() -> None:
    for one, next_one in pairwise(Execution.objects.order_by("started_at")):
        # Of one that died, its successor writes the end.
        if (one.outcome, one.continuation_id) != ("died", next_one.continuation_id):
            assert one.finished_at is not None
            assert one.finished_at <= next_one.started_at, (one.rq_job_id, next_one.rq_job_id)


def three(job_class: type[ContinuableJob] = Count, *args: Any) -> list[Continuation]:
    return [job_class.using(rq_options=ONE).enqueue(run, *args) for run in "abc"]


# With workers


@pytest.fixture
def two_workers(start_worker: StartWorker) -> list[Worker]:
    workers = [start_worker("default"), start_worker("default")]
    for worker in workers:
        eventually(lambda worker=worker: "Listening" in worker.output(), worker.output)  # type: ignore[misc]
    return workers


def test_one_at_a_time_though_two_workers_are_free(two_workers: list[Worker]) -> None:
    made = three(Count, 60)
    eventually(lambda: have_ended(made), two_workers[0].output)
    assert_never_two_at_once()
    eventually(lambda: slots() == [] and in_line() == [])


def test_two_at_a_time_where_two_are_allowed(two_workers: list[Worker]) -> None:
    options = {"rate_limit": RateLimit("shops", 2)}
    made = [Count.using(rq_options=options).enqueue(run, 400) for run in "abc"]
    eventually(lambda: have_ended(made), two_workers[0].output)
    first, second, third = Execution.objects.order_by("started_at")
    assert first.finished_at is not None
    assert second.finished_at is not None
    assert second.started_at < first.finished_at
    assert min(first.finished_at, second.finished_at) <= third.started_at


@pytest.mark.parametrize("worker_class", ["rq.Worker", None])
def test_a_shutdown_keeps_the_slot_for_the_one_that_was_interrupted(
    start_worker: StartWorker, worker_class: str | None
) -> None:
    """It goes on first, wherever that is, and then the others have their turn."""
    made = three(Count, 200)
    worker = start_worker("default", worker_class=worker_class)
    eventually(lambda: len(items("a")) > 20, worker.output)
    worker.signal_all(signal.SIGTERM)
    worker.wait()
    assert [status(each) for each in made] == ["interrupted", "enqueued", "enqueued"]
    assert (queued(), slots()) == ([made[0].rq_job_id], [made[0].rq_job_id])
    assert in_line() == [made[1].rq_job_id, made[2].rq_job_id]
    workers = [start_worker("default", worker_class=worker_class) for _ in range(2)]
    eventually(lambda: have_ended(made), workers[0].output)
    assert_never_two_at_once()
    assert [items(run) for run in "abc"] == [expected(200)] * 3
    assert [each.executions for each in made] == [2, 1, 1]
    eventually(lambda: slots() == [])


def test_a_killed_horse_keeps_its_slot_until_rq_delivers_it_again(two_workers: list[Worker]) -> None:
    made = three(DiesOnce)
    eventually(lambda: have_ended(made), two_workers[0].output)
    assert_never_two_at_once()
    assert [each.executions for each in made] == [2, 2, 2]
    eventually(lambda: slots() == [])


def test_a_killed_worker_gives_its_slot_to_its_successor(start_worker: StartWorker) -> None:
    """W5: in the MULTI that delivers it again."""
    made = three(Count, 200)
    first = start_worker("default", worker_class=None)
    eventually(lambda: len(items("a")) > 20, first.output)
    second = start_worker("default", worker_class=None)
    first.signal_all(signal.SIGKILL)
    first.wait()
    eventually(lambda: have_ended(made), second.output)
    assert_never_two_at_once()
    assert [items(run) for run in "abc"] == [expected(200)] * 3
    assert made[0].delivery == 1
    order = Execution.objects.order_by("started_at").values_list("continuation", flat=True)
    assert list(order) == [made[0].pk, made[0].pk, made[1].pk, made[2].pk]
    eventually(lambda: slots() == [])


def test_slices_go_to_the_end_of_the_line(two_workers: list[Worker]) -> None:
    """None waits until another has ended, and each delivery carries the limit."""
    made = three(Polite, 150)
    eventually(lambda: have_ended(made), two_workers[0].output)
    assert_never_two_at_once()
    order = list(Execution.objects.order_by("started_at").values_list("continuation", flat=True))
    assert order[:6] == [each.pk for each in made] * 2
    assert [items(run) for run in "abc"] == [expected(150)] * 3
    for each in made:
        assert each.delivery == each.executions - 1
        for number in range(1, each.delivery + 1):
            assert rq_job(f"{each.rq_job_id}-{number}").rate_limit_key == "shops"
    eventually(lambda: slots() == [])


def test_one_that_rests_gives_its_slot_up(start_worker: StartWorker) -> None:
    worker = start_worker("default", worker_class=None)
    eventually(lambda: "Scheduler for default started" in worker.output(), worker.output)
    resting = Throttled.using(rq_options=ONE).enqueue("a", 5)
    other = Count.using(rq_options=ONE).enqueue("b", 5)
    eventually(lambda: have_ended([resting, other]), worker.output)
    order = Execution.objects.order_by("started_at").values_list("continuation", flat=True)
    assert list(order) == [resting.pk, other.pk, resting.pk]
    assert_never_two_at_once()
    eventually(lambda: slots() == [])


def test_a_retry_waits_for_a_slot_like_any_other_and_its_end_is_reported_without_one(
    start_worker: StartWorker,
) -> None:
    """W6: the anchor would wait behind all that came meanwhile."""
    worker = start_worker("default")
    options = {**ONE, "on_success": Callback(jobs.succeeded), "meta": {"run": "callbacks"}}
    failed = Fails.using(rq_options=options).enqueue("a")
    eventually(lambda: status(failed) == "failed", worker.output)
    busy = Count.using(rq_options=ONE).enqueue("b", 60)
    jobs.note("a", "fixed")
    failed.retry()
    last = [Count.using(rq_options=ONE).enqueue(run, 60) for run in "cde"]
    eventually(lambda: "callback" in items("callbacks"), worker.output)
    assert status(busy) == "succeeded"
    assert status(last[-1]) == "enqueued"
    assert rq_job(f"{failed.rq_job_id}-1").rate_limit_key == "shops"
    eventually(lambda: have_ended(last), worker.output)
    assert_never_two_at_once()


# Recovery


def test_what_waits_in_line_is_not_taken_for_lost(redis_url: str) -> None:
    made = three(Count, 1)
    let_time_pass()
    assert Continuation.objects.recover() == []
    assert queued() == [made[0].rq_job_id]
    assert in_line() == [made[1].rq_job_id, made[2].rq_job_id]
    assert rq_job(made[1].rq_job_id).get_status() == JobStatus.RATE_LIMITED
    for each in made:
        each.refresh_from_db()
        assert each.check_after is not None
        assert each.check_after > timezone.now()


def test_a_line_that_redis_lost_is_made_again_in_order(redis_url: str) -> None:
    made = three(Count, 1)
    redis().flushall()
    let_time_pass()
    assert len(Continuation.objects.recover()) == 3
    assert queued() == slots() == [f"{made[0].rq_job_id}-1"]
    assert in_line() == [f"{made[1].rq_job_id}-1", f"{made[2].rq_job_id}-1"]


def test_one_that_fell_out_of_the_line_is_put_back(redis_url: str) -> None:
    made = three(Count, 1)
    redis().zrem("rq:rl:shops:rate_limited", made[1].rq_job_id)
    let_time_pass()
    (found,) = Continuation.objects.recover()
    assert found.continuation.pk == made[1].pk
    # In the place of its age.
    assert in_line() == [f"{made[1].rq_job_id}-1", made[2].rq_job_id]


def take(continuation: Continuation, **row: Any) -> None:
    """As if a worker had taken the delivery, and died."""
    rq_job_id = continuation.rq_job_id
    redis().lrem(django_rq.get_queue("default").key, 1, rq_job_id)
    redis().hset(f"rq:job:{rq_job_id}", "status", "started")
    Continuation.objects.filter(pk=continuation.pk).update(check_after=None, **row)


def test_a_take_over_moves_the_slot_to_the_new_delivery(redis_url: str) -> None:
    made = three(Count, 1)
    execution = Execution.objects.create(
        continuation=made[0],
        number=1,
        host="elsewhere",
        boot="b",
        pid=1,
        rq_execution_id="x",
        rq_job_id="y",
        lease=12.0,
    )
    take(made[0], status="running", owner=execution.pk, executions=1)
    redis().set(MARKER_KEY, timezone.now().timestamp() - 3600)
    (found,) = Continuation.objects.recover()
    assert found.action == "taken over"
    assert queued() == slots() == [f"{made[0].rq_job_id}-1"]
    assert in_line() == [made[1].rq_job_id, made[2].rq_job_id]


@pytest.mark.parametrize(
    "row",
    [
        {"status": "succeeded", "anchor_open": False},
        {"status": "interrupted", "delivery": 1},
        {"status": "paused"},
    ],
    ids=lambda row: str(row["status"]),
)
def test_a_slot_that_nobody_will_give_back_is_freed(redis_url: str, row: dict[str, Any]) -> None:
    """The worker was lost between the outcome and RQ's books; RQ itself would take ten minutes."""
    made = three(Count, 1)
    take(made[0], **row)
    let_time_pass()
    assert Continuation.objects.recover() == []
    assert queued() == slots() == [made[1].rq_job_id]
    assert in_line() == [made[2].rq_job_id]


def test_the_slot_of_a_continuation_that_was_deleted_is_freed(redis_url: str) -> None:
    made = three(Count, 1)
    take(made[0])
    made[0].delete()
    let_time_pass()
    Continuation.objects.recover()
    assert queued() == slots() == [made[1].rq_job_id]


def test_a_dry_run_frees_no_slot(redis_url: str) -> None:
    made = three(Count, 1)
    take(made[0], status="succeeded", anchor_open=False)
    let_time_pass()
    Continuation.objects.recover(dry_run=True)
    assert slots() == [made[0].rq_job_id]


def test_slots_of_living_ones_and_of_other_jobs_are_left_alone(redis_url: str) -> None:
    queue = django_rq.get_queue("default")
    limit = RateLimit("shops", 2)
    other = queue.enqueue(jobs.dependent, "b", rate_limit=limit)
    made = [Count.using(rq_options={"rate_limit": limit}).enqueue(run, 1) for run in "ab"]
    let_time_pass()
    assert Continuation.objects.recover() == []
    assert set(slots()) == {other.id, made[0].rq_job_id}
    assert in_line() == [made[1].rq_job_id]


@pytest.mark.parametrize("is_in_line", [False, True])
def test_an_anchor_that_only_reports_needs_no_slot(redis_url: str, is_in_line: bool) -> None:
    """Cancelled before it started, or ended under another number by a worker that was lost."""
    made = three(Count, 1)
    ended = made[1] if is_in_line else made[0]
    if not is_in_line:
        take(ended)
    Continuation.objects.filter(pk=ended.pk).update(status="cancelled")
    RQDelivery().push_anchor(Continuation.objects.get(pk=ended.pk))
    assert ended.rq_job_id in queued()
    assert rq_job(ended.rq_job_id).rate_limit_key is None
    assert ended.rq_job_id not in in_line() + slots()
    assert slots() == [made[0 if is_in_line else 1].rq_job_id]


# Options


def test_a_limit_may_stand_on_the_class(redis_url: str) -> None:
    made = [Limited.enqueue(), Limited.enqueue()]
    assert (queued(), in_line()) == ([made[0].rq_job_id], [made[1].rq_job_id])


class Limited(ContinuableJob):
    rq_options = ONE

    def perform(self) -> int:
        self.step("first", lambda: None)
        self.step("alone", lambda: None, isolated=True)
        self.step("last", lambda: None)
        return self.executions


def test_perform_now_knows_no_limit() -> None:
    """Nobody could wait for a slot there; and it goes on here after an isolated step."""
    Limited.using(run_after=dt.timedelta(hours=1)).enqueue()
    assert Limited.perform_now().result == 3


@pytest.mark.parametrize("limit", [1, "shops", ("shops", 1), {"key": "shops", "concurrency": 1}, None])
def test_a_limit_that_is_none_of_rqs_is_refused_with_an_example(limit: Any) -> None:
    with pytest.raises(ContinuationError, match=r"Count: rq_options\['rate_limit'\]=.*: expected rq\.RateLimit\("):
        Count.using(rq_options={"rate_limit": limit}).enqueue("a", 1)
    assert not Continuation.objects.exists()


def test_a_limit_on_a_synchronous_queue_is_refused() -> None:
    """As RQ does; but before anything is written."""
    with pytest.raises(ContinuationError, match=r"Count: rq_options\['rate_limit'\]: queue 'sync' has ASYNC=False"):
        Count.using(queue_name="sync", rq_options=ONE).enqueue("a", 1)
    assert not Continuation.objects.exists()
