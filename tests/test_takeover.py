"""Two executions of one continuation at the same moment, and others who want the same rows, on real connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from continuations import ContinuableJob, Step
from continuations.claim import Refusal
from continuations.ends import Outcome
from continuations.execution import execute
from continuations.models import Continuation, StepRecord
from continuations.testing import run_until_finished
from continuations.workplace import Workplace
from tests.processes import eventually
from tests.proxy import connected_to
from tests.shapes import Bench
from tests.shop.models import Applied, Product

pytestmark = pytest.mark.django_db(transaction=True)

# Seconds after which whoever waits for the other gives up, so that a failing test ends.
PATIENCE = 60
# As psycopg counts them; MySQL takes the words.
LEVELS = {"read committed": 2, "repeatable read": 3, "serializable": 4}


class Meeting(ContinuableJob):
    """Stops once, inside the transaction of item 1."""

    checkpoint_interval = 0
    arrived, go_on = threading.Event(), threading.Event()

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 4:
            with step.atomic():
                note(step.cursor)
                self.meet(step.cursor)
                step.advance()

    def meet(self, item: int) -> None:
        if item == 1 and not self.arrived.is_set():
            self.arrived.set()
            assert self.go_on.wait(PATIENCE)


class MeetsAfterItsWrite(Meeting):
    def fill(self, step: Step) -> None:
        while (item := step.cursor) < 4:
            with transaction.atomic():
                note(item)
                step.advance()
                self.meet(item)
            step.checkpoint()


class MeetsWithALock(Meeting):
    def meet(self, item: int) -> None:
        Product.objects.update(rank=item)
        super().meet(item)


def note(item: object) -> None:
    Applied.objects.create(item=str(item))


def items() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


class Elsewhere(threading.Thread):
    """An execution on a connection of its own."""

    def __init__(self, options: dict[str, Any], continuation: Continuation, workplace: Workplace) -> None:
        super().__init__(daemon=True)
        self.options = options
        self.continuation, self.workplace = continuation, workplace
        self.outcome: Outcome | None = None
        self.start()

    def run(self) -> None:
        with connected_to(OPTIONS={**connection.settings_dict["OPTIONS"], **self.options}):
            self.outcome = execute(self.continuation.pk, 0, self.workplace)

    def result(self) -> Outcome:
        self.join(PATIENCE)
        assert self.outcome is not None
        return self.outcome


Start = Callable[[Continuation, Workplace], Elsewhere]


@pytest.fixture(params=[None] if connection.vendor == "sqlite" else LEVELS)
def elsewhere(request: pytest.FixtureRequest) -> Start:
    """Starts an execution on a connection with some isolation level. SQLite has only one."""
    level = request.param
    options = {"postgresql": {"isolation_level": LEVELS.get(level)}, "mysql": {"isolation_level": level}}
    return partial(Elsewhere, options.get(connection.vendor, {}))


@pytest.fixture(autouse=True)
def _nobody_has_met() -> Iterator[None]:
    Meeting.arrived.clear()
    Meeting.go_on.clear()
    yield
    Meeting.go_on.set()


def meet(job_class: type[Meeting], elsewhere: Start) -> tuple[Continuation, Elsewhere]:
    """Start a job, up to where it stops."""
    continuation = job_class.enqueue()
    first = elsewhere(continuation, Bench())
    assert Meeting.arrived.wait(PATIENCE)
    return continuation, first


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


def test_a_block_whose_execution_is_replaced_before_its_write_is_rolled_back(elsewhere: Start) -> None:
    """O1: the write at its end matches nothing. SQLite lets nobody replace an execution whose block is open."""
    if connection.vendor == "sqlite":
        return
    continuation, first = meet(Meeting, elsewhere)
    assert elsewhere(continuation, Bench()).result().status == "succeeded"
    Meeting.go_on.set()
    assert first.result().refusal is Refusal.SUPERSEDED
    assert items() == ["0", "1", "2", "3"]


def test_whoever_replaces_an_execution_waits_for_a_block_that_has_written(elsewhere: Start) -> None:
    """O1: else it would load the cursor from before a block that commits all the same, and do its item again."""
    continuation, first = meet(MeetsAfterItsWrite, elsewhere)
    second = elsewhere(continuation, Bench())
    if connection.vendor != "sqlite":
        eventually(somebody_waits_for_a_lock)
    assert second.outcome is None
    Meeting.go_on.set()
    # With SQLite the first one may come to its end before the second has asked for the lock again.
    assert sorted(str(each.result().status) for each in (first, second)) == ["None", "succeeded"]
    assert items() == ["0", "1", "2", "3"]


def test_of_those_who_claim_at_the_same_moment_one_runs(elsewhere: Start) -> None:
    """O1: a delivery that comes several times, to workers that can see that the others live."""
    for _ in range(10):
        Applied.objects.all().delete()
        Meeting.arrived.set()
        continuation = Meeting.enqueue()
        outcomes = [each.result() for each in [elsewhere(continuation, Workplace()) for _ in range(4)]]
        assert [each.status for each in outcomes if each.refusal is None] == ["succeeded"]
        assert {each.refusal for each in outcomes} <= {None, Refusal.OWNED, Refusal.ENDED}
        assert items() == ["0", "1", "2", "3"]
        continuation.refresh_from_db()
        assert continuation.executions == continuation.execution_records.count() == 1


def test_a_deadlock_that_our_own_write_loses_costs_nothing(elsewhere: Start) -> None:
    """O6: the block is done again, and it is nobody's failure. SQLite has no two writers to lock each other out."""
    if connection.vendor == "sqlite":
        return
    Product.objects.create(name="wanted by both")
    continuation, first = meet(MeetsWithALock, elsewhere)
    with transaction.atomic():
        lose_no_deadlock()
        StepRecord.objects.select_for_update().get()
        Meeting.go_on.set()
        # Waits for the job, while the write at the end of its block waits for this transaction.
        Product.objects.update(rank=100)
        transaction.set_rollback(True)
    assert (first.result().status, first.result().error) == ("waiting", None)
    continuation.refresh_from_db()
    assert (continuation.reason, continuation.steps.get().cursor) == ("database", 1)
    run_until_finished(continuation)
    assert items() == ["0", "1", "2", "3"]


def lose_no_deadlock() -> None:
    """PostgreSQL ends whoever looks first, MySQL whoever has done less."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '1min'")
    else:
        Applied.objects.bulk_create(Applied(item=str(i)) for i in range(200))
