"""W4: a worker's connections are its own, and its horse's are the horse's."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import django_rq
import pytest
from django.db import connection
from django.utils import timezone

from continuations.models import Continuation
from tests.processes import Worker, eventually, ports
from tests.shop.jobs import Count, LooksAround
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

WORKERS = {"ContinuableWorker": None, "ContinuableSpawnWorker": "continuations.worker.ContinuableSpawnWorker"}


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


@pytest.mark.parametrize("worker_class", WORKERS.values(), ids=WORKERS)
def test_a_horse_uses_no_connection_of_its_worker_while_that_looks_for_lost_continuations(
    start_worker: Callable[..., Worker], worker_class: str | None
) -> None:
    worker = start_worker("default", worker_class=worker_class)
    # It has used the database and Redis before it forks.
    eventually(lambda: "Listening" in worker.output(), worker.output)
    continuation = LooksAround.enqueue("a", 300)
    eventually(lambda: len(items("a")) > 5, worker.output)
    redis, database = items("a")[:2]
    # One of its own: none came with the fork, as the worker had none.
    assert database == "database 1, of the worker 0"
    server, client = map(int, redis.split()[1:])
    assert client not in [own for own, other in ports(worker.pid) if other == server]
    # The worker finds something to do while its horse runs.
    lost = Count.enqueue("b", 5)
    django_rq.get_queue("default").empty()
    Continuation.objects.filter(pk=lost.pk).update(check_after=timezone.now() - dt.timedelta(seconds=1))
    eventually(lambda: (status(lost), lost.delivery) == ("enqueued", 1), worker.output)
    assert status(continuation) == "running"
    eventually(lambda: status(lost) == "succeeded", worker.output)
    assert items("a")[2:] == list(map(str, range(300)))
    assert items("b") == ["first", *map(str, range(5))]
    assert [status(continuation), continuation.executions, lost.executions] == ["succeeded", 1, 1]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="Django has pools for PostgreSQL only")
def test_a_horse_shares_no_pool_of_connections_with_its_worker(start_worker: Callable[..., Worker]) -> None:
    """W4, with `OPTIONS = {"pool": ...}`: what was used and closed lies open in the pool, which a fork copies."""
    worker = start_worker("default", worker_class=None, environ={"DJANGO_SETTINGS_MODULE": "tests.pool_settings"})
    # It has looked for lost continuations before it forks.
    eventually(lambda: "Listening" in worker.output(), worker.output)
    continuation = LooksAround.enqueue("a", 3)
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    assert items("a")[1] == "database 1, of the worker 0"


def test_a_horse_imports_nothing_of_ours(start_worker: Callable[..., Worker]) -> None:
    """Its worker has: a fork for each job would import it for each job."""
    worker = start_worker("default", worker_class=None, environ={"PYTHONPROFILEIMPORTTIME": "1"})
    # It looks for lost continuations before it takes the first job.
    eventually(lambda: "Listening" in worker.output(), worker.output)
    first = Count.enqueue("a", 1)
    eventually(lambda: status(first) == "succeeded", worker.output)
    before = len(worker.output())
    second = Count.enqueue("b", 1)
    eventually(lambda: status(second) == "succeeded", worker.output)
    imported = re.findall(r"import time: .*\| +(\S+)$", worker.output()[before:], flags=re.MULTILINE)
    assert "import time: " in worker.output()
    assert [name for name in imported if name.startswith("continuations")] == []
