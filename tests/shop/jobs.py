"""Jobs for tests that need real workers: the classes must be importable there."""

from __future__ import annotations

import os
import time
from typing import Any

from continuations import ContinuableJob, Step

from .models import Applied


def note(run: str, item: Any) -> None:
    Applied.objects.create(run=run, item=str(item), pid=os.getpid())


class Count(ContinuableJob):
    """Notes `n` items, each with its cursor; slow enough to be stopped in the middle."""

    def perform(self, run: str, n: int, pause: float = 0.005) -> int:
        self.run, self.n, self.pause = run, n, pause
        self.step(self.first)
        self.step(self.count)
        return self.step("last", lambda: n)

    def first(self) -> None:
        note(self.run, "first")

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.n)):
            with step.atomic():
                note(self.run, i)
            time.sleep(self.pause)
