"""The jobs of a run. Each notes in the ledger what it does; `shapes` says what has to be there at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from continuations import ContinuableJob, Step, retry_on
from continuations.sources import batches
from tests.shop.models import Applied

# Faults come by the second here, so the limit on crashes in a row must not be what ends a job.
CRASHES = 1000
BATCH = 10
CHILD_ITEMS = 20
# Notes that are no items.
ASIDE = "aside "


def note(run: str, item: object) -> None:
    Applied.objects.create(run=run, item=str(item), pid=os.getpid())


class Ledger(ContinuableJob):
    """An item and its cursor commit together."""

    max_crashes = CRASHES

    def perform(self, run: str, n: int, pause: float) -> int:
        self.run, self.n, self.pause = run, n, pause
        self.step("first", lambda: note(run, "first"), atomic=True)
        self.step(self.count)
        return self.step("last", lambda: n)

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.n)):
            with step.atomic():
                note(self.run, i)
                time.sleep(self.pause / 2)
            time.sleep(self.pause / 2)


class Manual(Ledger):
    """The same with a transaction of the user's own around item and cursor."""

    def count(self, step: Step) -> None:
        while (i := step.cursor or 0) < self.n:
            with transaction.atomic():
                note(self.run, i)
                time.sleep(self.pause / 2)
                step.set(i + 1)
            step.checkpoint()
            time.sleep(self.pause / 2)


class Plain(ContinuableJob):
    """Without a block: at least once."""

    max_crashes = CRASHES

    def perform(self, run: str, n: int, pause: float) -> int:
        self.run, self.n, self.pause = run, n, pause
        self.step(self.count)
        return n

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.n)):
            note(self.run, i)
            time.sleep(self.pause)


class Batched(Ledger):
    """Batches, and an execution of its own for the second half."""

    def perform(self, run: str, n: int, pause: float) -> int:
        self.run, self.n, self.pause = run, n, pause
        self.half = self.step("halve", lambda: n // 2)
        self.step("lower", lambda step: self.walk(step, range(self.half)))
        self.step("upper", lambda step: self.walk(step, range(self.half, n)), isolated=True)
        return self.step("last", lambda: n)

    def walk(self, step: Step, numbers: range) -> None:
        for batch in step.iterate(batches(numbers, BATCH)):
            with step.atomic():
                pid = os.getpid()
                Applied.objects.bulk_create(Applied(run=self.run, item=str(i), pid=pid) for i in batch)
            time.sleep(self.pause * len(batch))


class Hiccup(Exception):
    """Injected."""


@retry_on(Hiccup, wait=0.2, attempts=5, jitter=0)
class Flaky(Ledger):
    """Raises once at every fiftieth item."""

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.n)):
            aside = f"{ASIDE}{i}"
            if i % 50 == 49 and not Applied.objects.filter(run=self.run, item=aside).exists():
                note(self.run, aside)
                raise Hiccup(str(i))
            with step.atomic():
                note(self.run, i)
            time.sleep(self.pause)


class Stairs(ContinuableJob):
    """Many short steps, each with the result of the one before."""

    max_crashes = CRASHES

    def perform(self, run: str, n: int, pause: float) -> int:
        total = 0
        for i in range(n):
            total = self.step(f"stair {i}", partial(self.climb, run, i, total, pause), atomic=True)
        return total

    def climb(self, run: str, i: int, below: int, pause: float) -> int:
        note(run, i)
        time.sleep(pause)
        return below + 1


class Family(Ledger):
    """Enqueues a child with each item: in a block that, too, happens once."""

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.n)):
            with step.atomic():
                note(self.run, i)
                Ledger.enqueue(f"{self.run}/{i}", CHILD_ITEMS, self.pause)


class Sliced(Ledger):
    """Longer than its time-out."""

    rq_options = {"job_timeout": 5}


def _with_first(n: int) -> set[str]:
    return {"first", *map(str, range(n))}


def _numbers(n: int) -> set[str]:
    return set(map(str, range(n)))


@dataclass(frozen=True)
class Shape:
    """How often a job comes up, how many items it has, and what the ledger must hold of it."""

    job_class: type[Any]
    weight: float
    items: tuple[int, int]
    expected: Callable[[int], set[str]] = _with_first
    exactly_once: bool = True


SHAPES = [
    Shape(Ledger, 4, (100, 600)),
    Shape(Manual, 2, (100, 400)),
    Shape(Plain, 3, (100, 600), _numbers, exactly_once=False),
    Shape(Batched, 2, (100, 800), _numbers),
    Shape(Flaky, 2, (60, 300)),
    Shape(Stairs, 1, (3, 40), _numbers),
    Shape(Family, 1, (2, 6)),
    Shape(Sliced, 0.5, (1500, 2500)),
]

shapes = {shape.job_class.__name__: shape for shape in SHAPES}
