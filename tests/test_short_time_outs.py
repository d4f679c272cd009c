"""E2, E6: RQ's time-out is for the job; what we do before and after it, and while we wait, is no failure of the job."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.utils import timezone

from continuations.models import Continuation
from tests.processes import Worker, eventually
from tests.shop.jobs import Count
from tests.test_flow_workers import followed
from tests.test_recovery import items, rq_status, status

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]

TIMEOUT = 2


def enqueue() -> Continuation:
    return Count.using(rq_options={**followed("b"), "job_timeout": TIMEOUT}).enqueue("a", 3)


def test_a_delivery_that_comes_early_may_wait_longer_than_its_time_out(start_worker: StartWorker) -> None:
    """As one that RQ makes again when a horse is killed while a back-off is waited out in place."""
    continuation = enqueue()
    due = timezone.now() + dt.timedelta(seconds=3 * TIMEOUT)
    Continuation.objects.update(status="waiting", reason="error", run_after=due)
    worker = start_worker("default")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    eventually(lambda: rq_status(continuation) == "finished", worker.output)
    assert continuation.started_at > due - dt.timedelta(seconds=1)
    assert items("b") == ["callback"]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no rows to lock")
def test_a_claim_may_wait_longer_than_its_time_out(start_worker: StartWorker) -> None:
    """As for an open transaction of somebody else's."""
    continuation = enqueue()
    locked, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Continuation.objects.select_for_update().get(pk=continuation.pk)
            locked.set()
            let_go.wait(60)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(10)
        worker = start_worker("default")
        eventually(lambda: rq_status(continuation) == "started", worker.output)
        assert not let_go.wait(2 * TIMEOUT)
    finally:
        let_go.set()
        holder.join()
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    eventually(lambda: rq_status(continuation) == "finished", worker.output)
    assert items("b") == ["callback"]
    assert items("a") == ["first", "0", "1", "2"]
