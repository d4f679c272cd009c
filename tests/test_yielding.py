"""`max_runtime` and throttling: a job makes room for others, and goes on where it was. Real workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from continuations.models import Continuation
from tests.processes import Worker, eventually
from tests.shop.jobs import Count, Polite, Throttled
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def expected(n: int) -> list[str]:
    return ["first", *map(str, range(n))]


def have_ended(*continuations: Continuation) -> bool:
    for continuation in continuations:
        continuation.refresh_from_db()
    return all(continuation.status == "succeeded" for continuation in continuations)


def runs() -> list[tuple[str, str]]:
    """All executions in order: job, and why it left."""
    from continuations.models import Execution

    found = Execution.objects.order_by("started_at").select_related("continuation")
    return [(each.continuation.job_name, each.reason) for each in found]


def rest_of(continuation: Continuation) -> tuple[dt.datetime, dt.datetime]:
    """From the end of its first execution to the start of its second."""
    first, second = continuation.execution_records.all()
    assert first.finished_at is not None
    return first.finished_at, second.started_at


@pytest.mark.parametrize("worker_class", ["rq.Worker", None])
def test_after_max_runtime_the_jobs_that_wait_run_first(start_worker: StartWorker, worker_class: str | None) -> None:
    """To the back of the queue, and the design working: nothing counts against a limit."""
    polite = Polite.enqueue("a", 150)
    others = [Count.enqueue("b", 2), Count.enqueue("c", 2)]
    worker = start_worker("default", worker_class=worker_class)
    eventually(lambda: have_ended(polite, *others), worker.output)
    first, second, third, *slices, last = runs()
    assert [first, second, third] == [("Polite", "max_runtime"), ("Count", ""), ("Count", "")]
    assert set(slices) == {("Polite", "max_runtime")}
    assert last == ("Polite", "")
    assert items("a") == expected(150)
    assert (polite.counted_resumptions, polite.delivery) == (0, 0)


def test_two_jobs_with_max_runtime_take_turns(start_worker: StartWorker) -> None:
    first, second = Polite.enqueue("a", 150), Polite.enqueue("b", 150)
    worker = start_worker("default")
    eventually(lambda: have_ended(first, second), worker.output)
    order = list(
        Continuation.objects.filter(execution_records__isnull=False)
        .order_by("execution_records__started_at")
        .values_list("pk", flat=True)
    )
    assert order[:4] == [first.pk, second.pk, first.pk, second.pk]
    assert (items("a"), items("b")) == (expected(150), expected(150))


def test_a_throttled_job_rests_in_place_where_no_scheduler_runs(start_worker: StartWorker) -> None:
    """W3, F3"""
    throttled = Throttled.enqueue("a", 5)
    worker = start_worker("default")
    eventually(lambda: have_ended(throttled), worker.output)
    left, back = rest_of(throttled)
    assert back - left >= dt.timedelta(seconds=1.9)
    assert runs() == [("Throttled", "throttled"), ("Throttled", "")]
    assert (throttled.delivery, throttled.counted_resumptions) == (0, 0)
    assert items("a") == expected(5)


def test_a_throttled_job_rests_without_a_worker_where_a_scheduler_runs(start_worker: StartWorker) -> None:
    """F3: the jobs that wait run meanwhile."""
    worker = start_worker("default", worker_class=None)
    eventually(lambda: "Scheduler for default started" in worker.output(), worker.output)
    throttled = Throttled.enqueue("a", 5)
    other = Count.enqueue("b", 2)
    eventually(lambda: have_ended(throttled, other), worker.output)
    left, back = rest_of(throttled)
    # Schedulers count in whole seconds, and one that is a second early is let in.
    assert back - left >= dt.timedelta(seconds=0.9)
    assert runs() == [("Throttled", "throttled"), ("Count", ""), ("Throttled", "")]
    assert (throttled.delivery, throttled.counted_resumptions) == (1, 0)
    assert items("a") == expected(5)
