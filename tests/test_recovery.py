"""Nothing stays lost: deliveries Redis forgot, owners that died, ends that were not reported."""

from __future__ import annotations

import datetime as dt
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import django_rq
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from rq import Callback
from rq.job import Job
from rq.registry import StartedJobRegistry

from continuations.liveness import MARKER_KEY
from continuations.models import Continuation, Execution, StepRecord
from continuations.recovery import recover
from continuations.sessions import session_of
from tests.processes import Worker, eventually, tell
from tests.shop import jobs
from tests.shop.jobs import Count, DiesAlways, SlowRetry
from tests.shop.models import Applied
from tests.silence import SilentServer

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def expected(n: int) -> list[str]:
    return ["first", *map(str, range(n))]


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def redis() -> Any:
    return django_rq.get_connection("default")


def queued() -> list[str]:
    return django_rq.get_queue("default").job_ids


def rq_status(continuation: Continuation) -> str:
    return Job.fetch(continuation.rq_job_id, connection=redis()).get_status().value


def let_time_pass() -> None:
    """As if recovery's times had come: it looks only at what is due."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Continuation.objects.filter(check_after__isnull=False).update(check_after=past)


def redis_remembers() -> None:
    """As if this Redis had not been emptied for an hour."""
    redis().set(MARKER_KEY, timezone.now().timestamp() - 3600)


def test_a_delivery_that_redis_lost_is_made_again(redis_url: str) -> None:
    """W5"""
    continuation = Count.enqueue("a", 1)
    redis().flushall()
    let_time_pass()
    (found,) = Continuation.objects.recover()
    assert (found.action, found.why) == ("delivered again", "its RQ job is gone")
    assert queued() == [f"{continuation.rq_job_id}-1"]


def test_a_delivery_that_was_never_made_is_made(redis_url: str, settings: Any) -> None:
    """Q1: Redis was down at commit."""
    up = settings.RQ_QUEUES
    settings.RQ_QUEUES = {name: {**queue, "URL": "redis://127.0.0.1:1/0"} for name, queue in up.items()}
    continuation = Count.enqueue("a", 1)
    settings.RQ_QUEUES = up
    assert queued() == []
    let_time_pass()
    Continuation.objects.recover()
    assert queued() == [f"{continuation.rq_job_id}-1"]


@pytest.mark.parametrize("into", ["nowhere", "the intermediate queue"])
def test_a_delivery_taken_and_never_started_is_made_again(redis_url: str, into: str) -> None:
    """W5: RQ loses a job for good when a worker of several queues dies between taking and starting it.

    With one queue it would find it minutes later, and count that as a failure.
    """
    continuation = Count.enqueue("a", 1)
    queue = django_rq.get_queue("default")
    if into == "nowhere":
        redis().lpop(queue.key)
    else:
        redis().lmove(queue.key, queue.intermediate_queue_key)
    let_time_pass()
    (found,) = Continuation.objects.recover()
    assert found.why == "its RQ job is in no queue"
    assert queued() == [f"{continuation.rq_job_id}-1"]
    assert redis().lrange(queue.intermediate_queue_key, 0, -1) == []


def test_what_waits_in_its_queue_is_left_alone(redis_url: str) -> None:
    continuation = Count.enqueue("a", 1)
    let_time_pass()
    assert Continuation.objects.recover() == []
    assert queued() == [continuation.rq_job_id]
    continuation.refresh_from_db()
    assert continuation.check_after is not None
    assert continuation.check_after > timezone.now()


def test_what_depends_on_another_job_is_left_alone(redis_url: str) -> None:
    other = django_rq.get_queue("default").enqueue(jobs.dependent, "b")
    Count.using(rq_options={"depends_on": other.id}).enqueue("a", 1)
    let_time_pass()
    assert Continuation.objects.recover() == []


def test_what_is_not_due_to_be_looked_at_costs_two_queries(
    redis_url: str, django_assert_num_queries: Callable[[int], Any]
) -> None:
    Count.enqueue("a", 1)
    with django_assert_num_queries(2):
        assert Continuation.objects.recover() == []


def test_a_dry_run_only_tells(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    continuation = Count.enqueue("a", 1)
    redis().flushall()
    let_time_pass()
    call_command("recover_continuations", "--dry-run")
    assert queued() == []
    assert f"{continuation}: delivered again, because its RQ job is gone" in capsys.readouterr().out


def test_a_second_recovery_at_the_same_time_does_nothing(redis_url: str) -> None:
    Count.enqueue("a", 1)
    redis().flushall()
    let_time_pass()
    with redis().lock("continuations:recovery", timeout=30):
        assert Continuation.objects.recover() == []


def test_nothing_is_known_while_redis_does_not_answer(redis_url: str, settings: Any) -> None:
    """O3"""
    Count.enqueue("a", 1)
    let_time_pass()
    settings.RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:1/0"}}
    assert Continuation.objects.recover() == []


def test_a_redis_that_is_away_does_not_keep_the_continuations_of_others_waiting(
    redis_url: str, settings: Any, silent_server: SilentServer
) -> None:
    """O3, W5: of those whose Redis does not answer nothing is known; the rest is put back, and soon."""
    away = {"URL": f"redis://127.0.0.1:{silent_server.port}/0"}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "away": away, "also": away}
    for queue_name in ("away", "also", "default"):
        Continuation.objects.create(job_path="tests.shop.jobs.Count", queue_name=queue_name, arguments_json="[]")
    let_time_pass()
    found = Continuation.objects.recover()
    assert [(each.continuation.queue_name, each.action) for each in found] == [("default", "delivered again")]
    # Whatever its clients would do, and for however many queues.
    assert silent_server.connections() == 1


def test_the_lock_of_recovery_is_at_the_first_redis_that_answers(redis_url: str, settings: Any) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "a": {"URL": "redis://127.0.0.1:1/0"}}
    Count.enqueue("a", 1)
    redis().flushall()
    let_time_pass()
    with redis().lock("continuations:recovery", timeout=30):
        assert Continuation.objects.recover() == []
    assert [each.action for each in Continuation.objects.recover()] == ["delivered again"]


def test_what_waits_on_a_queue_that_is_gone_keeps_nothing_else_from_being_found(redis_url: str) -> None:
    gone = [
        Continuation(
            job_path="tests.shop.jobs.Count", queue_name="gone", arguments_json="[]", created_at=timezone.now()
        )
        for _ in range(5)
    ]
    Continuation.objects.bulk_create(gone)
    let_time_pass()
    lost = Count.enqueue("a", 1)
    redis().flushall()
    Continuation.objects.filter(pk=lost.pk).update(check_after=timezone.now())
    assert Continuation.objects.recover(limit=5) == []
    assert [each.continuation for each in Continuation.objects.recover(limit=5)] == [lost]


def test_one_that_cannot_be_put_back_keeps_no_other_waiting(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its RQ job cannot be read: another release of RQ wrote it, or somebody by hand."""
    broken = Count.enqueue("a", 1)
    redis().hset(f"rq:job:{broken.rq_job_id}", "retry_intervals", "no list")
    redis().delete("rq:queue:default")
    Continuation.objects.update(status="cancelled", finished_at=timezone.now())
    lost = Count.enqueue("b", 1)
    redis().delete(f"rq:job:{lost.rq_job_id}", "rq:queue:default")
    let_time_pass()
    assert [each.continuation for each in Continuation.objects.recover()] == [lost]
    (record,) = [each for each in caplog.records if each.exc_info]
    assert record.getMessage() == f"{broken}: not recovered"
    # It is looked at again, but not at once.
    broken.refresh_from_db()
    assert broken.check_after > timezone.now() + dt.timedelta(seconds=10)


