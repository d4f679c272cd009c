"""O1: two executions of one continuation at the same moment, on connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from continuations import ContinuableJob, Step
from continuations.claim import Refusal
from continuations.execution import Outcome, execute
from continuations.models import Continuation
from tests.processes import eventually
from tests.shapes import Bench
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)

# Seconds after which whoever waits for the other gives up, so that a failing test ends.
PATIENCE = 60


class Meeting(ContinuableJob):
    """Stops once, inside the transaction of item 1: before its cursor is written there, or after."""

    checkpoint_interval = 0
    arrived, go_on = threading.Event(), threading.Event()

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        raise NotImplementedError

    def meet(self, item: int) -> None:
        if item == 1 and not self.arrived.is_set():
            self.arrived.set()
            assert self.go_on.wait(PATIENCE)


class MeetsBeforeItsWrite(Meeting):
    def fill(self, step: Step) -> None:
        while step.cursor < 4:
            with step.atomic():
                note(step.cursor)
                self.meet(step.cursor)
                step.advance()


class MeetsAfterItsWrite(Meeting):
    def fill(self, step: Step) -> None:
        while (item := step.cursor) < 4:
            with transaction.atomic():
                note(item)
                step.advance()
                self.meet(item)
            step.checkpoint()


def note(item: object) -> None:
    Applied.objects.create(item=str(item))


def items() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


class Elsewhere(threading.Thread):
    """An execution on a connection of its own. To it, all others are dead."""

    def __init__(self, continuation: Continuation) -> None:
        super().__init__(daemon=True)
        self.continuation = continuation
        self.outcome: Outcome | None = None
        self.start()

    def run(self) -> None:
        # No signals in a thread.
        try:
            self.outcome = execute(self.continuation.pk, 0, Bench())
        finally:
            connection.close()

    def result(self) -> Outcome:
        self.join(PATIENCE)
        assert self.outcome is not None
        return self.outcome


@pytest.fixture
def meet() -> Iterator[Callable[[type[Meeting]], tuple[Continuation, Elsewhere]]]:
    """Start a job, up to where it stops."""
    Meeting.arrived.clear()
    Meeting.go_on.clear()

    def start(job_class: type[Meeting]) -> tuple[Continuation, Elsewhere]:
        continuation = job_class.enqueue()
        first = Elsewhere(continuation)
        assert Meeting.arrived.wait(PATIENCE)
        return continuation, first

    yield start
    Meeting.go_on.set()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return cursor.fetchone() is not None
        # The tables of information_schema are not refreshed while somebody keeps asking.
        cursor.execute("SHOW ENGINE INNODB STATUS")
        return "LOCK WAIT" in cursor.fetchone()[2]


def test_a_block_whose_execution_is_replaced_before_its_write_is_rolled_back(meet: Any) -> None:
    """The write at its end matches nothing. SQLite lets nobody replace an execution whose block is open."""
    if connection.vendor == "sqlite":
        return
    continuation, first = meet(MeetsBeforeItsWrite)
    assert Elsewhere(continuation).result().status == "succeeded"
    Meeting.go_on.set()
    assert first.result().refusal is Refusal.SUPERSEDED
    assert items() == ["0", "1", "2", "3"]


def test_whoever_replaces_an_execution_waits_for_a_block_that_has_written(meet: Any) -> None:
    """Else it would load the cursor from before that block, which commits all the same: its item would come twice."""
    continuation, first = meet(MeetsAfterItsWrite)
    second = Elsewhere(continuation)
    if connection.vendor != "sqlite":
        eventually(somebody_waits_for_a_lock)
    assert second.outcome is None
    Meeting.go_on.set()
    # With SQLite the first one may come to its end before the second has asked for the lock again.
    assert sorted(str(each.result().status) for each in (first, second)) == ["None", "succeeded"]
    assert items() == ["0", "1", "2", "3"]
