"""Jobs for tests that need real workers: the classes must be importable there."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from asgiref.sync import sync_to_async

from continuations import ContinuableJob, Step, retry_on

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


class Slow(ContinuableJob):
    """Resumes errors after a back-off; fails `failures` times at item 3."""

    resume_wait = 0

    def perform(self, run: str, failures: int) -> None:
        self.run, self.failures = run, failures
        self.step(self.count)

    def count(self, step: Step) -> None:
        for i in step.iterate(range(6)):
            if i == 3 and Applied.objects.filter(run=self.run, item="failed").count() < self.failures:
                note(self.run, "failed")
                raise ConnectionError("not now")
            note(self.run, i)


@retry_on(ConnectionError, wait=1, attempts=3, jitter=0)
class SlowRetry(Slow):
    """The same, with a policy that waits a second."""


class Fails(ContinuableJob):
    """Fails at its second step until the ledger says it may pass."""

    def perform(self, run: str) -> str:
        self.run = run
        self.step("first", lambda: note(run, "first"))
        return self.step("second", self.second)

    def second(self) -> str:
        if not Applied.objects.filter(run=self.run, item="fixed").exists():
            raise ValueError("broken")
        return "fine"


class DiesOnce(ContinuableJob):
    """Kills its own process at item 5, once."""

    def perform(self, run: str) -> None:
        self.run = run
        self.step(self.count)

    def count(self, step: Step) -> None:
        for i in step.iterate(range(10)):
            if i == 5 and not Applied.objects.filter(run=self.run, item="died").exists():
                note(self.run, "died")
                os.kill(os.getpid(), signal.SIGKILL)
            with step.atomic():
                note(self.run, i)


def dependent(run: str) -> None:
    """An ordinary RQ job that depends on a continuation."""
    note(run, "dependent")


def succeeded(job: Any, connection: Any, result: Any, *args: Any, **kwargs: Any) -> None:
    """RQ's on_success callback."""
    note(job.meta["run"], "callback")


def failed(job: Any, connection: Any, *error: Any) -> None:
    """RQ's on_failure callback."""
    note(job.meta["run"], f"failed {error[0].__name__}")


class DiesAlways(ContinuableJob):
    """Kills its own process at its second step, whenever it gets there."""

    def perform(self, run: str) -> None:
        self.step("first", lambda: note(run, "first"))
        self.step("second", lambda: os.kill(os.getpid(), signal.SIGKILL))


class Awaits(ContinuableJob):
    """A coroutine that hangs at item 2, once."""

    def perform(self, run: str) -> None:
        self.run = run
        self.step(self.count)

    async def count(self, step: Step) -> None:
        async for i in step.iterate(range(4)):
            if i == 2 and not await Applied.objects.filter(run=self.run, item="hung").aexists():
                await sync_to_async(note)(self.run, "hung")
                try:
                    await asyncio.sleep(600)
                finally:
                    await sync_to_async(note)(self.run, "cancelled")
            async with step.atomic():
                await sync_to_async(note)(self.run, i)


class Moved(ContinuableJob):
    """It was in a module that is gone."""

    aliases = ("tests.gone.jobs.Import",)

    def perform(self, run: str) -> None:
        self.step("first", lambda: note(run, "first"))