def test_a_run_does_no_more_than_fits_into_its_time_and_the_next_goes_on(redis_url: str) -> None:
    """W4: a worker looks between two renewals of its own lease, which must not run out meanwhile."""
    parent = Continuation.objects.create(
        job_path="tests.shop.jobs.Count",
        queue_name="default",
        arguments_json="[]",
        status="cancelled",
        finished_at=timezone.now(),
        anchor_open=False,
    )
    children = Count.enqueue_many([("a", 1)] * 100)
    Continuation.objects.exclude(pk=parent.pk).update(parent=parent, check_after=None)
    let_time_pass()
    before, runs, cancelled = time.monotonic(), 0, 0
    assert recover(seconds=0) == []
    while cancelled < len(children):
        (found,) = recover(seconds=0.05)
        assert (found.continuation, found.action) == (parent, "its children cancelled")
        now = Continuation.objects.filter(parent=parent, status="cancelled").count()
        assert now > cancelled
        runs, cancelled = runs + 1, now
    assert runs > 1, f"100 children were cancelled in {time.monotonic() - before:.2f} s"


def test_a_rest_that_is_over_is_ended_where_no_scheduler_runs(redis_url: str) -> None:
    """W5"""
    continuation = Count.using(run_after=dt.timedelta(hours=1)).enqueue("a", 1)
    Continuation.objects.update(run_after=timezone.now() - dt.timedelta(seconds=1))
    let_time_pass()
    (found,) = Continuation.objects.recover()
    assert found.why == "it is due, and no scheduler came"
    assert queued() == [f"{continuation.rq_job_id}-1"]


