"""A Redis that goes away while a job runs, and comes back with all it knew or with nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
from rq import Callback
from rq.exceptions import NoSuchJobError
from rq.job import Job

from continuations.models import Continuation
from tests.chaos.servers import Valkey
from tests.processes import Worker, eventually
from tests.shop import jobs
from tests.shop.jobs import Count, EndsWhenTold
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]
WORKERS = {
    "Worker": "rq.Worker",
    "ContinuableWorker": None,
    "ContinuableSimpleWorker": "continuations.worker.ContinuableSimpleWorker",
}


@pytest.fixture(params=[True, False], ids=["all it knew", "nothing"])
def remembers(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def valkey(remembers: bool, tmp_path: Path) -> Iterator[Valkey]:
    """One of this test's own, in place of the one that all tests share."""
    server = Valkey(tmp_path if remembers else None)
    server.start()
    yield server
    server.kill()


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def rq_status(continuation: Continuation) -> str | None:
    """None where a Redis that knows nothing has not been told yet."""
    try:
        job = Job.fetch(continuation.rq_job_id, connection=django_rq.get_connection("default"))
    except NoSuchJobError:
        return None
    return job.get_status().value


@pytest.mark.parametrize("worker_class", WORKERS.values(), ids=WORKERS)
def test_a_job_that_ends_while_redis_is_away_is_reported_when_it_is_back(
    valkey: Valkey, remembers: bool, start_worker: StartWorker, worker_class: str | None
) -> None:
    """E2, W5: by the horse that ran it; RQ would take it for abandoned, and call its on_failure minutes later."""
    worker = start_worker("default", worker_class=worker_class)
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
    eventually(lambda: "waiting to tell it of the outcome" in worker.output(), worker.output)
    assert items("b") == []
    valkey.start()
    eventually(lambda: "callback" in items("b"), worker.output)
    eventually(lambda: rq_status(continuation) == "finished", worker.output)
    if remembers:
        eventually(lambda: "dependent" in items("b"), worker.output)
    assert set(items("b")) <= {"callback", "dependent"}
    assert items("a") == ["first", "waits", "told", "end"]
    # This worker goes on working.
    other = Count.enqueue("c", 1)
    eventually(lambda: status(other) == "succeeded", worker.output)
    assert (status(continuation), continuation.executions) == ("succeeded", 1)


def test_a_redis_that_goes_away_in_the_middle_of_a_job_does_not_disturb_it(
    valkey: Valkey, start_worker: StartWorker
) -> None:
    """§6: not even over the beats of the worker, at which RQ's own would end and leave its horse an orphan."""
    worker = start_worker("default", worker_class=None)
    continuation = Count.enqueue("a", 300, pause=0.03)
    eventually(lambda: len(items("a")) > 20, worker.output)
    valkey.kill()
    eventually(lambda: worker.output().count("lease not renewed") == 2, worker.output)
    assert status(continuation) == "running"
    valkey.start()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    eventually(lambda: rq_status(continuation) == "finished", worker.output)
    assert items("a") == ["first", *map(str, range(300))]
    assert continuation.executions == 1
    assert worker.process.poll() is None
