"""C5: work in a transaction on another alias may still be rolled back, so no cursor is stored ahead of it."""

from __future__ import annotations

import pytest
from django.db import transaction

from continuations import CheckpointError, ContinuableJob, Step
from continuations.models import StepRecord
from continuations.testing import crash_during, interrupt_during, run_enqueued, run_until_finished
from tests.shop.models import Shelf

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def labels() -> list[str]:
    return list(Shelf.objects.using("other").order_by("pk").values_list("label", flat=True))


def stored_cursor() -> object:
    return StepRecord.objects.get(name="fill").cursor


class FillsElsewhere(ContinuableJob):
    """Three items to a transaction on the other alias."""

    checkpoint_interval = 0
    seen: list[object] = []

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 6:
            with transaction.atomic(using="other"):
                for _ in range(3):
                    Shelf.objects.using("other").create(label=str(step.cursor))
                    step.advance()
                    FillsElsewhere.seen.append(stored_cursor())
            step.checkpoint()


def test_the_cursor_is_stored_at_the_first_checkpoint_after_the_transaction() -> None:
    FillsElsewhere.seen.clear()
    run_until_finished(FillsElsewhere.enqueue())
    assert FillsElsewhere.seen == [0, 0, 0, 3, 3, 3]
    assert labels() == list("012345")


def test_no_interrupt_is_raised_inside_it() -> None:
    with interrupt_during(FillsElsewhere, "fill", 2):
        run_until_finished(FillsElsewhere.enqueue())
    assert labels() == list("012345")


def test_an_interrupt_after_it_keeps_work_and_cursor() -> None:
    continuation = FillsElsewhere.enqueue()
    with interrupt_during(FillsElsewhere, "fill", 3):
        run_enqueued()
    assert labels() == list("012")
    run_until_finished(continuation)
    assert labels() == list("012345")


def test_a_crash_after_it_loses_neither() -> None:
    continuation = FillsElsewhere.enqueue()
    with crash_during(FillsElsewhere, "fill", 3):
        run_enqueued()
    run_until_finished(continuation)
    assert labels() == list("012345")


class FailsElsewhere(ContinuableJob):
    """The transaction on the other alias is rolled back once, by an error that leaves the step."""

    resume_errors_after_advancing = True
    failures: list[int] = []

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 4:
            with transaction.atomic(using="other"):
                for _ in range(2):
                    Shelf.objects.using("other").create(label=str(step.cursor))
                    step.advance()
                if step.cursor == 4 and not FailsElsewhere.failures:
                    FailsElsewhere.failures.append(1)
                    raise ConnectionError("not now")
            step.checkpoint()


def test_a_rollback_takes_the_cursor_back_with_it() -> None:
    FailsElsewhere.failures.clear()
    continuation = FailsElsewhere.enqueue()
    run_enqueued()
    assert stored_cursor() == 2
    assert labels() == list("01")
    run_until_finished(continuation)
    assert labels() == list("0123")


class CatchesElsewhere(FailsElsewhere):
    """The same, caught where it happens."""

    def fill(self, step: Step) -> None:
        try:
            super().fill(step)
        except ConnectionError:
            super().fill(step)


def test_a_rollback_that_is_caught_takes_the_cursor_back_with_it() -> None:
    FailsElsewhere.failures.clear()
    run_until_finished(CatchesElsewhere.enqueue())
    assert labels() == list("0123")


class MeetsAStepElsewhere(ContinuableJob):
    def perform(self) -> None:
        with transaction.atomic(using="other"):
            self.step("inside", lambda: None)


def test_a_step_inside_it_is_an_error_that_names_the_alias() -> None:
    MeetsAStepElsewhere.enqueue()
    with pytest.raises(CheckpointError, match="'inside' was met inside a transaction on 'other'"):
        run_enqueued()


class OpensABlockElsewhere(ContinuableJob):
    def perform(self) -> None:
        self.step(self.fill)

    def fill(self, step: Step) -> None:
        with transaction.atomic(using="other"), step.atomic():
            pass


def test_a_block_inside_it_is_an_error_that_names_the_alias() -> None:
    OpensABlockElsewhere.enqueue()
    with pytest.raises(CheckpointError, match=r"step\.atomic\(\) inside transaction\.atomic\(\) on 'other'"):
        run_enqueued()
