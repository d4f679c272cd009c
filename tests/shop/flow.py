"""Jobs that wait, fan out and follow up, for tests that need real workers."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from django.db import transaction

from continuations import ContinuableJob, Step

from .jobs import Count, note
from .models import Applied


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def has(run: str, item: str) -> bool:
    return Applied.objects.filter(run=run, item=item).exists()


class Approve(ContinuableJob):
    def perform(self, run: str) -> Any:
        self.step("ask", lambda: note(run, "asked"))
        answer = self.wait_for("approval")
        self.step("go", lambda: note(run, answer))
        return answer


class Nap(ContinuableJob):
    def perform(self, run: str, seconds: float) -> None:
        self.step("before", lambda: note(run, "before"))
        self.sleep("nap", seconds)
        self.step("after", lambda: note(run, "after"))


class FanOut(ContinuableJob):
    """Counts `items` in each of `n` children; `alone` of them itself meanwhile."""

    def perform(self, run: str, n: int, items: int, alone: int = 0) -> list[Any]:
        self.run, self.n, self.items, self.alone = run, n, items, alone
        self.step(self.fan_out, atomic=True)
        self.step(self.count)
        return [(child.status, child.result) for child in self.wait_for_children()]

    def fan_out(self) -> None:
        for i in range(self.n):
            Count.enqueue(f"{self.run}{i}", self.items)

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.alone)):
            note(self.run, i)
            time.sleep(0.005)


class DiesAfterItsEnd(ContinuableJob):
    """Its process is killed as soon as the success is committed: before the follow-up is delivered, or RQ is told."""

    def perform(self, run: str) -> None:
        self.step("only", lambda: note(run, "only"))

    def on_success(self, run: str) -> None:
        transaction.on_commit(die)
        note(run, "success")
        Count.enqueue(f"{run} followed", 2)


class Trusting(ContinuableJob):
    """Waits for a child that cannot tell it of its end."""

    def perform(self, run: str) -> list[str]:
        self.step("fan_out", lambda: DiesAfterItsEnd.enqueue(run) and None, atomic=True)
        return [child.status for child in self.wait_for_children()]


class Deaf(ContinuableJob):
    """Comes to no checkpoint until the ledger says so."""

    def perform(self, run: str) -> None:
        self.run = run
        self.step(self.listen)
        self.step("after", lambda: note(run, "after"))

    def listen(self, step: Step) -> None:
        note(self.run, "begun")
        while not has(self.run, "go on"):
            time.sleep(0.05)
        step.set(1)
        note(self.run, "never")


def stopped(job: Any, connection: Any) -> None:
    """RQ's on_stopped callback."""
    note(job.meta["run"], "stopped")


def stopped_slowly(job: Any, connection: Any) -> None:
    """It takes longer than recovery needs to find that the process is gone."""
    note(job.meta["run"], "stopping")
    time.sleep(5)
    note(job.meta["run"], "stopped")
