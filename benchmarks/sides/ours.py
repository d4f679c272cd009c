"""This package."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

from .process import serve, set_up_django

set_up_django()

from django.db import connections  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks import jobs, workers  # noqa: E402
from benchmarks.models import have_records  # noqa: E402
from continuations import ContinuableJob, signals  # noqa: E402
from continuations.execution import execute  # noqa: E402
from continuations.liveness import MARKER_KEY  # noqa: E402
from continuations.models import Continuation, Execution  # noqa: E402
from continuations.transitions import Status  # noqa: E402
from continuations.worker import ContinuableSimpleWorker, ContinuableWorker  # noqa: E402
from continuations.workplace import Workplace  # noqa: E402
from tests.chaos.workers import Command  # noqa: E402
from tests.processes import eventually  # noqa: E402

# Seconds that the jobs take which are stopped, killed and so on: more than any of it lasts.
LONG = 600.0

# Megabytes after so many records.
memory: dict[int, float] = {}


def prepare(records: int) -> float:
    """Make the records that the jobs walk."""
    have_records(records)
    return 0.0


def walk(n: int) -> float:
    """Seconds for a step that walks `n` records."""
    return _run(jobs.Walk, n)


def walk_and_write(n: int) -> float:
    """The same, durable at each."""
    return _run(jobs.WalkDurably, n)


def walk_and_work(n: int) -> float:
    """The same, with work and cursor in one transaction for each."""
    return _run(jobs.Work, n)


def advance(n: int) -> float:
    """Microseconds for a call of `step.advance()`, with its share of the loop."""
    return _run(jobs.Advance, n) / n * 1e6


def beat(n: int) -> float:
    """Milliseconds for a movement of the cursor that is durable."""
    return _run(jobs.Beat, n) / n * 1e3


def steps(n: int) -> float:
    """Milliseconds for a trivial step."""
    return _run(jobs.Steps, n) / n * 1e3


def resume(n: int) -> float:
    """Milliseconds from the claim of a job with `n` completed steps until it has passed them."""
    began, _ = _resume(n)
    return (jobs.passed[-1] - began) * 1e3


def pass_steps(n: int) -> float:
    """Milliseconds of that from the end of the claim on: the query for the steps, and each of them."""
    _, claimed = _resume(n)
    return (jobs.passed[-1] - claimed) * 1e3


def _resume(n: int) -> tuple[float, float]:
    """When the second execution of a job began, and when it had its claim."""
    workers.empty_queue()
    row = jobs.StepsTwice.enqueue(n)
    place = Workplace()
    execute(row.pk, 0, place)
    # As RQ says of what it has put back.
    place.comes_again = True
    claimed: list[float] = []

    def note(**_: Any) -> None:
        claimed.append(time.perf_counter())

    signals.execution_started.connect(note)
    began = time.perf_counter()
    outcome = execute(row.pk, 0, place)
    signals.execution_started.disconnect(note)
    assert outcome.status == Status.SUCCEEDED
    return began, claimed[0]


def memory_at_end(n: int) -> float:
    """Megabytes held after the last of `n` records."""
    jobs.watch = lambda done: memory.setdefault(done, _resident())
    memory.clear()
    _run(jobs.Watched, n)
    return memory[n]


def memory_at_first() -> float:
    """Megabytes held after 10,000 records of the walk that was measured last."""
    return memory[10_000]


def throughput(n: int, forks: bool) -> float:
    """Jobs a second, from the first `enqueue` to the end of the last."""
    queue = workers.empty_queue()
    began = timezone.now()
    rows = [jobs.OneStep.enqueue(i + 1) for i in range(n)]
    # A horse must not inherit the connection.
    connections.close_all()
    kind = ContinuableWorker if forks else ContinuableSimpleWorker
    kind([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")
    ended = Continuation.objects.filter(pk__in=[row.pk for row in rows], status=Status.SUCCEEDED)
    assert ended.count() == n
    return n / workers.seconds_until_last(queue, [row.rq_job_id for row in rows], began)


def enqueue(n: int) -> float:
    """Calls of `enqueue` a second."""
    workers.empty_queue()
    began = time.perf_counter()
    for i in range(n):
        jobs.OneStep.enqueue(i + 1)
    rate = n / (time.perf_counter() - began)
    _forget_enqueued()
    return rate


def enqueue_many(n: int) -> float:
    """Jobs a second, all of them in one call."""
    workers.empty_queue()
    began = time.perf_counter()
    jobs.OneStep.enqueue_many([(i + 1,) for i in range(n)])
    rate = n / (time.perf_counter() - began)
    _forget_enqueued()
    return rate


def latency(n: int, forks: bool) -> list[float]:
    """Milliseconds from `enqueue` until an idle worker has finished the job, `n` times."""
    kind = "ContinuableWorker" if forks else "ContinuableSimpleWorker"
    with workers.started((*workers.HERE, "--worker-class", f"continuations.worker.{kind}")):
        queue = workers.get_queue("default")
        return [
            workers.until_finished(queue, lambda i=i: jobs.OneStep.enqueue(i + 1).rq_job_id)  # type: ignore[misc]
            for i in range(n)
        ]


def stop(n: int, at_once: int = 10) -> list[float]:
    """Milliseconds from SIGTERM to a worker until another one has taken the job from the queue, `n` times.

    `at_once` workers are started together, and each is stopped while it has the job; one more takes what is left.
    """
    readings: list[float] = []
    while len(readings) < n:
        count = min(at_once, n - len(readings))
        with workers.started(*[workers.HERE] * (count + 1)):
            row = jobs.Slow.enqueue(LONG)
            readings += [_until_next(row, lambda pid: os.kill(workers.parent_of(pid), SIGTERM)) for _ in range(count)]
        row.delete()
    return readings


def lose_horse(n: int) -> list[float]:
    """Milliseconds from SIGKILL to the process of a job until the job goes on, `n` times."""
    with workers.started(workers.HERE):
        row = jobs.Slow.enqueue(LONG)
        readings = [_until_next(row, lambda pid: os.kill(pid, SIGKILL)) for _ in range(n)]
    row.delete()
    return readings


def lose_worker(n: int) -> list[float]:
    """Seconds from SIGKILL to a worker and its horse until one that cannot look them up goes on, `n` times."""
    readings = []
    for _ in range(n):
        with workers.started(workers.HERE, workers.ELSEWHERE) as both:
            # What a Redis says that has not just been started.
            workers.get_queue("default").connection.set(MARKER_KEY, time.time() - 3600)
            row = jobs.Slow.enqueue(LONG)
            by_pid = {worker.popen.pid: worker for worker in both}
            readings.append(_until_next(row, lambda pid: _kill(by_pid[workers.parent_of(pid)])) / 1e3)  # noqa: B023
        row.delete()
    return readings


def _until_next(row: Continuation, act: Callable[[int], Any]) -> float:
    """Milliseconds from `act`, which gets the pid of the execution under way, until the next one has begun."""
    records = Execution.objects.filter(continuation=row)
    running = eventually(lambda: records.filter(finished_at=None).first())
    # It is in its step by then, and the worker at rest.
    time.sleep(0.3)
    assert running.pid is not None
    began = timezone.now()
    act(running.pid)
    following = eventually(lambda: records.filter(number=running.number + 1).first())
    return (following.started_at - began).total_seconds() * 1e3


def _kill(worker: Command) -> None:
    for process in worker.processes():
        process.signal(SIGKILL)


def _run(job_class: type[ContinuableJob], n: int) -> float:
    """What the job tells, run by a worker in this process."""
    queue = workers.empty_queue()
    jobs.taken.clear()
    row = job_class.enqueue(n)
    ContinuableSimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED, row.error_traceback
    return jobs.taken[-1]


def _forget_enqueued() -> None:
    """Recovery would deliver them to the workers of other cases, once their queue has been emptied."""
    Continuation.objects.filter(status=Status.ENQUEUED).delete()


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


if __name__ == "__main__":
    serve(
        prepare,
        walk,
        walk_and_write,
        walk_and_work,
        advance,
        beat,
        steps,
        resume,
        pass_steps,
        memory_at_end,
        memory_at_first,
        throughput,
        enqueue,
        enqueue_many,
        latency,
        stop,
        lose_horse,
        lose_worker,
    )
