"""Real workers, a real Valkey, real signals."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.db import connection
from django.utils import timezone
from rq import Callback
from rq.job import Job
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.suspension import resume, suspend

from continuations.models import Continuation
from continuations.outages import PAUSES
from tests.processes import Worker, eventually, tell
from tests.shop import jobs
from tests.shop.jobs import Awaits, Count, DiesOnce, Fails, Moved, Slow, SlowlyPolite, SlowRetry
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]

WORKERS: dict[str, dict[str, Any]] = {
    "Worker": {"worker_class": "rq.Worker"},
    "SimpleWorker": {"worker_class": "rq.SimpleWorker"},
    "SpawnWorker": {"worker_class": "rq.SpawnWorker"},
    "HerokuWorker": {"worker_class": "rq.worker.HerokuWorker"},
    "rqworker-pool": {"worker_class": "rq.Worker", "command": "rqworker-pool"},
    "ContinuableWorker": {"worker_class": None},
    "ContinuableSimpleWorker": {"worker_class": "continuations.worker.ContinuableSimpleWorker"},
    "ContinuableSpawnWorker": {"worker_class": "continuations.worker.ContinuableSpawnWorker"},
    "rqworker-pool of ContinuableWorker": {"worker_class": None, "command": "rqworker-pool"},
}


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def expected(n: int) -> list[str]:
    return ["first", *map(str, range(n))]


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def queued(name: str = "default") -> list[str]:
    return django_rq.get_queue(name).job_ids


def rq_job(continuation: Continuation) -> Job:
    return Job.fetch(continuation.rq_job_id, connection=django_rq.get_connection("default"))


def stop_in_the_middle(
    start_worker: StartWorker, kind: str, stop: Callable[[Worker], None], queue: str = "default"
) -> None:
    """Start, stop at some item, look at the queue, start again, compare."""
    first = start_worker(queue, **WORKERS[kind])
    continuation = Count.using(queue_name=queue).enqueue("a", 400)
    eventually(lambda: len(items("a")) > 20, first.output)
    asked = timezone.now()
    stop(first)
    first.wait()
    assert (status(continuation), continuation.reason) == ("interrupted", "stopping")
    tell(f"{kind}: stop asked to outcome", asked, continuation.execution_records.get().finished_at)
    assert queued(queue) == [continuation.rq_job_id]
    done = len(items("a"))
    assert done < 401
    assert continuation.steps.get(name="count").cursor == done - 1
    second = start_worker(queue, **WORKERS[kind])
    eventually(lambda: status(continuation) == "succeeded", second.output)
    assert items("a") == expected(400)
    assert continuation.executions == 2


@pytest.mark.parametrize("kind", WORKERS)
def test_sigterm_to_the_worker_interrupts_and_the_next_one_goes_on_at_the_next_item(
    start_worker: StartWorker, kind: str
) -> None:
    """W1, W3, E1: zero repeated, zero lost, the same RQ job id."""
    stop_in_the_middle(start_worker, kind, lambda worker: worker.signal(signal.SIGTERM))


@pytest.mark.parametrize("kind", WORKERS)
def test_sigterm_to_every_process_interrupts_and_the_next_one_goes_on_at_the_next_item(
    start_worker: StartWorker, kind: str
) -> None:
    """W3: systemd's control-group kill and Heroku signal the horse too."""
    stop_in_the_middle(start_worker, kind, lambda worker: worker.signal_all(signal.SIGTERM))


def test_ctrl_c_interrupts_and_the_next_worker_goes_on_at_the_next_item(start_worker: StartWorker) -> None:
    """W3: the terminal signals the worker's process group, in which its horse is not."""
    stop_in_the_middle(start_worker, "Worker", lambda worker: worker.signal_group(signal.SIGINT))


def test_a_queue_with_the_json_serializer_goes_on_at_the_next_item(start_worker: StartWorker) -> None:
    """W1: one string argument, which every serializer knows."""
    serializer = ("--serializer", "rq.serializers.JSONSerializer")
    first = start_worker("json", *serializer)
    continuation = Count.using(queue_name="json").enqueue("a", 400)
    eventually(lambda: len(items("a")) > 20, first.output)
    first.signal(signal.SIGTERM)
    first.wait()
    second = start_worker("json", *serializer)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    assert items("a") == expected(400)


