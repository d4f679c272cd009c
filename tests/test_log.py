"""L1: one line for each boundary, with step, cursor and reason; no other line uses their words."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from continuations import ContinuableJob, Step, discard_on
from continuations.execution import execute
from continuations.models import Continuation
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
    stopping_when,
)
from continuations.workplace import FLAG_SIZE, set_stop_flag
from tests.reference.signals import documented_fields
from tests.shapes import Bench

pytestmark = pytest.mark.django_db

WORDS = ("started", "resumed", "skipped", "interrupted", "completed")
BOUNDARY = re.compile(
    rf"^(?P<job>\w+) (?P<id>[0-9a-f-]{{36}})(?: step '(?P<step>[^']*)')? (?P<word>{'|'.join(WORDS)})"
    r"(?: at cursor (?P<cursor>.+?))?(?: \((?P<reason>[^()]*)\))?$"
)


def boundaries(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Word, step, cursor and reason of every boundary line."""
    found = [BOUNDARY.match(each.getMessage()) for each in records(caplog)]
    return [(each["word"], each["step"], each["cursor"], each["reason"]) for each in found if each]


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.name == "continuations"]


def other_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in records(caplog) if not BOUNDARY.match(each.getMessage())]


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="continuations")


class Import(ContinuableJob):
    def perform(self) -> None:
        self.step("check", lambda: None)
        self.step("load", self.load)
        self.step("publish", lambda: None, atomic=True)

    def load(self, step: Step) -> None:
        for _ in step.iterate(["a", "b"]):
            pass


