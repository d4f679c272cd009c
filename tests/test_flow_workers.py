"""Verbs, waiting, children and hooks with real workers, a real Valkey and real signals."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import django_rq
import pytest
from django.db import connection
from rq import Callback
from rq.command import send_stop_job_command
from rq.job import Job
from rq.suspension import resume, suspend

from continuations import codec
from continuations.family import wake_parent
from continuations.models import Continuation
from tests.others import Other, run
from tests.processes import Worker, database_url, eventually, tell
from tests.shop import flow, jobs
from tests.shop.flow import Approve, Deaf, DiesAfterItsEnd, FanOut, Nap, Trusting
from tests.shop.jobs import Count
from tests.shop.models import Applied
from tests.test_control import make_old
from tests.test_races import HELD, send_slowly
from tests.test_recovery import (
    expected,
    items,
    let_time_pass,
    queued,
    redis,
    redis_remembers,
    rq_status,
    status,
)

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]

KINDS = {"stock": "rq.Worker", "ours": None}
both_kinds = pytest.mark.parametrize("kind", KINDS)


def followed(run: str, **callbacks: Any) -> dict[str, Any]:
    """Options of RQ's whose callbacks note what RQ was told."""
    told = {"on_success": Callback(jobs.succeeded), "on_failure": Callback(jobs.failed), **callbacks}
    return {**told, "meta": {"run": run}}


def depend_on(continuation: Continuation, run: str) -> None:
    """An ordinary job of RQ's that waits for the end."""
    django_rq.get_queue("default").enqueue(jobs.dependent, run, depends_on=continuation.rq_job_id)


def failed_job_ids() -> list[str]:
    return django_rq.get_queue("default").failed_job_registry.get_job_ids()


def what_rq_knows(continuation: Continuation) -> str:
    """Its last line about the failure."""
    result = Job.fetch(continuation.rq_job_id, connection=redis()).latest_result()
    assert result is not None
    return (result.exc_string or "").strip().splitlines()[-1]


def let_another_job_run(worker: Worker) -> None:
    """The only worker has its hands free."""
    other = Count.enqueue("other", 3)
    eventually(lambda: status(other) == "succeeded", worker.output)


# Pausing and cancelling


@both_kinds
def test_a_running_job_that_is_paused_holds_no_worker_and_ends_for_rq_when_it_ends(
    start_worker: StartWorker, kind: str
) -> None:
    """E2, O5, W6: its anchor rests; callbacks and dependents come once, after the last execution."""
    worker = start_worker("default", worker_class=KINDS[kind])
    continuation = Count.using(rq_options=followed("b")).enqueue("a", 300)
    depend_on(continuation, "b")
    eventually(lambda: len(items("a")) > 20, worker.output)
    continuation.pause(by="ada")
    assert continuation.status == "pausing"
    eventually(lambda: status(continuation) == "paused", worker.output)
    eventually(lambda: rq_status(continuation) == "scheduled", worker.output)
    done = items("a")
    # Within a beat, which is a second; what an item takes comes on top.
    last = Applied.objects.filter(run="a").latest("pk").at
    tell("request to pause to last item", continuation.requested_at, last)
    assert last - continuation.requested_at < dt.timedelta(seconds=1.5)
    let_another_job_run(worker)
    assert (items("a"), items("b"), status(continuation)) == (done, [], "paused")
    continuation.resume(by="ada")
    eventually(lambda: "dependent" in items("b"), worker.output)
    assert items("b") == ["callback", "dependent"]
    assert items("a") == expected(300)
    assert (status(continuation), continuation.executions) == ("succeeded", 2)
    eventually(lambda: rq_status(continuation) == "finished")