def test_a_stale_delivery_runs_nothing(redis_url: str, start_worker: StartWorker) -> None:
    """W6: the anchor comes back after it was replaced; it lies down again, and ends when the continuation does."""
    continuation = Count.enqueue("a", 300)
    queue = django_rq.get_queue("default")
    anchor = Job.fetch(continuation.rq_job_id, connection=queue.connection)
    queue.remove(anchor)
    let_time_pass()
    Continuation.objects.recover()
    queue.enqueue(jobs.dependent, "b", depends_on=anchor)
    workers = [start_worker("default", worker_class=None), start_worker("default", worker_class=None)]
    eventually(lambda: len(items("a")) > 10, workers[0].output)
    queue.push_job_id(anchor.id)
    eventually(lambda: "dependent" in items("b"), workers[1].output)
    assert items("a") == expected(300)
    assert status(continuation) == "succeeded"
    assert continuation.executions == 1


def running(owner: dict[str, Any], **changes: Any) -> Continuation:
    """A continuation that an execution owns which never was: its host, worker and records are elsewhere."""
    continuation = Count.enqueue("a", 1)
    redis().delete(django_rq.get_queue("default").key)
    execution = Execution.objects.create(continuation=continuation, number=1, rq_job_id=continuation.rq_job_id, **owner)
    Continuation.objects.filter(pk=continuation.pk).update(
        status="running", owner=execution.pk, executions=1, check_after=None, **changes
    )
    continuation.refresh_from_db()
    return continuation


ELSEWHERE = {"host": "elsewhere", "boot": "another", "pid": 1, "rq_execution_id": "gone", "worker": "w"}


def test_an_owner_whose_lease_has_run_out_is_dead(redis_url: str) -> None:
    """O3"""
    continuation = running({**ELSEWHERE, "lease": 12.0})
    redis_remembers()
    (found,) = Continuation.objects.recover()
    assert (found.action, found.why) == ("taken over", "its lease has run out")
    assert (status(continuation), continuation.reason, continuation.crashes) == ("interrupted", "crash", 1)
    assert queued() == [f"{continuation.rq_job_id}-1"]


def test_owners_are_looked_at_however_many_deliveries_are_due(redis_url: str) -> None:
    """W5: NULLs sort last on PostgreSQL, and a bulk that waits in its queue is due again and again."""
    died = running({**ELSEWHERE, "lease": 12.0})
    Count.enqueue_many([("a", 1)] * 5)
    redis_remembers()
    let_time_pass()
    (found,) = Continuation.objects.recover(limit=3)
    assert (found.continuation.pk, found.action) == (died.pk, "taken over")


