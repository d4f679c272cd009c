"""Queues and real worker processes, for the sides that use RQ."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django_rq import get_queue
from rq import Queue, Worker
from rq.job import Job, JobStatus

from tests.chaos.processes import end_all
from tests.chaos.workers import Command
from tests.processes import eventually

ENVIRON = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
HERE = ("-m", "django", "rqworker", "default")
# On what claims to be another machine: only the lease tells who lives.
ELSEWHERE = ("-m", "tests.chaos.elsewhere", "another-machine", "rqworker", "default")
# Seconds for which a worker that was started is left alone, so that what it does once is done.
SETTLE = 1.0
# Seconds between two readings, so that each finds the worker idle.
PAUSE = 0.05


def empty_queue() -> Queue:
    """The queue, with nothing left in Redis."""
    queue = get_queue("default", commit_mode="auto")
    queue.connection.flushdb()
    return queue


@contextlib.contextmanager
def started(*commands: tuple[str, ...]) -> Iterator[list[Command]]:
    """Idle workers, one for each command; what is left of them is killed at the end."""
    queue = empty_queue()
    mark = f"benchmarks-{os.getpid()}-"
    log = Path(tempfile.mkstemp(prefix="worker-", suffix=".log")[1])
    try:
        found = [Command(f"{mark}{place}", each, log, ENVIRON) for place, each in enumerate(commands)]
        eventually(lambda: Worker.count(connection=queue.connection) == len(found), log.read_text)
        time.sleep(SETTLE)
        yield found
    finally:
        end_all(mark)
        for worker in found:
            worker.popen.wait()
        log.unlink()


def until_finished(queue: Queue, enqueue: Callable[[], str]) -> float:
    """Milliseconds from before `enqueue`, which gives the id of an RQ job, until RQ says that it is finished."""
    time.sleep(PAUSE)
    began = time.perf_counter()
    job = Job.fetch(enqueue(), connection=queue.connection)
    while job.get_status() != JobStatus.FINISHED:
        if time.perf_counter() - began > 60:
            raise AssertionError(f"{job} is {job.get_status()} after a minute")
        time.sleep(0.0005)
    return (time.perf_counter() - began) * 1e3


def seconds_until_last(queue: Queue, ids: list[str], began: dt.datetime) -> float:
    """From `began` to the end of the last of these RQ jobs; what a worker does after that is not their work."""
    found = Job.fetch_many(ids, connection=queue.connection)
    assert all(job is not None and job.get_status(refresh=False) == JobStatus.FINISHED for job in found)
    return max((job.ended_at - began).total_seconds() for job in found if job is not None and job.ended_at is not None)


def parent_of(pid: int) -> int:
    """The process that started another: the worker of a horse."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