@both_kinds
def test_a_running_job_that_is_cancelled_has_failed_for_rq(start_worker: StartWorker, kind: str) -> None:
    """O5, W2"""
    worker = start_worker("default", worker_class=KINDS[kind])
    continuation = Count.using(rq_options=followed("b")).enqueue("a", 2000)
    depend_on(continuation, "b")
    eventually(lambda: len(items("a")) > 20, worker.output)
    continuation.cancel(by="ada", reason="wrong file")
    eventually(lambda: status(continuation) == "cancelled", worker.output)
    eventually(lambda: rq_status(continuation) == "failed", worker.output)
    assert failed_job_ids() == [continuation.rq_job_id]
    assert what_rq_knows(continuation) == f"continuations.errors.ContinuationFailed: {continuation} was cancelled"
    let_another_job_run(worker)
    assert items("b") == ["failed ContinuationFailed"]
    assert continuation.executions == 1


def test_what_is_cancelled_in_its_queue_never_runs_and_has_failed_for_rq(start_worker: StartWorker) -> None:
    continuation = Count.using(rq_options=followed("b")).enqueue("a", 10)
    continuation.cancel()
    assert status(continuation) == "cancelled"
    assert queued() == [continuation.rq_job_id]
    worker = start_worker("default")
    eventually(lambda: rq_status(continuation) == "failed", worker.output)
    assert (items("a"), items("b")) == ([], ["failed ContinuationFailed"])
    assert not Continuation.objects.get(pk=continuation.pk).anchor_open


def test_what_is_cancelled_while_it_rests_has_failed_for_rq(start_worker: StartWorker) -> None:
    """W6: whoever ends it under another number lets the anchor tell."""
    worker = start_worker("default", worker_class=None)
    continuation = Nap.using(rq_options=followed("b")).enqueue("a", 3600)
    eventually(lambda: rq_status(continuation) == "scheduled", worker.output)
    continuation.refresh_from_db()
    continuation.cancel()
    eventually(lambda: rq_status(continuation) == "failed", worker.output)
    assert items("b") == ["failed ContinuationFailed"]


def test_a_job_that_hears_nothing_can_be_taken_from_its_process(start_worker: StartWorker) -> None:
    """O1: what the process does afterwards is written nowhere, in the database or in RQ."""
    workers = [start_worker("default", worker_class=None) for _ in range(2)]
    continuation = Deaf.using(rq_options=followed("b")).enqueue("a")
    eventually(lambda: items("a") == ["begun"], workers[0].output)
    continuation.cancel()
    make_old(continuation)
    continuation.cancel(force=True)
    assert continuation.status == "cancelled"
    # The other worker tells.
    eventually(lambda: rq_status(continuation) == "failed", workers[1].output)
    jobs.note("a", "go on")
    eventually(lambda: "this duplicate ends" in workers[0].output() + workers[1].output())
    for _ in workers:
        let_another_job_run(workers[0])
    assert items("a") == ["begun", "go on"]
    assert items("b") == ["failed ContinuationFailed"]
    assert (status(continuation), rq_status(continuation)) == ("cancelled", "failed")


def test_what_depends_on_another_job_can_be_paused_and_resumed(start_worker: StartWorker) -> None:
    """RQ delivers it in vain while it is paused."""
    first = django_rq.get_queue("default").enqueue(jobs.dependent, "b")
    continuation = Count.using(rq_options={"depends_on": first.id}).enqueue("a", 3)
    continuation.pause()
    worker = start_worker("default", worker_class=None)
    eventually(lambda: rq_status(continuation) == "scheduled", worker.output)
    assert items("b") == ["dependent"]
    assert items("a") == []
    continuation.resume()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    eventually(lambda: rq_status(continuation) == "finished", worker.output)
    assert items("a") == expected(3)


def test_workers_that_are_suspended_leave_their_jobs_and_go_on_with_them(start_worker: StartWorker) -> None:
    """W3: `rq suspend`, with the worker that has a flag of its own."""
    worker = start_worker("default", worker_class=None)
    continuation = Count.enqueue("a", 500)
    eventually(lambda: len(items("a")) > 20, worker.output)
    suspend(redis())
    eventually(lambda: status(continuation) == "interrupted", worker.output)
    assert continuation.reason == "stopping"
    resume(redis())
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == expected(500)