def test_deliveries_are_looked_for_however_many_owners_there_are(redis_url: str) -> None:
    """W5: the limit is for deliveries."""
    lost = Count.enqueue("a", 1)
    owners = [running({**ELSEWHERE, "lease": 12.0, "rq_execution_id": str(number)}).owner for number in range(4)]
    redis_remembers()
    let_time_pass()
    found = Continuation.objects.recover(limit=1)
    assert [each.action for each in found] == ["taken over"] * len(owners) + ["delivered again"]
    assert found[-1].continuation.pk == lost.pk


def test_a_bulk_that_waits_in_its_queue_is_looked_at_in_turns(redis_url: str) -> None:
    """W5: each run takes those that are due the longest, and looks at them again later."""
    waiting = {continuation.pk for continuation in Count.enqueue_many([("a", 1)] * 5)}
    let_time_pass()
    for left in (3, 1, 0):
        assert Continuation.objects.recover(limit=2) == []
        due = Continuation.objects.filter(check_after__lte=timezone.now())
        assert due.count() == left
        assert set(due.values_list("pk", flat=True)) <= waiting


def test_an_owner_with_a_lease_is_alive(redis_url: str) -> None:
    """O3"""
    continuation = running({**ELSEWHERE, "lease": 12.0})
    redis_remembers()
    redis().set("continuations:lease:gone", "w")
    redis().set(f"rq:execution:{continuation.rq_job_id}:gone", "")
    assert Continuation.objects.recover() == []


def test_nobody_is_dead_while_redis_may_just_have_been_emptied(redis_url: str) -> None:
    """O3: every lease is missing then."""
    continuation = running({**ELSEWHERE, "lease": 12.0})
    redis().flushall()
    assert Continuation.objects.recover() == []
    assert status(continuation) == "running"


def test_an_owner_without_a_lease_is_dead_when_rq_has_no_record_of_it(redis_url: str) -> None:
    """O3"""
    running(ELSEWHERE)
    redis_remembers()
    (found,) = Continuation.objects.recover()
    assert found.why == "RQ has no record of its execution"


def test_a_request_to_cancel_that_met_a_dead_owner_is_fulfilled(redis_url: str) -> None:
    """O5"""
    continuation = running(ELSEWHERE)
    Continuation.objects.update(status="cancelling")
    redis_remembers()
    (found,) = Continuation.objects.recover()
    assert found.action == "cancelled"
    assert status(continuation) == "cancelled"


def test_a_row_that_somebody_holds_is_left_for_the_next_time(redis_url: str) -> None:
    """O6: recovery waits for nobody."""
    if not connection.features.has_select_for_update_skip_locked:
        # SQLite has one writer at a time, and no row locks to skip.
        return
    continuation = running(ELSEWHERE)
    redis_remembers()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Continuation.objects.select_for_update().get(pk=continuation.pk)
            held.set()
            done.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        assert Continuation.objects.recover() == []
    finally:
        done.set()
        holder.join()
    assert len(Continuation.objects.recover()) == 1


def test_a_dead_owner_that_left_a_transaction_open_loses_its_database_session(redis_url: str) -> None:
    """W5, O6: nobody waits for it; once it has been silent for a while its session is ended."""
    if not connection.features.has_select_for_update_skip_locked:
        # SQLite has no sessions.
        return
    continuation = running(ELSEWHERE)
    long_ago = timezone.now() - dt.timedelta(minutes=5)
    step = StepRecord.objects.create(
        continuation=continuation, position=0, name="first", execution=continuation.owner, heartbeat_at=long_ago
    )
    redis_remembers()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                session = session_of(connection)
                StepRecord.objects.select_for_update().get(pk=step.pk)
                sessions.append(session)
                held.set()
                done.wait(30)
        except DatabaseError:
            pass
        finally:
            connection.close()

    sessions: list[str] = []
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    Execution.objects.update(database_session=sessions[0], started_at=timezone.now())
    try:
        actions = [found.action for found in Continuation.objects.recover()]
        actions += [found.action for found in eventually(lambda: Continuation.objects.recover())]
    finally:
        done.set()
        holder.join()
    assert actions == ["database session ended", "taken over"]


