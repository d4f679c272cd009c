"""Jobs that get into every state."""

from __future__ import annotations

import datetime as dt
from typing import Any

from continuations import ContinuableJob, Step, attribute, discard_on, retry_on


class Base(ContinuableJob):
    """What others may share; nobody can run it."""


class Import(Base):
    """Three steps, the middle one with a cursor and a total."""

    queue_name = "imports"
    sensitive = ("token",)
    skipped = attribute(default=0)

    def perform(self, path: str, token: str = "", *more: Any, **options: Any) -> str:
        self.path, self.token = path, token
        self.step("check", lambda: {"rows": 10})
        self.step("load", self.load)
        return self.step("publish", self.publish)

    def load(self, step: Step) -> None:
        step.progress(total=10)
        for row in step.iterate(range(10)):
            self.skipped += row % 2

    def publish(self) -> str:
        return "all fine"


class Broken(ContinuableJob):
    """Fails at its second step, with its secret in the error, until it is mended."""

    sensitive = ("token",)
    resume_errors_after_advancing = False
    mended = False

    def perform(self, token: str = "hunter22") -> None:
        self.token = token
        self.step("load", lambda step: step.set(67543))
        self.step("break", self.fail)

    def fail(self, step: Step) -> None:
        step.set(3)
        if not type(self).mended:
            raise ValueError(f"row 67,543 is bad; the server said no to {self.token}")


@discard_on(LookupError)
class Discards(ContinuableJob):
    def perform(self) -> None:
        self.step("look", lambda: {}["nothing"])


@retry_on(ConnectionError, wait=60, attempts=5, jitter=0)
class Flaky(ContinuableJob):
    def perform(self) -> None:
        self.step("call", self.call)

    def call(self, step: Step) -> None:
        raise ConnectionError("no route")


class Approval(ContinuableJob):
    sensitive = ("password",)

    def perform(self) -> Any:
        return self.wait_for("approved")


class Patient(ContinuableJob):
    def perform(self) -> Any:
        return self.wait_for("approved", timeout=3600, default=None)


class Naps(ContinuableJob):
    def perform(self) -> None:
        self.sleep("nap", dt.timedelta(hours=1))


class Parent(ContinuableJob):
    def perform(self, children: int = 2) -> None:
        self.step("spawn", lambda: [Import.enqueue(str(number)) and None for number in range(children)])
        self.wait_for_children()


class Limited(ContinuableJob):
    """Pauses at its limit."""

    max_resumptions = 0
    on_limit = "pause"

    def perform(self) -> None:
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        for _ in step.iterate(range(10)):
            pass


class FollowsUp(ContinuableJob):
    mended = False

    def perform(self) -> None: ...

    def on_success(self) -> None:
        if not type(self).mended:
            raise RuntimeError("no mail today")


class Days(ContinuableJob):
    """Its cursor is a date."""

    def perform(self) -> None:
        self.step("days", self.days, start=dt.date(2026, 1, 30))

    def days(self, step: Step) -> None:
        while step.cursor < dt.date(2026, 2, 3):
            step.advance()


class Hostile(ContinuableJob):
    """Everything a page could show, written by an enemy."""

    resume_errors_after_advancing = False

    def perform(self, text: str) -> None:
        self.step(text, lambda: {text: text})
        self.step("cursor", lambda step: step.set({text: text}))
        self.step("fail", self.fail)

    def fail(self) -> None:
        raise ValueError("<script>alert('error')</script>\"'><img src=x onerror=alert(1)>")