# RQ's stop command


def stop(continuation: Continuation) -> None:
    send_stop_job_command(redis(), continuation.rq_job_id)


def test_rqs_stop_command_cancels_the_job_and_its_children(start_worker: StartWorker) -> None:
    """RQ kills the process and has its own end of it: `stopped`, and no on_failure. We do not contradict it."""
    worker = start_worker("default", worker_class=None)
    options = followed("b", on_stopped=Callback(flow.stopped))
    continuation = FanOut.using(rq_options=options).enqueue("a", 2, 10, 2000)
    eventually(lambda: len(items("a")) > 20, worker.output)
    stop(continuation)
    eventually(lambda: status(continuation) == "cancelled", worker.output)
    eventually(lambda: {child.status for child in continuation.children.all()} == {"cancelled"}, worker.output)
    for child in continuation.children.all():
        eventually(lambda child=child: rq_status(child) == "failed", worker.output)
    assert continuation.request_by == ""
    assert (rq_status(continuation), continuation.rq_job_id in failed_job_ids()) == ("stopped", True)
    assert items("b") == ["stopped"]
    assert list(continuation.execution_records.values_list("outcome", flat=True)) == ["died"]
    assert not Continuation.objects.get(pk=continuation.pk).anchor_open
    # It can run again like any other that was cancelled.
    continuation.rerun_from("count")
    eventually(lambda: status(continuation) == "running", worker.output)


def test_a_child_that_is_stopped_wakes_its_parent(start_worker: StartWorker) -> None:
    workers = [start_worker("default", worker_class=None) for _ in range(2)]
    parent = FanOut.enqueue("a", 1, 2000)
    eventually(lambda: len(items("a0")) > 20, workers[0].output)
    stop(parent.children.get())
    eventually(lambda: status(parent) == "succeeded", workers[1].output)
    assert parent.result == [("cancelled", None)]


def test_a_stopped_job_is_not_taken_over_while_its_worker_calls_back(start_worker: StartWorker) -> None:
    """Another worker sees that the process is gone, and not yet that it was told to stop."""
    workers = [start_worker("default", worker_class=None) for _ in range(2)]
    options = followed("b", on_stopped=Callback(flow.stopped_slowly))
    continuation = Count.using(rq_options=options).enqueue("a", 2000)
    eventually(lambda: len(items("a")) > 20, workers[0].output)
    stop(continuation)
    eventually(lambda: "stopping" in items("b"))
    eventually(lambda: "stopped" in items("b"))
    eventually(lambda: status(continuation) == "cancelled", workers[1].output)
    assert continuation.executions == 1
    assert rq_status(continuation) == "stopped"


def test_under_a_stock_worker_a_stopped_job_is_cancelled_by_recovery(start_worker: StartWorker) -> None:
    worker = start_worker("default")
    continuation = Count.enqueue("a", 2000)
    eventually(lambda: len(items("a")) > 20, worker.output)
    stop(continuation)
    eventually(lambda: rq_status(continuation) == "stopped", worker.output)
    (found,) = eventually(lambda: Continuation.objects.recover())
    assert (found.action, found.why) == ("cancelled", "RQ was told to stop its job")
    assert status(continuation) == "cancelled"


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_stopping_outdoes_a_request(start_worker: StartWorker, verb: str) -> None:
    """A job that hears nothing is stopped: it has ended for RQ, so it is not paused."""
    worker = start_worker("default", worker_class=None)
    continuation = Deaf.enqueue("a")
    eventually(lambda: items("a") == ["begun"], worker.output)
    getattr(continuation, verb)()
    stop(continuation)
    eventually(lambda: status(continuation) == "cancelled", worker.output)
    assert rq_status(continuation) == "stopped"


# Waiting