def test_a_job_that_kills_its_process_again_and_again_fails_at_its_limit(start_worker: StartWorker) -> None:
    """E7: max_crashes in a row without progress; what was reached is kept."""
    worker = start_worker("default")
    continuation = DiesAlways.enqueue("a")
    eventually(lambda: status(continuation) == "failed", worker.output)
    assert continuation.error_class == "continuations.errors.CrashLimitError"
    # The first death came after progress, three more without.
    assert list(continuation.execution_records.values_list("outcome", flat=True)) == [*["died"] * 4, "failed"]
    assert items("a") == ["first"]


def test_a_killed_worker_and_horse_are_replaced_by_another_worker_within_fifteen_seconds(
    start_worker: StartWorker,
) -> None:
    """E7, §6: loss of the machine; zero repeated in atomic blocks."""
    workers = [start_worker("default", worker_class=None), start_worker("default", worker_class=None)]
    eventually(lambda: all("Listening" in worker.output() for worker in workers), workers[1].output)
    redis_remembers()
    continuation = Count.enqueue("a", 400)
    eventually(lambda: len(items("a")) > 20, workers[0].output)
    # As if it was another machine: its processes cannot be looked up here.
    Execution.objects.update(boot="another")
    horse = Execution.objects.get().pid
    first, second = sorted(workers, key=lambda worker: horse not in worker.descendants())
    first.signal_all(signal.SIGKILL)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    assert items("a") == expected(400)
    died, succeeded = continuation.execution_records.all()
    assert (died.outcome, died.reason, succeeded.outcome) == ("died", "crash", "succeeded")
    last = Applied.objects.filter(run="a", pid=died.pid).latest("pk")
    tell("loss of the machine to next execution", last.at, succeeded.started_at)
    # A promise of the design, not a matter of this machine's speed: a lease, a beat and a look.
    assert succeeded.started_at - last.at < dt.timedelta(seconds=15)


def test_a_worker_that_starts_again_on_the_same_host_goes_on_at_once(start_worker: StartWorker) -> None:
    """§6: the process table proves death."""
    first = start_worker("default", worker_class=None)
    continuation = Count.enqueue("a", 400)
    eventually(lambda: len(items("a")) > 20, first.output)
    first.signal_all(signal.SIGKILL)
    first.wait()
    again = timezone.now()
    start_worker("default", worker_class=None)
    eventually(lambda: status(continuation) == "succeeded")
    assert items("a") == expected(400)
    died, succeeded = continuation.execution_records.all()
    tell("worker started again to next execution, Python's start included", again, succeeded.started_at)
    assert died.outcome == "died"


def rows_of(continuation: Continuation) -> list[dict[str, Any]]:
    """All that the database holds of it, in all four models and the ledger."""
    return [
        *Continuation.objects.filter(pk=continuation.pk).values(),
        *continuation.steps.order_by("position").values(),
        *continuation.execution_records.order_by("number").values(),
        *continuation.events.order_by("pk").values(),
        *Applied.objects.order_by("pk").values(),
    ]


def books_of(continuation: Continuation) -> dict[str, Any]:
    """All that Redis holds of it: keys with its id in their names, and what other keys have with its id in it.

    But for signs of life, which say something of the worker that gave them, whatever job it had in mind.
    """
    client, pk = redis(), str(continuation.pk).encode()
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"hash": lambda key: {name: value for name, value in client.hgetall(key).items() if name != b"last_heartbeat"},
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
        # Gone since it was listed.
        b"none": lambda key: [],
    }
    found: dict[str, Any] = {}
    for key in client.scan_iter():
        content = read[client.type(key)](key)
        if pk not in key:
            whole = isinstance(content, (bytes, dict))
            content = [each for each in ([content] if whole else content) if pk in repr(each).encode()]
        if content:
            found[key.decode()] = content
    return found


