"""RQ without this package, with jobs that make one query, as jobs of a Django site do at least."""

from __future__ import annotations

import time

from .process import serve, set_up_django

set_up_django()

from django.db import connections  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_rq import get_queue  # noqa: E402
from rq import Queue, SimpleWorker, Worker  # noqa: E402
from rq.defaults import DEFAULT_MAINTENANCE_TASK_INTERVAL  # noqa: E402
from rq.job import Job  # noqa: E402

from benchmarks import workers  # noqa: E402
from benchmarks.models import Cursor, have_records  # noqa: E402
from benchmarks.tasks import one_query, one_query_and_commits  # noqa: E402


def prepare(records: int) -> float:
    """Make the records that the jobs ask for."""
    have_records(records)
    return 0.0


def throughput(n: int, forks: bool, commits: bool = False) -> float:
    """Jobs a second, from the first `enqueue` to the end of the last. `commits`: as many as a job of one step has."""
    queue = workers.empty_queue()
    began = timezone.now()
    jobs = [_enqueue(queue, i + 1, commits) for i in range(n)]
    # A horse must not inherit the connection.
    connections.close_all()
    kind = Worker if forks else SimpleWorker
    kind([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")
    return n / workers.seconds_until_last(queue, [job.id for job in jobs], began)


def enqueue(n: int, rows: bool = False) -> float:
    """Calls of `enqueue` a second. `rows`: with the smallest row that says that there is such a job."""
    queue = workers.empty_queue()
    began = time.perf_counter()
    for i in range(n):
        if rows:
            Cursor.objects.create(owner="")
        queue.enqueue(one_query, i + 1)
    return n / (time.perf_counter() - began)


def enqueue_many(n: int, rows: bool = False) -> float:
    """Jobs a second, all of them in one call."""
    queue = workers.empty_queue()
    began = time.perf_counter()
    if rows:
        Cursor.objects.bulk_create([Cursor(owner="") for _ in range(n)])
    queue.enqueue_many([Queue.prepare_data(one_query, (i + 1,)) for i in range(n)])
    return n / (time.perf_counter() - began)


def latency(n: int, forks: bool, commits: bool = False) -> list[float]:
    """Milliseconds from `enqueue` until an idle worker has finished the job, `n` times."""
    kind = "rq.Worker" if forks else "rq.SimpleWorker"
    queue = get_queue("default")
    with workers.started((*workers.HERE, "--worker-class", kind)):
        return [workers.until_finished(queue, lambda i=i: _enqueue(queue, i + 1, commits).id) for i in range(n)]  # type: ignore[misc]


def _enqueue(queue: Queue, pk: int, commits: bool) -> Job:
    if commits:
        return queue.enqueue(one_query_and_commits, pk, Cursor.objects.create(owner="").pk)
    return queue.enqueue(one_query, pk)


def maintenance_interval() -> float:
    """Seconds after which a worker of RQ looks for jobs whose worker died: a default of its own."""
    return float(DEFAULT_MAINTENANCE_TASK_INTERVAL)


if __name__ == "__main__":
    serve(prepare, throughput, enqueue, enqueue_many, latency, maintenance_interval)
