"""Real workers, a real Valkey, real signals."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from continuations.models import Continuation
from tests.processes import Worker, eventually
from tests.shop.jobs import Count
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def expected(n: int) -> list[str]:
    return ["first", *map(str, range(n))]


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def test_sigterm_to_a_stock_worker_interrupts_and_the_next_worker_goes_on_at_the_next_row(
    start_worker: StartWorker,
) -> None:
    first = start_worker("default")
    continuation = Count.enqueue("a", 400)
    eventually(lambda: len(items("a")) > 20, first.output)
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    assert status(continuation) == "interrupted"
    assert continuation.reason == "stopping"
    done = len(items("a"))
    assert done < 401
    start_worker("default")
    eventually(lambda: status(continuation) == "succeeded")
    assert items("a") == expected(400)
    assert continuation.executions == 2
