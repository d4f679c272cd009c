"""C5: transactions that a job opens by itself, and the ways in which they are rolled back without telling."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from continuations import CheckpointError, ContinuableJob, Step, attribute
from continuations.testing import run_enqueued, run_until_finished
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)


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
                savepoint = transaction.savepoint()
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
            savepoint = transaction.savepoint()
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


def batches_in_a_transaction() -> Iterator[list[int]]:
    """A generator that holds a transaction across its yield: `break` rolls the batch back silently."""
    for start in (0, 2, 4):
        with transaction.atomic():
            yield [start, start + 1]


class LeavesAGeneratorOpen(ContinuableJob):
    """Its transaction is open when perform ends."""

    def perform(self) -> None:
        self.step("first", lambda: note("first"))
        self.batches = batches_in_a_transaction()
        note(next(self.batches))


def test_a_transaction_that_a_generator_left_open_is_rolled_back_and_fails_the_job() -> None:
    continuation = LeavesAGeneratorOpen.enqueue()
    with pytest.raises(CheckpointError, match="ended with a transaction open on default"):
        run_enqueued()
    assert items() == ["first"]
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert not connection.in_atomic_block
