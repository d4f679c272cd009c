"""The jobs of our side. What they took is told in `taken`, by those that run in the process that measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db.models import F

from continuations import ContinuableJob, Step

from .models import Record

# Seconds.
taken: list[float] = []
# When the steps of `StepsTwice` had been passed, by `time.perf_counter`.
passed: list[float] = []
# Called at every so many records of `Watched`.
watch: Callable[[int], Any] = print


class Walk(ContinuableJob):
    """Walks `n` records, and does nothing with them."""

    def perform(self, n: int) -> None:
        self.n = n
        began = time.perf_counter()
        self.step(self.walk)
        taken.append(time.perf_counter() - began)

    def walk(self, step: Step) -> None:
        for _ in step.iterate(Record.objects.filter(pk__lte=self.n)):
            pass


class WalkDurably(Walk):
    """The same, durable at each record."""

    checkpoint_interval = 0


class Work(Walk):
    """Works on each record, with the cursor in the same transaction."""

    def walk(self, step: Step) -> None:
        for record in step.iterate(Record.objects.filter(pk__lte=self.n)):
            with step.atomic():
                Record.objects.filter(pk=record.pk).update(value=F("value") + 1)


class Watched(Walk):
    """Calls `watch` with the number of the record, now and then."""

    def walk(self, step: Step) -> None:
        for done, _ in enumerate(step.iterate(Record.objects.filter(pk__lte=self.n)), 1):
            if done % 10_000 == 0:
                watch(done)


class Advance(ContinuableJob):
    """Moves a cursor in a plain loop."""

    def perform(self, n: int) -> None:
        self.n = n
        self.step(self.advance, start=0)

    def advance(self, step: Step) -> None:
        began = time.perf_counter()
        for _ in range(self.n):
            step.advance()
        taken.append(time.perf_counter() - began)


class Beat(Advance):
    """The same, durable at each movement."""

    checkpoint_interval = 0


class Steps(ContinuableJob):
    """Many trivial steps."""

    def perform(self, n: int) -> None:
        began = time.perf_counter()
        for i in range(n):
            self.step(f"step {i}", lambda: i)  # noqa: B023 - run at once
        taken.append(time.perf_counter() - began)


class StepsTwice(Steps):
    """Many trivial steps, interrupted after the last, so that the next execution skips them all."""

    def perform(self, n: int) -> None:
        self.n = n
        super().perform(n)
        passed.append(time.perf_counter())
        self.step("last", lambda: None)

    def should_stop(self) -> bool:
        return self.executions == 1 and len(self.completed_steps) == self.n


class OneStep(ContinuableJob):
    """The smallest job that does what `tasks.one_query` does."""

    def perform(self, pk: int) -> None:
        self.step("ask", lambda: Record.objects.filter(pk=pk).exists())


class Slow(ContinuableJob):
    """A checkpoint every 10 ms, for `seconds`."""

    def perform(self, seconds: float) -> None:
        self.seconds = seconds
        self.step(self.count)

    def count(self, step: Step) -> None:
        for _ in step.iterate(range(int(self.seconds * 100))):
            time.sleep(0.01)
