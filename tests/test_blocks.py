"""C5: transactions that a job opens by itself, and the ways in which they are rolled back without telling."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from continuations import CheckpointError, ContinuableJob, Step, attribute
from continuations.sources import batches
from continuations.testing import interrupt_during, run_enqueued, run_until_finished
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)

# Django 6.1 has given it another name.
SAVEPOINT = getattr(transaction, "savepoint_create", None) or transaction.savepoint


def items() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


def note(item: object) -> None:
    Applied.objects.create(item=str(item))


class RollsBackASavepointByHand(ContinuableJob):
    """Item 2 is undone once, by a savepoint that is rolled back without an error."""

    undone: list[int] = []
    count = attribute(default=0)

    def perform(self) -> int:
        self.step(self.fill, start=0)
        return self.count

    def fill(self, step: Step) -> None:
        while step.cursor < 4:
            with transaction.atomic():
                savepoint = SAVEPOINT()
                note(step.cursor)
                self.count += 1
                step.advance()
                if step.cursor == 3 and not self.undone:
                    self.undone.append(1)
                    transaction.savepoint_rollback(savepoint)


def test_a_savepoint_rolled_back_by_hand_takes_cursor_and_attributes_with_it() -> None:
    RollsBackASavepointByHand.undone.clear()
    continuation = run_until_finished(RollsBackASavepointByHand.enqueue())
    assert items() == list("0123")
    assert continuation.result == 4


class CatchesTheServersRollback(ContinuableJob):
    """As MySQL's deadlock: the server has rolled back, and Django does not know."""

    undone: list[int] = []

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 4:
            with transaction.atomic():
                note(step.cursor)
                step.advance()
                if step.cursor == 3 and not self.undone:
                    self.undone.append(1)
                    with connection.cursor() as cursor:
                        cursor.execute("ROLLBACK")
                        cursor.execute("BEGIN")


def test_a_rollback_by_the_server_takes_the_cursor_with_it() -> None:
    CatchesTheServersRollback.undone.clear()
    run_until_finished(CatchesTheServersRollback.enqueue())
    assert items() == list("0123")


class GoesOnInsideTheBlock(ContinuableJob):
    """The same, but the cursor is moved again in the same block."""

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        with transaction.atomic():
            savepoint = SAVEPOINT()
            note(step.cursor)
            step.advance()
            transaction.savepoint_rollback(savepoint)
            note(step.cursor)
            step.advance()


def test_going_on_in_a_block_whose_savepoint_was_rolled_back_by_hand_is_an_error_and_loses_nothing() -> None:
    continuation = GoesOnInsideTheBlock.enqueue()
    with pytest.raises(CheckpointError, match="rolled back without the error leaving the block"):
        run_enqueued()
    assert items() == []
    assert continuation.steps.get().cursor == 0


class RollsBackANestedBlock(ContinuableJob):
    """An inner block fails and is caught; the outer one commits."""

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        with transaction.atomic():
            note(step.cursor)
            step.advance()
            try:
                with transaction.atomic():
                    note(step.cursor)
                    step.advance()
                    raise ValueError("not this one")
            except ValueError:
                note(f"again {step.cursor}")
                step.advance()


def test_an_inner_block_that_failed_takes_back_only_its_own_movement() -> None:
    continuation = run_until_finished(RollsBackANestedBlock.enqueue())
    assert items() == ["0", "again 1"]
    assert continuation.steps.get().cursor == 2


def lists_in_a_transaction(ended: list[bool]) -> Iterator[list[int]]:
    """A generator that holds a transaction across its yield: `break` rolls the batch back silently."""
    try:
        for start in (0, 2, 4):
            with transaction.atomic():
                yield [start, start + 1]
    finally:
        ended.append(connection.in_atomic_block)


class LeavesAGeneratorOpen(ContinuableJob):
    """Its transaction is open when perform ends."""

    ended: list[bool] = []

    def perform(self) -> None:
        self.step("first", lambda: note("first"))
        self.lists = lists_in_a_transaction(self.ended)
        note(next(self.lists))


class RaisesWithAGeneratorOpen(LeavesAGeneratorOpen):
    def perform(self) -> None:
        self.step("first", lambda: note("first"))
        lists = lists_in_a_transaction(self.ended)
        note(next(lists))
        raise ValueError


@pytest.mark.parametrize("job_class", [LeavesAGeneratorOpen, RaisesWithAGeneratorOpen])
def test_a_transaction_that_a_generator_left_open_is_rolled_back_and_fails_the_job(
    job_class: type[LeavesAGeneratorOpen],
) -> None:
    job_class.ended.clear()
    continuation = job_class.enqueue()
    with pytest.raises(CheckpointError, match="ended with a transaction open on default"):
        run_enqueued()
    assert items() == ["first"]
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert not connection.in_atomic_block
    # It has ended now, and not in a transaction of whatever runs next.
    assert job_class.ended == [False]


class BreaksOff(ContinuableJob):
    """Leaves a walk of batches in the middle."""

    def perform(self) -> None:
        self.step(self.fill)
        self.step("after", lambda: note("after"))

    def fill(self, step: Step) -> Any:
        for batch in step.iterate(batches(range(6), 2)):
            assert not connection.in_atomic_block
            with step.atomic():
                for item in batch:
                    note(item)
            if 3 in batch:
                break
        return step.cursor


def test_breaking_off_a_walk_keeps_what_its_blocks_have_committed() -> None:
    """Our generators hold no transaction across a yield, so there is none that `break` could roll back."""
    continuation = run_until_finished(BreaksOff.enqueue())
    assert items() == [*"0123", "after"]
    assert continuation.steps.get(name="fill").result == 4


class NotesByHand(ContinuableJob):
    """Work and cursor in a transaction of the job's own."""

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 5:
            with transaction.atomic():
                note(step.cursor)
                step.set(step.cursor + 1)


class Outage:
    """Fails the n-th write of a cursor, and then so many statements of any kind."""

    def __init__(self, at: int, lasts: int) -> None:
        self.writes_left = at
        self.lasts = lasts

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        if "UPDATE" in sql and "steprecord" in sql:
            self.writes_left -= 1
        if self.writes_left <= 0 and self.lasts > 0:
            self.lasts -= 1
            raise OperationalError("terminating connection")
        return execute(sql, *rest)


@pytest.mark.parametrize("lasts", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("at", [2, 3, 5])
def test_a_transaction_that_died_with_the_database_is_done_again_however_long_that_is_away(at: int, lasts: int) -> None:
    """The knowledge that it was rolled back outlives the reads that fail meanwhile."""
    continuation = NotesByHand.enqueue()
    with connection.execute_wrapper(Outage(at, lasts)), contextlib.suppress(OperationalError):
        run_enqueued()
    run_until_finished(continuation)
    assert items() == list("01234")


class MovesAndLeaves(ContinuableJob):
    """Swallows an interrupt, and moves its cursor in a transaction that the second one rolls back."""

    swallowed: list[int] = []

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 3:
            if not self.swallowed:
                with contextlib.suppress(BaseException):
                    step.checkpoint()
                self.swallowed.append(1)
            with transaction.atomic():
                note(step.cursor)
                step.advance()


def test_a_movement_whose_transaction_is_rolled_back_by_an_interrupt_is_not_stored() -> None:
    MovesAndLeaves.swallowed.clear()
    continuation = MovesAndLeaves.enqueue()
    with interrupt_during(MovesAndLeaves, "fill", 0):
        run_enqueued()
    run_until_finished(continuation)
    assert items() == list("012")