@both_kinds
def test_waiting_for_an_event_holds_no_worker(start_worker: StartWorker, kind: str) -> None:
    """F2: the event comes from another process; the RQ job ends when the job does."""
    worker = start_worker("default", worker_class=KINDS[kind])
    continuation = Approve.using(rq_options=followed("b")).enqueue("a")
    eventually(lambda: status(continuation) == "waiting", worker.output)
    let_another_job_run(worker)
    assert (status(continuation), items("b")) == ("waiting", [])
    continuation.send("approval", "yes")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    eventually(lambda: rq_status(continuation) == "finished", worker.output)
    assert items("a") == ["asked", "yes"]
    assert items("b") == ["callback"]
    assert continuation.executions == 2


@both_kinds
def test_an_event_reaches_a_job_whose_redis_was_emptied_while_it_waited(start_worker: StartWorker, kind: str) -> None:
    """F2: Redis knows nothing of it, nor of its end that RQ is told all the same."""
    worker = start_worker("default", worker_class=KINDS[kind])
    continuation = Approve.using(rq_options=followed("b")).enqueue("a")
    eventually(lambda: rq_status(continuation) == "scheduled", worker.output)
    redis().flushall()
    continuation.send("approval", "yes")
    eventually(lambda: "callback" in items("b"), worker.output)
    assert items("a") == ["asked", "yes"]
    assert items("b") == ["callback"]


def test_a_sleep_ends_though_redis_was_emptied_meanwhile(start_worker: StartWorker) -> None:
    """W5"""
    worker = start_worker("default", worker_class=None)
    continuation = Nap.enqueue("a", 4)
    eventually(lambda: rq_status(continuation) == "scheduled", worker.output)
    redis().flushall()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == ["before", "after"]
    assert continuation.executions == 2


def test_a_sleep_holds_no_worker(start_worker: StartWorker) -> None:
    """F2: the scheduler of the worker ends it."""
    worker = start_worker("default", worker_class=None)
    continuation = Nap.enqueue("a", 3)
    long = Nap.enqueue("b", 3600)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == ["before", "after"]
    assert continuation.delivery == 1
    first, second = continuation.execution_records.all()
    assert first.finished_at is not None
    assert (second.started_at - first.finished_at).total_seconds() > 1
    assert status(long) == "waiting"


def test_a_short_sleep_is_spent_in_a_worker_without_a_scheduler(start_worker: StartWorker) -> None:
    """W3"""
    worker = start_worker("default")
    continuation = Nap.enqueue("a", 2)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == ["before", "after"]
    assert (continuation.delivery, continuation.executions) == (0, 2)


def test_a_long_sleep_where_no_scheduler_runs_is_ended_by_recovery(start_worker: StartWorker) -> None:
    """W3, W5: it holds no worker either."""
    worker = start_worker("default")
    continuation = Nap.enqueue("a", 3600)
    eventually(lambda: rq_status(continuation) == "scheduled", worker.output)
    let_another_job_run(worker)
    past = continuation.created_at
    Continuation.objects.filter(pk=continuation.pk).update(run_after=past)
    # As if the hour had passed for the step, too.
    continuation.steps.filter(name="nap").update(cursor_json=codec.encode(past))
    let_time_pass()
    Continuation.objects.recover()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == ["before", "after"]


# Children


@both_kinds
def test_children_run_on_all_workers_and_their_parent_goes_on_when_all_have_ended(
    start_worker: StartWorker, kind: str
) -> None:
    """F2"""
    workers = [start_worker("default", worker_class=KINDS[kind]) for _ in range(2)]
    parent = FanOut.enqueue("a", 4, 60)
    eventually(lambda: status(parent) == "succeeded", workers[0].output)
    assert parent.result == [("succeeded", 60)] * 4
    for i in range(4):
        assert items(f"a{i}") == expected(60)
    assert parent.children.count() == 4
    # The last of them wakes it, once.
    assert parent.executions == 2
    eventually(lambda: rq_status(parent) == "finished", workers[0].output)