def test_a_signal_to_the_horse_alone_means_yield(start_worker: StartWorker) -> None:
    """W3"""
    worker = start_worker("default")
    continuation = Count.enqueue("a", 300)
    eventually(lambda: len(items("a")) > 20, worker.output)
    horse = Applied.objects.filter(run="a").latest("pk").pid
    worker.signal_pid(horse, signal.SIGTERM)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == expected(300)
    assert continuation.executions == 2
    assert Applied.objects.filter(run="a").values("pid").distinct().count() == 2


def test_suspending_the_workers_interrupts_and_resuming_them_goes_on(start_worker: StartWorker) -> None:
    """W3: `rq suspend`"""
    worker = start_worker("default")
    continuation = Count.enqueue("a", 500)
    eventually(lambda: len(items("a")) > 20, worker.output)
    redis = django_rq.get_connection("default")
    suspend(redis)
    eventually(lambda: status(continuation) == "interrupted", worker.output)
    resume(redis)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == expected(500)


def test_a_job_longer_than_its_time_out_finishes_in_slices(start_worker: StartWorker) -> None:
    """E6: leaves a third of the time-out before the death penalty, goes to the back of its queue, repeats nothing."""
    worker = start_worker("default")
    continuation = Count.using(rq_options={"job_timeout": 3}).enqueue("a", 900)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == expected(900)
    reasons = list(continuation.execution_records.values_list("reason", flat=True))
    assert reasons[:-1] == ["timeout"] * (len(reasons) - 1)
    assert len(reasons) > 2
    # E5: slices are the design working.
    assert continuation.counted_resumptions == 0


def test_a_shutdown_puts_a_job_at_the_front_of_its_queue_and_a_slice_at_the_back(start_worker: StartWorker) -> None:
    """W1: it was its turn; and one that was shut down once yields to others as before."""
    first = start_worker("default", worker_class=None)
    continuation = SlowlyPolite.enqueue("a", 800)
    eventually(lambda: len(items("a")) > 5, first.output)
    other = Count.enqueue("b", 3)
    first.signal(signal.SIGTERM)
    first.wait()
    assert queued() == [continuation.rq_job_id, other.rq_job_id]
    second = start_worker("default", worker_class=None)
    eventually(lambda: {status(continuation), status(other)} == {"succeeded"}, second.output)
    assert items("a") == expected(800)
    reasons = list(continuation.execution_records.order_by("number").values_list("reason", flat=True))
    assert reasons[:2] == ["stopping", "max_runtime"]
    order = list(Applied.objects.order_by("pk").values_list("run", flat=True))
    assert order[-1] == "a", "the other one had to wait until this one had ended"


@pytest.mark.parametrize("worker", ["Worker", "SimpleWorker"])
def test_a_coroutine_that_hangs_is_cancelled_by_the_time_out_and_goes_on(
    start_worker: StartWorker, worker: str
) -> None:
    """E6"""
    started = start_worker("default", **WORKERS[worker])
    continuation = Awaits.using(rq_options={"job_timeout": 2}).enqueue("a")
    eventually(lambda: status(continuation) == "succeeded", started.output)
    assert items("a") == ["0", "1", "hung", "cancelled", "2", "3"]
    assert list(continuation.execution_records.values_list("reason", flat=True)) == ["timeout", ""]


def test_a_worker_finds_the_class_that_has_taken_the_place_of_one_whose_module_is_gone(
    start_worker: StartWorker,
) -> None:
    continuation = Moved.enqueue("a")
    Continuation.objects.update(job_path="tests.gone.jobs.Import")
    worker = start_worker("default")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == ["first"]


def test_a_killed_horse_is_redelivered_by_rq_and_repeats_nothing_done_in_atomic_blocks(
    start_worker: StartWorker,
) -> None:
    """W2, C6"""
    worker = start_worker("default")
    continuation = DiesOnce.enqueue("a")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    died, resumed = Applied.objects.get(item="died").at, continuation.execution_records.get(number=2).started_at
    tell("SIGKILL of the horse to next execution", died, resumed)
    assert [item for item in items("a") if item != "died"] == list(map(str, range(10)))
    assert list(continuation.execution_records.values_list("outcome", "reason")) == [
        ("died", "crash"),
        ("succeeded", ""),
    ]


def test_what_a_killed_horse_had_begun_goes_on_before_what_has_not_begun(start_worker: StartWorker) -> None:
    """W4, §6: within a second, also where others wait."""
    died, waited = DiesOnce.enqueue("a"), Count.enqueue("b", 10)
    worker = start_worker("default", **WORKERS["ContinuableWorker"])
    eventually(lambda: [status(died), status(waited)] == ["succeeded", "succeeded"], worker.output)
    resumed, begun = died.execution_records.get(number=2).started_at, waited.started_at
    assert begun is not None
    assert resumed < begun


