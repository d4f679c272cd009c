"""What ContinuableWorker writes into RQ's books: leases, and the ends of jobs that are not ours."""

from __future__ import annotations

from typing import Any

import django_rq
import pytest
from redis.client import Pipeline
from rq.job import JobStatus
from rq.worker import BaseWorker

from continuations.liveness import LEASE, lease_key
from continuations.models import Execution
from continuations.worker import ContinuableSimpleWorker
from tests.shop.jobs import Count

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_url", "own_signals"),
]


class SaysItAlone(ContinuableSimpleWorker):
    """As with a release of RQ that notes the execution first, and the worker's state on its own."""

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        BaseWorker.set_state(self, state)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent together, each as one text."""
    found: list[str] = []
    execute = Pipeline.execute

    def note(self: Pipeline, *args: Any, **kwargs: Any) -> Any:
        found.append(repr(self.command_stack))
        return execute(self, *args, **kwargs)

    monkeypatch.setattr(Pipeline, "execute", note)
    return found


def run(kind: type[ContinuableSimpleWorker]) -> Execution:
    queue = django_rq.get_queue("default")
    row = Count.enqueue("a", 1)
    kind([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")
    return row.execution_records.get()


def test_the_lease_is_given_in_the_transaction_in_which_rq_notes_the_execution(sent: list[str]) -> None:
    execution = run(ContinuableSimpleWorker)
    (together,) = [each for each in sent if lease_key(execution.rq_execution_id) in each]
    assert f"rq:executions:{execution.rq_job_id}" in together
    assert execution.lease == LEASE


def test_the_lease_is_given_if_rq_notes_it_in_another_way(sent: list[str]) -> None:
    execution = run(SaysItAlone)
    (together,) = [each for each in sent if lease_key(execution.rq_execution_id) in each]
    assert "rq:executions:" not in together
    assert execution.lease == LEASE


def test_a_job_that_cannot_be_read_fails_as_with_plain_rq() -> None:
    queue = django_rq.get_queue("default")
    job = queue.enqueue(len, "a")
    queue.connection.hset(job.key, "data", "no data of RQ's")
    worker = ContinuableSimpleWorker([queue], connection=queue.connection)
    worker.work(burst=True, logging_level="CRITICAL")
    assert job.get_status() == JobStatus.FAILED
    assert job.id in queue.failed_job_registry
