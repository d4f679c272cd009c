"""How late RQ's own worker lets its jobs come back. Takes minutes: `pytest -m slow`."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable

import django_rq
import pytest
from rq.job import Job

from continuations.liveness import MARKER_KEY
from continuations.models import Continuation, Execution
from tests.processes import Worker, eventually, tell
from tests.shop.jobs import Count
from tests.shop.models import Applied

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# Seconds: RQ's record of an execution lives for 90 after the last sign of life, and somebody has to look.
PATIENCE = 240.0


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def test_a_lost_stock_worker_is_replaced_once_its_record_has_run_out(start_worker: Callable[..., Worker]) -> None:
    """E7, W3: by another stock worker, where `recover_continuations` is run again and again."""
    first = start_worker("default")
    redis = django_rq.get_connection("default")
    # As if this Redis had not been emptied for an hour.
    redis.set(MARKER_KEY, dt.datetime.now(tz=dt.UTC).timestamp() - 3600)
    continuation = Count.enqueue("a", 400)
    eventually(lambda: Applied.objects.count() > 20, first.output)
    # As if it was another machine: its processes cannot be looked up here.
    Execution.objects.update(boot="another")
    first.signal_all(signal.SIGKILL)
    last = Applied.objects.latest("pk")
    second = start_worker("default")
    (found,) = eventually(Continuation.objects.recover, second.output, patience=PATIENCE)
    assert (found.action, found.why) == ("taken over", "RQ has no record of its execution")
    eventually(lambda: status(continuation) == "succeeded", second.output)
    died, succeeded = continuation.execution_records.all()
    tell("loss of a stock worker's machine to next execution", last.at, succeeded.started_at)
    assert (died.outcome, died.reason, succeeded.outcome) == ("died", "crash", "succeeded")
    assert list(Applied.objects.order_by("pk").values_list("item", flat=True)) == ["first", *map(str, range(400))]
    eventually(lambda: Job.fetch(continuation.rq_job_id, connection=redis).is_finished, second.output)