def test_a_parent_that_is_cancelled_takes_its_running_children_along(start_worker: StartWorker) -> None:
    workers = [start_worker("default", worker_class=None) for _ in range(2)]
    parent = FanOut.enqueue("a", 3, 2000)
    eventually(lambda: len(items("a0")) > 10 and len(items("a1")) > 10, workers[0].output)
    parent.refresh_from_db()
    assert parent.status == "waiting"
    parent.cancel(by="ada")
    assert parent.status == "cancelled"
    eventually(lambda: {child.status for child in parent.children.all()} == {"cancelled"}, workers[0].output)
    for child in parent.children.all():
        eventually(lambda child=child: rq_status(child) == "failed", workers[0].output)
    assert {child.request_by for child in parent.children.all()} == {"ada"}


def test_a_parent_whose_last_child_died_before_it_could_say_so_is_woken_by_recovery(
    start_worker: StartWorker,
) -> None:
    """W5"""
    worker = start_worker("default", worker_class=None)
    parent = Trusting.enqueue("a")
    eventually(lambda: "success" in items("a"), worker.output)
    child = Continuation.objects.for_job(DiesAfterItsEnd).get()
    eventually(lambda: rq_status(child) == "finished", worker.output)
    assert status(parent) == "waiting"
    let_time_pass()
    eventually(lambda: status(parent) == "succeeded", worker.output)
    assert parent.result == ["succeeded"]


CANCELS_AND_DIES = """
import os, signal, sys, django
django.setup()
from django.db import transaction
from continuations.models import Continuation
with transaction.atomic():
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    Continuation.objects.get(pk=sys.argv[1]).cancel(by="ada")
"""


def test_children_that_a_killed_canceller_left_are_cancelled_by_recovery(
    start_worker: StartWorker, redis_url: str
) -> None:
    """W5: it died between the commit and what follows it."""
    worker = start_worker("default", worker_class=None)
    parent = FanOut.using(rq_options=followed("b")).enqueue("a", 2, 2000)
    eventually(lambda: len(items("a0")) > 10, worker.output)
    environ = {"REDIS_URL": redis_url, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", CANCELS_AND_DIES, str(parent.pk)], env={**environ, "PYTHONPATH": "."}, check=False
    )
    assert done.returncode == -9
    assert status(parent) == "cancelled"
    assert not parent.children.filter(status__startswith="cancel").exists()
    let_time_pass()
    eventually(lambda: {child.status for child in parent.children.all()} == {"cancelled"}, worker.output)
    assert {child.request_by for child in parent.children.all()} == {"ada"}
    let_time_pass()
    eventually(lambda: rq_status(parent) == "failed", worker.output)
    assert items("b") == ["failed ContinuationFailed"]


def test_recovery_waits_for_no_parent_that_somebody_keeps_locked(redis_url: str) -> None:
    """O6"""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, and no rows to lock")
    parent = FanOut.enqueue("a", 1, 10)
    run(parent)
    assert status(parent) == "waiting"
    parent.children.update(status="succeeded", anchor_open=False)
    let_time_pass()
    with Other(lambda: send_slowly(parent), until=HELD), Other(Continuation.objects.recover, until="never") as other:
        assert other.join() == []
    let_time_pass()
    (found,) = Continuation.objects.recover()
    assert (found.continuation, found.action) == (parent, "woken")
    assert not wake_parent(Continuation, "default", parent.pk)


# Following up


def test_what_on_success_enqueued_survives_a_kill_right_after_the_end(start_worker: StartWorker) -> None:
    """F1: it ran once, though RQ delivered the job again and was told of the success by that."""
    worker = start_worker("default", worker_class=None)
    redis_remembers()
    continuation = DiesAfterItsEnd.using(rq_options=followed("b")).enqueue("a")
    eventually(lambda: "callback" in items("b"), worker.output)
    assert items("b") == ["callback"]
    assert items("a") == ["only", "success"]
    assert (status(continuation), continuation.executions) == ("succeeded", 1)
    # Nobody has delivered the child.
    let_time_pass()
    child = continuation.children.get()
    eventually(lambda: status(child) == "succeeded", worker.output)
    assert items("a followed") == expected(2)
    assert items("a") == ["only", "success"]
