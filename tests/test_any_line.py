"""Time-outs and shutdowns that are raised in the middle of our own code, between any two of its lines."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import pytest
from rq.timeouts import JobTimeoutException

import continuations
from continuations.current import current_job
from continuations.execution import execute
from tests.shapes import Bench
from tests.shop.jobs import Commits
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)

PACKAGE = os.path.dirname(continuations.__file__)
EXPECTED = ["atomic", "block 0", "block 1", "transaction 0", "transaction 1"]

# Lines of this package on the stack, innermost first.
Place = tuple[tuple[str, int], ...]


class Armed(Bench):
    """An execution under RQ's death penalty, until it is disarmed."""

    disarmed = False

    def disarm(self) -> None:
        self.disarmed = True
        super().disarm()

    @property
    def may_raise(self) -> bool:
        return not self.disarmed and not self._signals._hold.depth


class Interruption:
    """Sends `signum` before the line at `at` is run. What signals may not disturb is passed over: there they wait."""

    def __init__(self, signum: signal.Signals, at: Place | None = None) -> None:
        self.signum, self.at = signum, at
        self.passed: dict[Place, None] = {}
        self.sent = False

    @contextmanager
    def installed(self, workplace: Armed) -> Iterator[None]:
        self.workplace = workplace
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and self.workplace.may_raise and not self.sent:
            place = _place(frame)
            self.passed[place] = None
            if place == self.at:
                self.sent = True
                signal.raise_signal(self.signum)
        return self._trace


def _place(frame: FrameType | None) -> Place:
    lines: list[tuple[str, int]] = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            lines.append((os.path.basename(frame.f_code.co_filename), frame.f_lineno))
        frame = frame.f_back
    return tuple(lines)


def time_out(*_: object) -> NoReturn:
    raise JobTimeoutException


def shut_down(*_: object) -> NoReturn:
    raise SystemExit


# What RQ's handlers raise: its death penalty, and its workers without horses at a second SIGTERM.
HANDLERS = {signal.SIGALRM: time_out, signal.SIGTERM: shut_down}


@pytest.fixture
def handlers() -> Iterator[None]:
    given = {signum: signal.signal(signum, handler) for signum, handler in HANDLERS.items()}
    yield
    for signum, handler in given.items():
        signal.signal(signum, handler)


def run(interruption: Interruption, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executions until the end. What comes out of one ends its process; a failure is retried by a person."""
    # Some lines depend on the clock: it goes on by the same with each look at it, so that all runs come by the same.
    monkeypatch.setattr(time, "monotonic", itertools.count(1000.0, 0.001).__next__)
    continuation = Commits.enqueue("a")
    while not continuation.is_finished:
        try:
            with Armed() as workplace, interruption.installed(workplace):
                execute(continuation.pk, continuation.delivery, workplace)
        except (JobTimeoutException, SystemExit):
            assert interruption.sent
        continuation.refresh_from_db()
        if continuation.status == "failed":
            # E6: ended before it had achieved anything.
            assert continuation.error_class == "continuations.errors.NoProgressError", interruption.at
            continuation.retry()
    assert (continuation.status, continuation.result) == ("succeeded", "done"), interruption.at


def test_a_signal_between_any_two_lines_of_ours_loses_nothing_and_repeats_nothing_in_blocks(
    handlers: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C5, C6, E6"""
    caplog.set_level(logging.CRITICAL, logger="continuations")
    alone = Interruption(signal.SIGALRM)
    run(alone, monkeypatch)
    for index, place in enumerate(alone.passed):
        Applied.objects.all().delete()
        # The two take turns.
        interruption = Interruption(list(HANDLERS)[index % 2], place)
        run(interruption, monkeypatch)
        assert interruption.sent
        assert current_job() is None, place
        assert list(Applied.objects.order_by("pk").values_list("item", flat=True)) == EXPECTED, place