def test_callbacks_and_dependents_wait_for_the_real_end(start_worker: StartWorker) -> None:
    """E2: they fire once, after the last execution, and never after an interruption."""
    first = start_worker("default")
    options = {"on_success": Callback(jobs.succeeded), "meta": {"run": "b"}}
    continuation = Count.using(rq_options=options).enqueue("a", 400)
    django_rq.get_queue("default").enqueue(jobs.dependent, "b", depends_on=continuation.rq_job_id)
    eventually(lambda: len(items("a")) > 20, first.output)
    first.signal(signal.SIGTERM)
    first.wait()
    assert items("b") == []
    second = start_worker("default")
    eventually(lambda: "dependent" in items("b"), second.output)
    assert items("b") == ["callback", "dependent"]
    assert items("a") == expected(400)
    eventually(lambda: rq_job(continuation).get_status() == "finished")


def test_callbacks_and_dependents_wait_for_the_real_end_of_a_job_that_rests(start_worker: StartWorker) -> None:
    """W6: the continuation ends under another id, and the anchor reports it."""
    worker = start_worker("default", "--with-scheduler")
    # Until its scheduler has begun, a worker waits short back-offs out.
    eventually(lambda: django_rq.get_queue("default").scheduler_pid, worker.output)
    options = {"on_success": Callback(jobs.succeeded), "meta": {"run": "b"}}
    continuation = SlowRetry.using(rq_options=options).enqueue("a", 2)
    django_rq.get_queue("default").enqueue(jobs.dependent, "b", depends_on=continuation.rq_job_id)
    eventually(lambda: "dependent" in items("b"), worker.output)
    assert items("b") == ["callback", "dependent"]
    assert status(continuation) == "succeeded"
    assert continuation.delivery == 2
    eventually(lambda: not Continuation.objects.get(pk=continuation.pk).anchor_open, worker.output)
    assert items("a") == ["0", "1", "2", "failed", "failed", "3", "4", "5"]


def test_a_short_back_off_is_waited_out_where_no_scheduler_runs(start_worker: StartWorker) -> None:
    """W3"""
    worker = start_worker("default")
    continuation = SlowRetry.enqueue("a", 2)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert continuation.delivery == 0
    assert items("a") == ["0", "1", "2", "failed", "failed", "3", "4", "5"]


def test_a_delayed_job_runs_when_it_is_due(start_worker: StartWorker) -> None:
    """W3: `--with-scheduler` suffices."""
    continuation = Count.using(run_after=dt.timedelta(seconds=2)).enqueue("a", 5)
    assert queued() == []
    registry = ScheduledJobRegistry(queue=django_rq.get_queue("default"))
    assert registry.get_job_ids() == [continuation.rq_job_id]
    worker = start_worker("default", "--with-scheduler")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert continuation.started_at is not None
    assert continuation.started_at >= continuation.created_at + dt.timedelta(seconds=1)


def test_a_failed_job_is_reported_once_and_its_retry_goes_on_at_the_failed_step(start_worker: StartWorker) -> None:
    """E8, W2: RQ's retries are for dead horses, not for errors."""
    worker = start_worker("default")
    options: dict[str, Any] = {
        "on_failure": Callback(jobs.failed),
        "on_success": Callback(jobs.succeeded),
        "meta": {"run": "b"},
    }
    continuation = Fails.using(rq_options=options).enqueue("a")
    eventually(lambda: items("b"), worker.output)
    assert status(continuation) == "failed"
    assert items("b") == ["failed ValueError"]
    eventually(lambda: rq_job(continuation).get_status() == "failed")
    jobs.note("a", "fixed")
    continuation.retry(by="ana", reason="fixed it")
    eventually(lambda: "callback" in items("b"), worker.output)
    assert status(continuation) == "succeeded"
    assert continuation.result == "fine"
    assert items("a") == ["first", "fixed"]
    assert items("b") == ["failed ValueError", "callback"]


def test_an_error_after_progress_is_resumed_after_a_back_off(start_worker: StartWorker) -> None:
    """E3, E4: five seconds the first time."""
    worker = start_worker("default")
    continuation = Slow.enqueue("a", 1)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == ["0", "1", "2", "failed", "3", "4", "5"]
    first, second = continuation.execution_records.all()
    assert first.finished_at is not None
    assert second.started_at - first.finished_at >= dt.timedelta(seconds=4)


