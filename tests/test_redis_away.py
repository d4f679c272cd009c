"""A Redis that goes away in the middle of a job or as it ends, and comes back with all it knew or with nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
from rq import Callback

from continuations.models import Continuation
from tests.chaos.servers import Valkey
from tests.processes import Worker, eventually
from tests.shop import jobs
from tests.shop.jobs import EndsWhenTold
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]


@pytest.fixture(params=[True, False], ids=["remembers", "forgets"])
def valkey(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Valkey]:
    """One of each test's own, which it may kill."""
    server = Valkey(tmp_path if request.param else None)
    server.remembers = request.param
    server.start()
    yield server
    server.kill()


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


@pytest.mark.parametrize("kind", [None, "rq.Worker"])
@pytest.mark.parametrize("seconds", [1, 15, 40])
def test_x(valkey, start_worker: StartWorker, seconds, kind) -> None:
    worker = start_worker("default", worker_class=kind)
    options: dict[str, Any] = {
        "on_success": Callback(jobs.succeeded),
        "on_failure": Callback(jobs.failed),
        "meta": {"run": "b"},
    }
    continuation = EndsWhenTold.using(rq_options=options).enqueue("a")
    django_rq.get_queue("default").enqueue(jobs.dependent, "b", depends_on=continuation.rq_job_id)
    eventually(lambda: "waits" in items("a"), worker.output)
    valkey.kill()
    jobs.note("a", "told")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    t = time.time()
    time.sleep(seconds)
    valkey.start()
    t = time.time()
    while time.time() < t + 100:
        time.sleep(0.2)
        if worker.process.poll() is not None:
            print("worker ended", time.time() - t, worker.process.returncode)
            print(worker.output())
            worker = start_worker("default", worker_class=kind)
        if len(items("b")) >= 2:
            break
    print("after", time.time() - t, items("b"), items("a"), continuation.execution_records.count())
    import redis

    r = redis.Redis.from_url(valkey.url)
    for k in sorted(r.keys()):
        print(k)
    assert 0
