"""How far a step has come, and how long it worked: for rates and remaining times that stay right."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from continuations import ContinuableJob, Step
from continuations.models import Continuation, StepRecord
from continuations.testing import crash_during, interrupt_during, run_enqueued, run_until_finished

pytestmark = pytest.mark.django_db


class Clock:
    """`time.monotonic`, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


# The clock of the running test, for the job below.
clocks: list[Clock] = []


class Work(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step("work", self.work)
        self.sleep("nap", 3600)
        self.step("more", self.work)

    def work(self, step: Step) -> None:
        for _ in step.iterate(range(4)):
            clocks[-1].now += 10


def step(continuation: Continuation, name: str = "work") -> StepRecord:
    return continuation.steps.get(name=name)


def test_a_step_counts_the_seconds_it_worked(clock: Clock) -> None:
    clocks.append(clock)
    continuation = Work.enqueue()
    run_enqueued()
    assert step(continuation).busy_seconds == pytest.approx(40)


def test_time_between_executions_is_no_work(clock: Clock) -> None:
    clocks.append(clock)
    continuation = Work.enqueue()
    with interrupt_during(Work, "work", cursor=2):
        run_enqueued()
    assert step(continuation).busy_seconds == pytest.approx(20)
    continuation.refresh_from_db()
    continuation.pause()
    clock.now += 5000
    continuation.resume()
    run_until_finished(continuation)
    assert step(continuation).busy_seconds == pytest.approx(40)
    assert step(continuation, "nap").busy_seconds == pytest.approx(0)


def test_a_crash_loses_no_more_seconds_than_cursor(clock: Clock) -> None:
    clocks.append(clock)
    continuation = Work.enqueue()
    with crash_during(Work, "work", cursor=3):
        run_enqueued()
    record = step(continuation)
    assert record.busy_seconds == pytest.approx(10 * record.processed)


class Lazy:
    """A source that counts how often its size is asked for."""

    asked = 0

    def after(self, cursor: Any) -> Iterator[tuple[int, int]]:
        return ((i, i + 1) for i in range(cursor or 0, 3))

    def total(self) -> int:
        type(self).asked += 1
        return 3


class Counted(ContinuableJob):
    def perform(self) -> None:
        @self.step
        def walk(step: Step) -> None:
            for _ in step.iterate(Lazy()):
                pass


def test_a_total_is_asked_for_once_in_all_executions() -> None:
    Lazy.asked = 0
    continuation = Counted.enqueue()
    with interrupt_during(Counted, "walk", cursor=2):
        run_enqueued()
    run_until_finished(continuation)
    assert Lazy.asked == 1
    assert (step(continuation, "walk").processed, step(continuation, "walk").total) == (3, 3)


class Stated(ContinuableJob):
    def perform(self) -> None:
        @self.step
        def copy(step: Step) -> None:
            step.progress(done=5, total=20)
            step.set("half")
            step.progress(done=20)


def test_a_step_may_say_itself_how_far_it_is() -> None:
    continuation = Stated.enqueue()
    with interrupt_during(Stated, "copy", cursor="half"):
        run_enqueued()
    assert (step(continuation, "copy").processed, step(continuation, "copy").total) == (5, 20)
    run_until_finished(continuation)
    assert (step(continuation, "copy").processed, step(continuation, "copy").total) == (20, 20)


class Beats(ContinuableJob):
    """Moves its cursor, so many seconds after it moved it last, and notes the time of the beat that stored that."""

    checkpoint_interval = 0
    seconds = 10.0

    def perform(self) -> None:
        self.step("beat", self.beat)

    def beat(self, step: Step) -> None:
        for item in range(3):
            clocks[-1].now += self.seconds
            asked.append(timezone.now())
            step.set(item)
            told.append(StepRecord.objects.get().heartbeat_at)


# When a beat of the job above was asked for, and the time that it stored.
asked: list[dt.datetime] = []
told: list[dt.datetime] = []


def test_each_beat_tells_when_it_was(clock: Clock) -> None:
    clocks.append(clock)
    asked.clear()
    told.clear()
    Beats.enqueue()
    run_enqueued()
    assert all(before <= moment <= timezone.now() for before, moment in zip(asked, told, strict=True))


def test_beats_that_follow_closely_tell_the_same_time_and_the_end_its_own(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks.append(clock)
    asked.clear()
    told.clear()
    monkeypatch.setattr(Beats, "seconds", 0.001)
    Beats.enqueue()
    run_enqueued()
    assert told == [told[0]] * 3
    ended = StepRecord.objects.get().finished_at
    assert ended is not None
    assert ended > asked[-1]