def test_each_step_has_a_line_when_it_starts_and_one_when_it_completes(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    run_until_finished(Import.enqueue())
    assert boundaries(caplog) == [
        ("started", "check", None, None),
        ("completed", "check", None, None),
        ("started", "load", None, None),
        ("completed", "load", "2", None),
        ("started", "publish", None, None),
        ("completed", "publish", None, None),
    ]


def test_an_interruption_has_a_line_with_step_cursor_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    with interrupt_during(Import, "load", 1, reason="tea time"):
        Import.enqueue()
        run_enqueued()
    assert boundaries(caplog)[-1] == ("interrupted", "load", "1", "tea time")


def test_the_next_execution_has_lines_for_what_it_skips_and_resumes(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    with interrupt_during(Import, "load", 1):
        continuation = Import.enqueue()
        run_enqueued()
    caplog.clear()
    run_until_finished(continuation)
    assert boundaries(caplog) == [
        ("skipped", "check", None, None),
        ("resumed", "load", "1", None),
        ("completed", "load", "2", None),
        ("started", "publish", None, None),
        ("completed", "publish", None, None),
    ]


def test_an_interruption_between_steps_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    with interrupt_after(Import, "check", reason="tea"):
        Import.enqueue()
        run_enqueued()
    assert boundaries(caplog) == [
        ("started", "check", None, None),
        ("completed", "check", None, None),
        ("interrupted", None, None, "tea"),
    ]


class StartsAt(ContinuableJob):
    def perform(self) -> None:
        self.step("count", lambda step: step.set(("x", 6)), start=5)


def test_lines_show_the_cursor_as_python_would(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    run_until_finished(StartsAt.enqueue())
    assert boundaries(caplog) == [("started", "count", "5", None), ("completed", "count", "('x', 6)", None)]


class LongCursor(ContinuableJob):
    def perform(self) -> None:
        self.step("count", lambda step: step.set("x" * 10_000))


def test_a_long_cursor_is_cut_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    run_until_finished(LongCursor.enqueue())
    assert all(len(each.getMessage()) < 500 for each in records(caplog))


def test_every_interruption_of_a_job_has_exactly_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    with stopping_when(lambda job: True):
        continuation = run_until_finished(Import.enqueue())
    words = [word for word, *_ in boundaries(caplog)]
    assert words.count("interrupted") == continuation.executions - 1
    assert words.count("completed") == words.count("started") == 3
    assert other_lines(caplog) == []


# Fields of the records


def test_records_carry_their_facts_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    with interrupt_during(Import, "load", 1, reason="tea"):
        continuation = Import.enqueue()
        run_enqueued()
    fields = records(caplog)[-1].__dict__
    assert {name: fields[name] for name in ("continuation_id", "job", "step", "cursor", "reason", "execution")} == {
        "continuation_id": str(continuation.pk),
        "job": "tests.test_log.Import",
        "step": "load",
        "cursor": 1,
        "reason": "tea",
        "execution": 1,
    }


def test_every_documented_field_is_on_every_record_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    with interrupt_during(Import, "load", cursor=1):
        Import.enqueue()
        run_enqueued()
    plain = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
    for record in records(caplog):
        assert set(vars(record)) - plain == set(documented_fields())


def test_every_boundary_says_which_execution_it_belongs_to(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    with interrupt_after(Import, "check"):
        run_until_finished(Import.enqueue())
    numbers = [each.__dict__["execution"] for each in records(caplog)]
    assert numbers == [1, 1, 1, 2, 2, 2, 2, 2]


def test_boundaries_are_information(caplog: pytest.LogCaptureFixture) -> None:
    with interrupt_during(Import, "load", 1):
        run_until_finished(Import.enqueue())
    assert {each.levelname for each in records(caplog)} == {"INFO"}


class LongWay(ContinuableJob):
    """Is told to stop, and reaches its next checkpoint seven seconds later."""

    tell: Callable[[], object]
    clock: list[float]

    def perform(self) -> None:
        self.step("check", lambda: None)
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        for _ in step.iterate(["a", "b"]):
            type(self).tell()
            self.clock.append(7.0)


@pytest.mark.parametrize("by", ["a signal", "the worker"])
def test_a_long_way_to_the_next_checkpoint_is_told_with_what_to_do(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    flag = bytearray(FLAG_SIZE)
    place = Bench(stop_flag=flag)
    now, LongWay.clock = time.monotonic, []
    LongWay.tell = staticmethod(place._note_stop if by == "a signal" else lambda: set_stop_flag(flag))
    monkeypatch.setattr(time, "monotonic", lambda: now() + sum(LongWay.clock))
    continuation = LongWay.enqueue()
    execute(continuation.pk, continuation.delivery, place)
    (line,) = other_lines(caplog)
    assert re.search(r"LongWay .+ step 'load'.* took 7 s to reach a checkpoint .*step\.checkpoint\(\) more often", line)


class Million(ContinuableJob):
    checkpoint_interval = 0.2

    def perform(self) -> None:
        self.step(self.count)

    def count(self, step: Step) -> None:
        for _ in step.iterate(range(1_000_000)):
            pass


def test_a_million_items_are_as_quiet_as_two(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, with the beats of a second and more."""
    continuation = Million.enqueue()
    run_enqueued()
    assert continuation.steps.get().processed == 1_000_000
    assert boundaries(caplog) == [("started", "count", None, None), ("completed", "count", "1000000", None)]
    assert other_lines(caplog) == []


def test_nothing_is_logged_at_information_when_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="continuations")
    run_until_finished(Import.enqueue())
    assert records(caplog) == []


# Other lines: errors, warnings, limits


class FailsAfterProgress(ContinuableJob):
    def perform(self) -> None:
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        step.set((step.cursor or 0) + 1)
        raise ValueError("no luck")


def test_an_error_that_is_resumed_is_a_warning_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    FailsAfterProgress.enqueue()
    run_enqueued()
    (record,) = [each for each in records(caplog) if each.levelname != "INFO"]
    assert record.levelname == "WARNING"
    assert "step 'load' raised ValueError: no luck; runs again in 5 s" in record.getMessage()
    assert record.exc_info is None


def test_an_error_that_is_resumed_has_its_boundary_too(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    FailsAfterProgress.enqueue()
    run_enqueued()
    assert boundaries(caplog)[-1] == ("interrupted", "load", "1", "error")


class Fails(ContinuableJob):
    def perform(self) -> None:
        self.step("load", self.load)

    def load(self) -> None:
        raise ValueError("no luck")


def test_a_failure_is_an_error_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    continuation = Fails.enqueue()
    with pytest.raises(ValueError):
        run_enqueued()
    (record,) = [each for each in records(caplog) if each.levelname != "INFO"]
    assert record.levelname == "ERROR"
    assert record.getMessage() == f"Fails {continuation.pk} step 'load' raised ValueError; failed"
    assert record.exc_info is not None
    assert boundaries(caplog) == [("started", "load", None, None)]


@discard_on(ValueError)
class Discards(Fails):
    pass


def test_a_discarded_error_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Discards.enqueue()
    run_enqueued()
    assert [each.levelname for each in records(caplog)] == ["INFO", "WARNING"]
    assert "raised ValueError: no luck; discarded" in records(caplog)[-1].getMessage()


class ReachesLimit(ContinuableJob):
    max_resumptions = 0

    def perform(self) -> None:
        self.step("load", lambda step: step.set(1))
        self.step("last", lambda: None)


class ReachesLimitAndPauses(ReachesLimit):
    on_limit = "pause"


class MeetsTwice(ContinuableJob):
    def perform(self) -> None:
        self.step("load", lambda: None)
        self.step("load", lambda: None)


class Reorders(ContinuableJob):
    def perform(self) -> None:
        for name in ["a", "b"] if self.executions == 1 else ["b", "a"]:
            self.step(name, lambda: None)


class Inserts(ContinuableJob):
    def perform(self) -> None:
        if self.executions > 1:
            self.step("new", lambda: None)
        self.step("load", lambda step: step.set(1))


class Vanishes(ContinuableJob):
    def perform(self) -> None:
        if self.executions == 1:
            self.step("load", lambda step: step.set(1))


class Swallows(ContinuableJob):
    def perform(self) -> None:
        try:
            self.step("load", lambda step: step.set(1))
        except BaseException:
            return


class SetsOnSelf(ContinuableJob):
    def perform(self) -> None:
        self.step("load", lambda: None)
        self.step("use", lambda: self.users)


class Dies(ContinuableJob):
    max_crashes = 1

    def perform(self) -> None:
        self.step("load", lambda step: step.checkpoint())


@pytest.mark.parametrize(
    "job_class",
    [ReachesLimit, ReachesLimitAndPauses, MeetsTwice, Reorders, Inserts, Vanishes, Swallows, SetsOnSelf],
)
def test_no_other_line_uses_the_words_of_the_boundaries(
    job_class: type[ContinuableJob], caplog: pytest.LogCaptureFixture
) -> None:
    """L1: whoever searches the log for them finds boundaries only."""
    continuation = job_class.enqueue()
    with stopping_when(lambda job: job.executions == 1):
        ignore_errors(continuation)
    ignore_errors(continuation)
    lines = other_lines(caplog)
    assert lines
    assert [each for each in lines if any(re.search(rf"\b{word}\b", each.lower()) for word in WORDS)] == []


def test_a_crash_limit_does_not_use_them_either(caplog: pytest.LogCaptureFixture) -> None:
    """L1"""
    continuation = Dies.enqueue()
    with crash_during(Dies, "load"):
        ignore_errors(continuation)
    ignore_errors(continuation)
    assert len(other_lines(caplog)) == 1
    assert boundaries(caplog) == [("started", "load", None, None)]


def ignore_errors(continuation: Continuation) -> None:
    try:
        run_enqueued()
    except Exception:
        continuation.refresh_from_db()
