"""Jobs for tests that need real workers: the classes must be importable there."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from continuations import ContinuableJob, Step, Stop, retry_on
from continuations.delivery import queue_named
from tests.processes import to_the_database

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


class Polite(Count):
    """Yields to other jobs about three times a second."""

    max_runtime = 0.3


class SlowlyPolite(Count):
    max_runtime = 2


class Throttled(Count):
    """Rests once, for two seconds, before its second step."""

    def should_stop(self) -> Stop | None:
        return Stop("throttled", wait=2) if self.executions == 1 else None


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


class Poisoned(Count):
    """Goes on and on, until the ledger has poison in it, and again once that is fixed."""

    resume_errors_after_advancing = False

    def count(self, step: Step) -> None:
        step.progress(total=self.n)
        for i in step.iterate(range(self.n)):
            found = set(Applied.objects.filter(run=self.run).values_list("item", flat=True))
            if "poison" in found and "fixed" not in found:
                raise ValueError("row is poisoned")
            time.sleep(self.pause)


class Approved(ContinuableJob):
    """Waits to be told."""

    def perform(self) -> Any:
        return self.wait_for("approved")


class Commits(ContinuableJob):
    """Every kind of transaction: a step that is one, blocks of a step, and some of Django's own."""

    def perform(self, run: str) -> str:
        self.run = run
        self.step("atomic", lambda: note(run, "atomic"), atomic=True)
        self.step(self.blocks)
        self.step(self.transactions, start=0)
        return "done"

    def blocks(self, step: Step) -> None:
        for i in step.iterate(range(2)):
            with step.atomic():
                note(self.run, f"block {i}")

    def transactions(self, step: Step) -> None:
        while step.cursor < 2:
            with transaction.atomic():
                note(self.run, f"transaction {step.cursor}")
                step.advance()


class EndsWhenTold(ContinuableJob):
    """Comes to its end once the ledger says so."""

    def perform(self, run: str) -> None:
        self.step("first", lambda: note(run, "first"))
        self.step("last", lambda: self.wait(run))
        note(run, "end")

    def wait(self, run: str) -> None:
        note(run, "waits")
        while not Applied.objects.filter(run=run, item="told").exists():
            time.sleep(0.02)


class HoldsOn(ContinuableJob):
    """Says in Redis that its step has begun, and goes on once it is told there: the database hears of nothing."""

    def perform(self, run: str, *, steps_before: bool) -> int:
        self.run = run
        if steps_before:
            self.step("first", lambda: note(run, "first"))
        held: int = self.step(self.hold)
        return held

    def hold(self) -> int:
        redis = queue_named("default").connection
        held = int(redis.incr(f"{self.run}:held"))
        redis.blpop([f"{self.run}:go on"], 60)
        return held


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


class LooksAround(ContinuableJob):
    """Notes what its process and its worker hold open as it begins; then counts."""

    def perform(self, run: str, n: int) -> None:
        self.run = run
        self.step("look", self.look)
        self.step("count", lambda step: self.count(step, n))

    def look(self) -> None:
        # The connection that recovery uses in the worker.
        client = queue_named("default").connection.client_info()
        note(self.run, f"redis {client['laddr'].rpartition(':')[2]} {client['addr'].rpartition(':')[2]}")
        for _ in range(50):
            # A look of the worker's for lost continuations takes milliseconds; between two of them it holds none.
            if not (held := to_the_database(os.getppid())):
                break
            time.sleep(0.02)
        note(self.run, f"database {len(to_the_database())}, of the worker {len(held)}")

    def count(self, step: Step, n: int) -> None:
        for i in step.iterate(range(n)):
            with step.atomic():
                note(self.run, i)
            time.sleep(0.02)


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


class Deaf(Count):
    """The same, but after its sixth item it notes that a minute without a checkpoint begins, the first time."""

    def count(self, step: Step) -> None:
        for i in step.iterate(range(self.n)):
            with step.atomic():
                note(self.run, i)
            if i == 5 and self.executions == 1:
                note(self.run, "deaf")
                time.sleep(60)