@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker", "ContinuableWorker", "ContinuableSimpleWorker"])
def test_a_duplicate_delivery_changes_nothing_in_rq_while_the_job_runs(start_worker: StartWorker, kind: str) -> None:
    """O4: returning would have told RQ that the job had finished, and its dependents would have run."""
    workers = [start_worker("default", **WORKERS[kind]), start_worker("default", **WORKERS[kind])]
    continuation = Count.enqueue("a", 400)
    queue = django_rq.get_queue("default")
    queue.enqueue(jobs.dependent, "b", depends_on=continuation.rq_job_id)
    eventually(lambda: len(items("a")) > 20, workers[0].output)
    queue.push_job_id(continuation.rq_job_id)
    eventually(lambda: "duplicate" in workers[0].output() + workers[1].output())
    assert items("b") == []
    assert status(continuation) == "running"
    # Its own entry would be taken for an abandoned job once it expires, whoever runs that by then.
    owner = (continuation.rq_job_id, continuation.execution_records.get().rq_execution_id)
    eventually(lambda: StartedJobRegistry(queue=queue).get_job_and_execution_ids() == [owner])
    eventually(lambda: "dependent" in items("b"))
    assert items("a") == expected(400)
    assert continuation.executions == 1
    assert rq_job(continuation).get_status() == "finished"
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == []


def test_a_worker_waits_for_a_database_that_is_away(start_worker: StartWorker, tmp_path: Path) -> None:
    """W2: no retry is used up and no status is wrong."""
    away = tmp_path / "away"
    worker = start_worker("default", environ={"TEST_DATABASE_AWAY": str(away)})
    eventually(lambda: "Listening" in worker.output(), worker.output)
    away.touch()
    continuation = Count.enqueue("a", 20)
    eventually(lambda: "database does not answer" in worker.output(), worker.output)
    assert status(continuation) == "enqueued"
    back = timezone.now()
    away.unlink()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    tell("database back to next execution", back, continuation.execution_records.get().started_at)
    assert items("a") == expected(20)
    assert rq_job(continuation).retries_left == 10**6


def test_a_database_that_goes_away_in_the_middle_of_a_step_costs_nothing(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    """§6: no status is wrong, no budget is used, nothing done in a block is repeated."""
    if connection.vendor == "sqlite":
        # A file does not go away.
        return
    away = tmp_path / "away"
    worker = start_worker("default", environ={"TEST_DATABASE_AWAY": str(away)})
    continuation = Count.enqueue("a", 300)
    eventually(lambda: len(items("a")) > 20, worker.output)
    away.touch()
    kill = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(kill, [int(continuation.execution_records.get().database_session)])
    # Longer than a statement of ours would be repeated.
    eventually(lambda: worker.output().count("could not be written") > len(PAUSES), worker.output)
    away.unlink()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == expected(300)
    assert list(continuation.execution_records.values_list("outcome", "reason")) == [
        ("interrupted", "database"),
        ("succeeded", ""),
    ]
    assert (continuation.crashes, continuation.counted_resumptions) == (0, 0)


def test_a_synchronous_queue_runs_the_job_in_the_caller(redis_url: str) -> None:
    """W1: ASYNC=False"""
    continuation = Count.using(queue_name="sync").enqueue("a", 10, pause=0)
    assert status(continuation) == "succeeded"
    assert items("a") == expected(10)


def test_a_synchronous_queue_goes_on_after_an_interruption(redis_url: str) -> None:
    """W1: RQ knows no Retry there, so the delivery loops."""
    from continuations.testing import interrupt_during

    with interrupt_during(Count, "count", 4):
        continuation = Count.using(queue_name="sync").enqueue("a", 10, pause=0)
    assert status(continuation) == "succeeded"
    assert items("a") == expected(10)
    assert continuation.executions == 2


def test_a_job_class_that_is_gone_fails_with_its_name(start_worker: StartWorker) -> None:
    continuation = Count.enqueue("a", 1)
    Continuation.objects.update(job_path="tests.shop.jobs.Vanished")
    worker = start_worker("default", "--burst")
    worker.wait()
    assert status(continuation) == "failed"
    assert continuation.error_class == "continuations.errors.JobClassError"
    assert "tests.shop.jobs.Vanished" in continuation.error_message


def test_a_path_to_something_else_than_a_job_class_fails(start_worker: StartWorker) -> None:
    continuation = Count.enqueue("a", 1)
    Continuation.objects.update(job_path="tests.shop.jobs.note")
    worker = start_worker("default", "--burst")
    worker.wait()
    assert status(continuation) == "failed"
    assert "is not a ContinuableJob" in continuation.error_message