def kill_the_horse(worker: Worker, horse: int) -> None:
    worker.signal_pid(horse, signal.SIGKILL)


def kill_the_worker(worker: Worker, horse: int) -> None:
    worker.signal(signal.SIGKILL)


def kill_both(worker: Worker, horse: int) -> None:
    worker.signal_all(signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_the_horse, kill_the_worker, kill_both])
@pytest.mark.parametrize("queues", [("default",), ("slow", "default")], ids=["one queue", "two queues"])
def test_rq_keeps_nothing_of_an_execution_that_died(
    start_worker: StartWorker, queues: tuple[str, ...], kill: Callable[[Worker, int], None]
) -> None:
    """W5: no entry among the started, no execution, nothing between two queues; RQ would call it abandoned later."""
    first = start_worker(*queues, worker_class=None)
    redis_remembers()
    continuation = Count.enqueue("a", 400)
    eventually(lambda: len(items("a")) > 20, first.output)
    second = start_worker(*queues, worker_class=None)
    kill(first, Applied.objects.filter(run="a").latest("pk").pid)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    eventually(lambda: rq_status(continuation) == "finished", second.output)
    kept = ("rq:job:", "rq:results:", "rq:finished:")
    eventually(lambda: all(key.startswith(kept) for key in books_of(continuation)), lambda: str(books_of(continuation)))
    assert items("a") == expected(400)


def test_a_zombie_that_wakes_after_its_successor_has_ended_changes_nothing(start_worker: StartWorker) -> None:
    """O1, W6, §6: stopped for longer than its lease, woken when all is over. Nothing, in the database or in RQ."""
    first = start_worker("default", worker_class=None)
    redis_remembers()
    options: dict[str, Any] = {"on_success": Callback(jobs.succeeded), "meta": {"run": "b"}}
    continuation = Count.using(rq_options=options).enqueue("a", 300)
    django_rq.get_queue("default").enqueue(jobs.dependent, "b", depends_on=continuation.rq_job_id)
    eventually(lambda: len(items("a")) > 20, first.output)
    first.signal_all(signal.SIGSTOP)
    second = start_worker("default", worker_class=None)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    eventually(lambda: sorted(items("b")) == ["callback", "dependent"], second.output)
    eventually(lambda: rq_status(continuation) == "finished", second.output)
    # Its number has ended by now, too, and nobody is left to change anything.
    second.signal(signal.SIGTERM)
    second.wait()
    rows, books = rows_of(continuation), books_of(continuation)
    assert f"rq:job:{continuation.rq_job_id}" in books
    first.signal_all(signal.SIGCONT)
    eventually(lambda: "this duplicate ends" in first.output(), first.output)
    zombie = Execution.objects.get(continuation=continuation, number=1).pid
    eventually(lambda: zombie not in first.descendants(), first.output)
    # Its worker has taken notice, and goes on.
    other = Count.enqueue("c", 1)
    eventually(lambda: status(other) == "succeeded", first.output)
    Applied.objects.filter(run="c").delete()
    assert rows_of(continuation) == rows
    assert books_of(continuation) == books
    assert items("a") == expected(300)


def test_an_emptied_redis_doubles_no_running_job_and_loses_no_waiting_one(start_worker: StartWorker) -> None:
    """§6"""
    worker = start_worker("default", worker_class=None)
    first = Count.enqueue("a", 400)
    second = Count.enqueue("b", 5)
    eventually(lambda: len(items("a")) > 20, worker.output)
    redis().flushall()
    let_time_pass()
    eventually(lambda: status(first) == "succeeded" and status(second) == "succeeded", worker.output)
    assert items("a") == expected(400)
    assert items("b") == expected(5)
    assert first.executions == 1


