"""C2, C5, E1: checkpoints at which nothing is due look at the clock alone, and what goes on is seen all the same.

The first movement is stored; then nothing is due for an hour.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from continuations import ContinuableJob, Step
from continuations.ends import Outcome
from continuations.execution import execute
from continuations.models import StepRecord
from continuations.progress import Progress
from continuations.transitions import Status
from continuations.workplace import Workplace

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class LostError(Exception):
    pass


body: Callable[[ContinuableJob, Step], Any]


class Job(ContinuableJob):
    checkpoint_interval = 3600

    def perform(self) -> None:
        self.step(self.work, start=0)

    def work(self, step: Step) -> None:
        step.advance()
        body(self, step)


def run(work: Callable[[ContinuableJob, Step], Any], job: type[Job] = Job) -> Outcome:
    global body
    body = work
    with Workplace() as place:
        return execute(job.enqueue().pk, 0, place)


def lose_a_movement(step: Step, using: str = "default") -> None:
    with contextlib.suppress(LostError), transaction.atomic(using=using):
        step.set(10)
        raise LostError


@pytest.mark.parametrize("using", ["default", "other"])
def test_a_movement_that_was_rolled_back_is_taken_back_before_the_next(using: str) -> None:
    cursors = []

    def work(job: ContinuableJob, step: Step) -> None:
        lose_a_movement(step, using)
        step.advance()
        cursors.append(step.cursor)

    assert run(work).status == Status.SUCCEEDED
    assert cursors == [2]


@pytest.mark.parametrize("using", ["default", "other"])
def test_a_question_in_between_does_not_hide_that_a_movement_was_rolled_back(using: str) -> None:
    cursors = []

    def work(job: ContinuableJob, step: Step) -> None:
        lose_a_movement(step, using)
        assert job.stopping() is None
        step.advance()
        cursors.append(step.cursor)

    assert run(work).status == Status.SUCCEEDED
    assert cursors == [2]


def test_a_movement_whose_commit_is_in_doubt_is_read_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """O2: it has happened, and nobody could tell."""
    cursors = []
    commit = connection.commit

    def commit_and_fail() -> None:
        commit()
        raise OperationalError("the answer was lost")

    def work(job: ContinuableJob, step: Step) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(connection, "commit", commit_and_fail)
            patch.setattr(Progress, "has_committed", lambda *_: False)
            with contextlib.suppress(OperationalError), step.atomic():
                step.set(10)
        step.advance()
        cursors.append(step.cursor)

    assert run(work).status == Status.SUCCEEDED
    assert cursors == [11]


@pytest.mark.parametrize(
    "move", [lambda step: step.advance(), lambda step: step.set(2), lambda step: step.checkpoint()]
)
def test_a_signal_is_heeded_at_the_next_checkpoint(move: Callable[[Step], None]) -> None:
    def work(job: ContinuableJob, step: Step) -> None:
        signal.raise_signal(signal.SIGTERM)
        move(step)
        pytest.fail("it went on")

    assert run(work).status == Status.INTERRUPTED


def test_a_signal_is_heeded_in_the_next_turn() -> None:
    def work(job: ContinuableJob, step: Step) -> None:
        for i in step.iterate(range(1, 10)):
            if i == 3:
                signal.raise_signal(signal.SIGTERM)

    assert run(work).status == Status.INTERRUPTED
    assert StepRecord.objects.get().cursor == 3


class ToldWhileItAsks(Job):
    def should_stop(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_comes_while_the_next_look_is_set_is_heeded() -> None:
    def work(job: ContinuableJob, step: Step) -> None:
        step.advance()
        pytest.fail("it went on")

    assert run(work, ToldWhileItAsks).status == Status.INTERRUPTED


class Swallows(Job):
    def work(self, step: Step) -> None:
        with contextlib.suppress(BaseException):
            step.advance()
        body(self, step)

    def should_stop(self) -> str:
        return "enough"


def test_an_interrupt_that_was_swallowed_is_raised_again_at_the_next_checkpoint() -> None:
    def work(job: ContinuableJob, step: Step) -> None:
        step.advance()
        pytest.fail("it went on")

    outcome = run(work, Swallows)
    assert outcome.status == Status.INTERRUPTED
    assert outcome.continuation is not None
    assert outcome.continuation.reason == "enough"


def test_a_page_of_movements_is_stored_by_none_of_them() -> None:
    def work(job: ContinuableJob, step: Step) -> None:
        for _ in range(100):
            step.advance()
        assert StepRecord.objects.get().cursor == 1

    assert run(work).status == Status.SUCCEEDED
    assert StepRecord.objects.get().cursor == 101
