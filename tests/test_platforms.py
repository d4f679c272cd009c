"""docs/deploying.md: what systemd, containers, Heroku and others send to whom, played with real workers.

Each row of the page names a test here or in test_workers.py, which has those where the job leaves in time.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from continuations.models import Continuation
from tests.processes import Worker, eventually
from tests.shop.jobs import Count, Deaf
from tests.test_workers import expected, items, queued, status

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]

# Seconds; those of the platforms are 10 to 90.
GRACE = 1.0
# A container, as far as processes and signals go: the command is process 1, and when it ends, all end.
CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
# What a Dockerfile's shell form makes of `CMD python manage.py migrate && python manage.py rqworker default`.
SHELL = (*CONTAINER, "sh", "-c", 'true && "$@"; exit', "sh")


def to_the_worker(worker: Worker) -> None:
    """systemd with KillMode=mixed; Supervisor."""
    worker.signal(signal.SIGTERM)


def to_every_process(worker: Worker) -> None:
    """systemd as it comes; Heroku."""
    worker.signal_all(signal.SIGTERM)


def stop(worker: Worker, ask: Callable[[Worker], None]) -> None:
    """Ask, and kill every process that is still there after the grace period, as all platforms do."""
    ask(worker)
    try:
        worker.process.wait(GRACE)
    except subprocess.TimeoutExpired:
        worker.signal_all(signal.SIGKILL)
        worker.wait()


def process_one(worker: Worker) -> int:
    """Process 1 of the container, as it is called outside."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    return int(eventually(lambda: children.read_text().split(), worker.output)[0])


def docker_stop(worker: Worker) -> None:
    """SIGTERM to process 1, and SIGKILL to it after the grace period: the kernel kills all others with it."""
    first = process_one(worker)
    os.kill(first, signal.SIGTERM)
    try:
        worker.process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.kill(first, signal.SIGKILL)
        worker.wait()


@pytest.mark.parametrize("ask", [to_the_worker, to_every_process])
@pytest.mark.parametrize("kind", [None, "rq.SimpleWorker", "rq.worker.HerokuWorker"])
def test_a_grace_period_that_is_too_short_costs_nothing_done_in_blocks(
    start_worker: StartWorker, ask: Callable[[Worker], None], kind: str | None
) -> None:
    """The job reaches no checkpoint in time, and is killed. Here the next worker is ours, on the same machine."""
    first = start_worker("default", worker_class=kind)
    continuation = Deaf.enqueue("a", 12)
    eventually(lambda: "deaf" in items("a"), first.output)
    stop(first, ask)
    assert status(continuation) == "running"
    second = start_worker("default", worker_class=None)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    assert [item for item in items("a") if item != "deaf"] == expected(12)
    assert list(continuation.execution_records.values_list("outcome", "reason")) == [
        ("died", "crash"),
        ("succeeded", ""),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "rq.Worker"])
def test_process_one_of_a_container_interrupts_and_the_next_container_goes_on(
    start_worker: StartWorker, kind: str | None
) -> None:
    """Docker, Compose, Kubernetes, Kamal: the list form of the command, with no init."""
    first = start_worker("default", worker_class=kind, prefix=CONTAINER)
    continuation = Count.enqueue("a", 600)
    eventually(lambda: len(items("a")) > 20, first.output)
    os.kill(process_one(first), signal.SIGTERM)
    first.wait()
    assert status(continuation) == "interrupted"
    assert queued() == [continuation.rq_job_id]
    second = start_worker("default", worker_class=kind, prefix=CONTAINER)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    assert items("a") == expected(600)
    assert continuation.executions == 2


@pytest.mark.slow
def test_a_shell_as_process_one_of_a_container_tells_nobody(start_worker: StartWorker) -> None:
    """The page warns of it. The kernel ignores the signal, and all die after the grace period.

    Another container does not see the processes of the first, so it waits until the lease has run out.
    """
    first = start_worker("default", worker_class=None, prefix=SHELL)
    continuation = Count.enqueue("a", 600)
    eventually(lambda: len(items("a")) > 20, first.output)
    docker_stop(first)
    assert "interrupted" not in first.output()
    assert Continuation.objects.get().status == "running"
    second = start_worker("default", worker_class=None, prefix=CONTAINER)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    assert "its lease has run out" in second.output()
    assert items("a") == expected(600)