def test_an_rq_job_that_redis_evicted_is_delivered_again(start_worker: StartWorker) -> None:
    """W5: RQ drops an id from its queue without a word when there is no job behind it."""
    continuation = Count.enqueue("a", 5)
    redis().delete(f"rq:job:{continuation.rq_job_id}")
    worker = start_worker("default", worker_class=None)
    eventually(lambda: queued() == [], worker.output)
    let_time_pass()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a") == expected(5)
    assert continuation.delivery == 1


def test_a_running_job_that_rq_takes_for_abandoned_is_not_run_twice(start_worker: StartWorker) -> None:
    """O4: a worker whose clock is an hour fast finds that all executions of RQ's have expired, and delivers again."""
    workers = [start_worker("default", worker_class=None), start_worker("default", worker_class=None)]
    queue = django_rq.get_queue("default")
    continuation = Count.enqueue("a", 400)
    queue.enqueue(jobs.dependent, "b", depends_on=continuation.rq_job_id)
    eventually(lambda: len(items("a")) > 20, workers[0].output)
    StartedJobRegistry(queue=queue).cleanup(timestamp=timezone.now().timestamp() + 3600)
    eventually(lambda: "duplicate" in workers[0].output() + workers[1].output())
    assert (status(continuation), items("b")) == ("running", [])
    eventually(lambda: status(continuation) == "succeeded")
    eventually(lambda: items("b") == ["dependent"])
    assert items("a") == expected(400)
    assert continuation.executions == 1


def test_a_horse_whose_worker_died_stops_at_its_next_checkpoint(start_worker: StartWorker) -> None:
    """W3: orphaned"""
    first = start_worker("default", worker_class=None)
    continuation = Count.enqueue("a", 600)
    eventually(lambda: len(items("a")) > 20, first.output)
    first.signal(signal.SIGKILL)
    first.wait()
    eventually(lambda: status(continuation) == "interrupted", first.output)
    assert continuation.reason == "orphaned"
    start_worker("default", worker_class=None)
    let_time_pass()
    eventually(lambda: status(continuation) == "succeeded")
    assert items("a") == expected(600)


def test_an_interruption_is_not_counted_as_a_failed_job(start_worker: StartWorker) -> None:
    """W4"""
    worker = start_worker("default", worker_class=None)
    continuation = Count.using(rq_options={"job_timeout": 3}).enqueue("a", 600)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert continuation.executions > 1
    from rq import Worker as RQWorker

    (found,) = RQWorker.all(connection=redis())
    eventually(lambda: found.refresh() or found.successful_job_count == 1)
    assert found.failed_job_count == 0


def test_an_end_that_rq_was_not_told_of_is_reported(redis_url: str) -> None:
    """W5: the worker died between the commit and RQ's own books."""
    continuation = SlowRetry.enqueue("a", 0)
    redis().flushall()
    Continuation.objects.update(status="succeeded", finished_at=timezone.now(), delivery=1)
    let_time_pass()
    (found,) = Continuation.objects.recover()
    assert found.action == "its end reported"
    assert queued() == [continuation.rq_job_id]


def test_a_report_of_the_end_that_a_worker_took_and_lost_is_made_again(redis_url: str) -> None:
    """W6: it had taken the anchor from its queue, and was killed before it began. RQ still calls that queued."""
    continuation = Count.enqueue("a", 1)
    Continuation.objects.update(status="succeeded", finished_at=timezone.now(), delivery=1)
    queue = django_rq.get_queue("default")
    let_time_pass()
    # It stands in the queue: that is as it should be.
    recover()
    assert queue.get_job_ids() == [continuation.rq_job_id]
    queue.connection.lmove(queue.key, queue.intermediate_queue_key)
    assert queue.get_job_ids() == []
    let_time_pass()
    (found,) = recover()
    assert found.action == "its end reported"
    assert queue.get_job_ids() == [continuation.rq_job_id]
    assert queue.connection.lrange(queue.intermediate_queue_key, 0, -1) == []
