"""C1 to C6: where a job may be interrupted, when progress is written, and what `step.atomic()` commits."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from continuations import (
    CheckpointError,
    ContinuableJob,
    SerializationError,
    Step,
    Stop,
    UnadvanceableCursorError,
    attribute,
)
from continuations.models import Continuation, StepRecord
from continuations.sources import batches
from continuations.testing import (
    _Crash,
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
    stopping_when,
)
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []

# Seconds; no beat comes by itself in a test.
NEVER = 3600.0


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


def run(job_class: type[ContinuableJob], *args: Any) -> Continuation:
    """Enqueue and run to the end."""
    return run_until_finished(job_class.enqueue(*args))


def checkpoints(job_class: type[ContinuableJob], *args: Any) -> list[tuple[str | None, Any]]:
    """Step and cursor of every checkpoint of one undisturbed run."""
    visited: list[tuple[str | None, Any]] = []

    def visit(job: ContinuableJob) -> None:
        current = job._running()[0].current
        visited.append((None, None) if current is None else (current.name, current.cursor))

    with stopping_when(visit):
        run(job_class, *args)
    return visited


def stored(job: ContinuableJob) -> StepRecord:
    """The step in progress as it is in the database."""
    return StepRecord.objects.get(continuation=job.continuation, name=job.current_step)


def applied() -> list[str]:
    """What was done in the database."""
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


# C1: where checkpoints are


class Places(ContinuableJob):
    """Every way to move or to ask, one step each."""

    def perform(self) -> None:
        self.step("plain", lambda: None)
        self.step("set", lambda step: step.set("x"))
        self.step("advance", lambda step: step.advance(), start=4)
        self.step("checkpoint", lambda step: step.checkpoint(), start="here")
        self.step("iterate", self.iterate)
        self.step("atomic", self.atomic)
        self.step("last", lambda: None)

    def iterate(self, step: Step) -> None:
        for _ in step.iterate(["a", "b"]):
            pass

    def atomic(self, step: Step) -> None:
        with step.atomic():
            pass


def test_checkpoints_are_in_movements_and_between_steps() -> None:
    """C1"""
    between = (None, None)
    assert checkpoints(Places) == [
        between,
        ("set", "x"),
        between,
        ("advance", 5),
        between,
        ("checkpoint", "here"),
        between,
        ("iterate", 1),
        ("iterate", 2),
        between,
        ("atomic", None),
        between,
    ]


class TwoPlainSteps(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append("first"))
        self.step("last", lambda: did.append("last"))
        did.append("end")


def test_there_is_no_checkpoint_before_the_first_step_that_runs_and_none_after_the_last() -> None:
    """C1"""
    with stopping_when(lambda job: True):
        continuation = TwoPlainSteps.enqueue()
        run_enqueued()
        assert did == ["first"]
        run_enqueued()
    continuation.refresh_from_db()
    assert did == ["first", "last", "end"]
    assert continuation.status == "succeeded"


class EmptyWalk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for _ in step.iterate([]):
            did.append("item")
        did.append(step.cursor)


def test_walking_nothing_has_no_checkpoint_and_no_cursor() -> None:
    """C1"""
    assert checkpoints(EmptyWalk) == []
    assert did == [None]


class AtomicInWalk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                did.append(item)
            did.append(f"after {item}")


def test_a_turn_with_step_atomic_has_its_checkpoint_at_the_end_of_the_block() -> None:
    """C1: one per item, not two."""
    assert checkpoints(AtomicInWalk) == [("walk", 1), ("walk", 2)]


def test_an_interrupt_at_the_end_of_step_atomic_leaves_at_once() -> None:
    """C1"""
    with interrupt_during(AtomicInWalk, "walk", 1):
        AtomicInWalk.enqueue()
        run_enqueued()
    assert did == ["a"]


class JobCheckpoint(ContinuableJob):
    def perform(self) -> None:
        self.checkpoint()
        did.append("before")
        self.step("count", self.count, start=0)
        self.checkpoint()
        did.append("after")
        self.step("last", lambda: None)

    def count(self, step: Step) -> None:
        self.checkpoint()
        did.append("in step")


def test_a_checkpoint_of_the_job_works_inside_and_between_steps_and_not_before_progress() -> None:
    """C1"""
    with stopping_when(lambda job: True):
        continuation = JobCheckpoint.enqueue()
        run_enqueued()
        assert did == ["before"]
    assert checkpoints(JobCheckpoint) == [("count", 0), (None, None), (None, None)]
    continuation.refresh_from_db()
    assert continuation.steps.get().cursor == 0


class AtomicStepHasNone(ContinuableJob):
    def perform(self) -> None:
        self.step("publish", self.publish, atomic=True)

    def publish(self, step: Step) -> None:
        step.checkpoint()
        step.set(3)


def test_an_atomic_step_has_no_checkpoint_inside() -> None:
    """C1, C5"""
    assert checkpoints(AtomicStepHasNone) == []


class NestedWalk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for _ in step.iterate([1, 2]):
            for _ in step.iterate([3, 4]):
                did.append("inner")


def test_iterating_inside_a_turn_of_iterate_is_refused() -> None:
    NestedWalk.enqueue()
    with pytest.raises(CheckpointError, match=r"step 'walk': iterate\(\) inside a turn of iterate\(\)"):
        run_enqueued()
    assert did == []


# C2: what is asked when


class CountsQuestions(ContinuableJob):
    checkpoint_interval = NEVER

    def perform(self) -> None:
        self.step("first", self.first)
        self.step("second", lambda: None)

    def first(self, step: Step) -> None:
        for _ in step.iterate(range(100)):
            pass

    def should_stop(self) -> None:
        did.append(self.current_step)


def test_should_stop_is_asked_on_the_beat_and_between_steps_only() -> None:
    """C2: the first movement after a claim is a beat; the next one comes an interval later."""
    run(CountsQuestions)
    assert did == ["first", None]


class AsksEachTime(CountsQuestions):
    checkpoint_interval = 0

    def first(self, step: Step) -> None:
        for _ in step.iterate(range(3)):
            pass


def test_with_an_interval_of_zero_every_checkpoint_is_a_beat() -> None:
    """C2"""
    run(AsksEachTime)
    assert did == ["first", "first", "first", None]


class BuiltInFirst(ContinuableJob):
    max_runtime = 0

    def perform(self) -> None:
        self.step("count", lambda step: step.set(1))

    def should_stop(self) -> str:
        did.append("asked")
        return "own"


def test_the_built_in_reasons_come_first() -> None:
    """C2"""
    continuation = BuiltInFirst.enqueue()
    run_enqueued()
    continuation.refresh_from_db()
    assert continuation.reason == "max_runtime"
    assert did == []


class StoppingQuietly(ContinuableJob):
    def perform(self) -> None:
        self.step("ask", lambda: did.append(self.stopping()))


def test_stopping_answers_none_when_nothing_is_going_on() -> None:
    """C2"""
    run(StoppingQuietly)
    assert did == [None]


class StoppingTold(ContinuableJob):
    def perform(self) -> None:
        self.step("ask", self.ask)
        self.step("next", lambda: did.append("next"))

    def ask(self) -> None:
        did.append(self.stopping())


def test_stopping_gives_the_reason_and_leaves_the_decision_to_the_job() -> None:
    """C2"""
    with stopping_when(lambda job: "tea"):
        StoppingTold.enqueue()
        run_enqueued()
    assert did == ["tea"]


class StoppingInBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("ask", self.ask)

    def ask(self, step: Step) -> None:
        with step.atomic():
            os.kill(os.getpid(), signal.SIGTERM)
            did.append(self.stopping())


def test_stopping_gives_the_reason_inside_a_block_too() -> None:
    """C2: no interrupt is raised there, but the question has an answer."""
    StoppingInBlock.perform_now()
    assert did == ["stopping"]


# C3: when progress is written


class WritesFirstMovement(ContinuableJob):
    checkpoint_interval = NEVER

    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        for _ in range(3):
            step.advance()
            did.append(stored(self).cursor)


def test_the_first_movement_after_a_claim_is_written_at_once_and_the_next_on_the_beat() -> None:
    """C3"""
    continuation = run(WritesFirstMovement)
    assert did == [1, 1, 1]
    assert continuation.steps.get().cursor == 3


def test_the_first_movement_after_each_claim_is_written_at_once() -> None:
    """C3"""
    with interrupt_during(WritesFirstMovement, "count", 2):
        WritesFirstMovement.enqueue()
        run_enqueued()
    run_enqueued()
    assert did == [1, 3, 3, 3]


class AsksBeforeMoving(ContinuableJob):
    checkpoint_interval = NEVER

    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        step.checkpoint()
        self.stopping()
        step.advance()
        did.append(stored(self).cursor)


def test_a_checkpoint_without_movement_does_not_delay_the_first_write() -> None:
    """C3: it is the first *movement* that is written at once."""
    run(AsksBeforeMoving)
    assert did == [1]


class WritesEach(WritesFirstMovement):
    checkpoint_interval = 0


def test_with_an_interval_of_zero_every_movement_is_written() -> None:
    """C3"""
    run(WritesEach)
    assert did == [1, 2, 3]


def test_a_crash_with_an_interval_of_zero_loses_no_cursor() -> None:
    """C3"""
    with crash_during(WritesEach, "count", 2):
        continuation = WritesEach.enqueue()
        run_enqueued()
    assert continuation.steps.get().cursor == 2


def test_a_crash_between_beats_loses_the_cursor_since_the_last() -> None:
    """C3"""
    with crash_during(WritesFirstMovement, "count", 3):
        continuation = WritesFirstMovement.enqueue()
        run_enqueued()
    assert continuation.steps.get().cursor == 1


def test_the_setting_says_how_often_progress_is_written(settings: Any) -> None:
    """C3: `checkpoint_interval=None` takes `CHECKPOINT_INTERVAL`."""
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "CHECKPOINT_INTERVAL": 0}
    run(WritesBySetting)
    assert did == [1, 2, 3]


class WritesBySetting(WritesFirstMovement):
    checkpoint_interval = None


class MovesAndStops(ContinuableJob):
    checkpoint_interval = NEVER
    seen = attribute(default=0)

    def perform(self, fail: bool) -> None:
        self.fail = fail
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        for _ in range(5):
            step.advance()
            self.seen += 1
            if self.fail and step.cursor == 4:
                raise ValueError


def test_progress_is_written_on_interrupt() -> None:
    """C3: cursor and attributes, though no beat has come."""
    with interrupt_during(MovesAndStops, "count", 4):
        continuation = MovesAndStops.enqueue(False)
        run_enqueued()
    record = continuation.steps.get()
    assert (record.cursor, record.attributes_json) == (4, '{"seen":3}')


def test_progress_is_written_on_error() -> None:
    """C3"""
    continuation = MovesAndStops.enqueue(True)
    run_enqueued()
    record = continuation.steps.get()
    assert (record.cursor, record.attributes_json) == (4, '{"seen":4}')


def test_progress_is_written_at_step_end() -> None:
    """C3"""
    record = run(MovesAndStops, False).steps.get()
    assert (record.cursor, record.attributes_json) == (5, '{"seen":5}')


class Counts(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for _ in step.iterate(["a", "b", "c"]):
            record = stored(self)
            did.append((record.processed, record.total))


def test_processed_and_total_are_kept_as_they_go() -> None:
    """C3"""
    record = run(Counts).steps.get()
    assert did[1:] == [(1, 3), (2, 3)]
    assert (record.processed, record.total) == (3, 3)


def test_processed_goes_on_where_it_was() -> None:
    """C3"""
    with interrupt_during(Counts, "walk", 2):
        record = run(Counts).steps.get()
    assert (record.processed, record.total) == (3, 3)


class CountsBatches(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for _ in step.iterate(batches(["a", "b", "c", "d", "e"], 2)):
            pass


def test_processed_counts_items_and_not_batches() -> None:
    record = run(CountsBatches).steps.get()
    assert (record.processed, record.total) == (5, 5)


class ReportsProgress(ContinuableJob):
    def perform(self, done: Any, total: Any) -> None:
        self.step("work", lambda step: step.progress(done, total))


def test_a_step_may_say_its_progress_itself() -> None:
    record = run(ReportsProgress, 30, 120).steps.get()
    assert (record.processed, record.total) == (30, 120)


@pytest.mark.parametrize(("done", "total"), [(-1, 3), (1, -3), (1.5, 3), (True, 3), ("1", 3)])
def test_progress_that_is_no_number_of_things_is_refused(done: Any, total: Any) -> None:
    ReportsProgress.enqueue(done, total)
    with pytest.raises(ValueError, match=r"step 'work': progress\((done|total)=.*expected a whole number"):
        run_enqueued()


class CountsStrangely(ContinuableJob):
    checkpoint_interval = 0

    def perform(self, total: Any, size: Any) -> None:
        self.step("walk", lambda step: list(step.iterate(StrangeSource(total, size))) and None)


class StrangeSource:
    def __init__(self, total: Any, size: Any) -> None:
        self.given = total, size

    def after(self, cursor: Any) -> Iterator[tuple[str, int]]:
        yield from [("a", 1), ("b", 2)][cursor or 0 :]

    def total(self) -> Any:
        return self.given[0]

    def size(self, item: str) -> Any:
        return self.given[1]


@pytest.mark.parametrize(("total", "size"), [(-1, 1), ("many", 1), (2**70, 1), (2.5, 1), (2, -1), (2, "x"), (2, 0.5)])
def test_a_source_that_counts_nonsense_fails_the_job(total: Any, size: Any) -> None:
    """C3: and the outcome can be written."""
    continuation = CountsStrangely.enqueue(total, size)
    with pytest.raises((TypeError, ValueError), match="step 'walk'"):
        for _ in range(5):
            run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.owner) == ("failed", None)


def test_a_source_may_not_know_its_total() -> None:
    """C3"""
    record = run(CountsStrangely, None, 5).steps.get()
    assert (record.processed, record.total) == (10, None)


# C4: the order in `set`, and when `iterate` moves


class SetsThenWorks(ContinuableJob):
    def perform(self) -> None:
        self.step("work", self.work)

    def work(self, step: Step) -> None:
        for number in range(step.cursor or 0, 4):
            did.append(number)
            step.set(number + 1)


@pytest.mark.parametrize("cursor", [1, 2, 3, 4])
def test_the_item_just_done_is_never_repeated_after_an_interrupt(cursor: int) -> None:
    """C4: `set` assigns first, then checkpoints."""
    with interrupt_during(SetsThenWorks, "work", cursor):
        run(SetsThenWorks)
    assert did == [0, 1, 2, 3]


class Walks(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            did.append((item, step.cursor))


def test_in_iterate_the_cursor_moves_when_the_next_item_is_asked_for() -> None:
    """C4"""
    run(Walks)
    assert did == [("a", None), ("b", 1), ("c", 2)]


@pytest.mark.parametrize("cursor", [1, 2, 3])
def test_iterate_goes_on_with_the_next_item(cursor: int) -> None:
    """C4"""
    with interrupt_during(Walks, "walk", cursor):
        run(Walks)
    assert [item for item, _ in did] == ["a", "b", "c"]


class BreaksOut(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            if item == "b":
                break
        did.append(step.cursor)
        for item in step.iterate(["a", "b", "c"]):
            did.append(item)


def test_breaking_out_of_iterate_leaves_the_item_in_hand_undone() -> None:
    """C4: nobody asked for the next item. A second walk starts with that item."""
    run(BreaksOut)
    assert did == [1, "b", "c"]


class FailsInWalk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            if item == "b" and self.executions == 1:
                raise ValueError
            did.append(item)


def test_an_error_in_the_middle_of_iterate_comes_back_to_the_same_item() -> None:
    """C4, C3"""
    continuation = FailsInWalk.enqueue()
    run_enqueued()
    assert continuation.steps.get().cursor == 1
    run_until_finished(continuation)
    assert did == ["a", "b", "c"]


class CatchesInWalk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        try:
            for item in step.iterate(["a", "b", "c"]):
                if item == "b":
                    raise ValueError
        except ValueError:
            did.append(step.cursor)
        for item in step.iterate(["a", "b", "c"]):
            did.append(item)


def test_a_walk_left_by_an_error_can_be_begun_again() -> None:
    run(CatchesInWalk)
    assert did == [1, "b", "c"]


class OwnSource:
    def after(self, cursor: Any) -> Iterator[tuple[str, Any]]:
        yield "a", ("x", 1)
        yield "b", object()


class WalksUnstorable(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(OwnSource()):
            did.append(item)


def test_a_source_whose_cursor_cannot_be_stored_fails_at_that_item() -> None:
    """Q2, C4: the cursor before it is kept."""
    continuation = WalksUnstorable.enqueue()
    with pytest.raises(SerializationError, match="cursor of step 'walk'"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert continuation.steps.get().cursor == ("x", 1)


class SetsUnstorable(ContinuableJob):
    def perform(self) -> None:
        self.step("work", self.work, start=1)

    def work(self, step: Step) -> None:
        step.advance()
        with pytest.raises(SerializationError, match=r"cursor of step 'work': a builtins\.object cannot be stored"):
            step.set(object())
        did.append(step.cursor)


def test_set_refuses_what_cannot_be_stored_and_keeps_the_cursor() -> None:
    """Q2"""
    run(SetsUnstorable)
    assert did == [2]


class Advances(ContinuableJob):
    def perform(self, start: Any, from_: Any = None) -> Any:
        def go(step: Step) -> Any:
            step.advance(from_)
            return step.cursor

        return self.step(go, start=start)


def test_advance_moves_to_the_successor_of_from_if_given() -> None:
    assert run(Advances, None, 41).result == 42
    assert run(Advances, 7, 41).result == 42


def test_advance_moves_to_the_successor_of_the_cursor() -> None:
    assert run(Advances, 7).result == 8


@pytest.mark.parametrize("start", ["a", 1.5, (1, 2), True])
def test_advance_on_a_cursor_without_successor_is_an_error_that_names_it(start: Any) -> None:
    Advances.enqueue(start)
    with pytest.raises(UnadvanceableCursorError) as caught:
        run_enqueued()
    assert repr(start) in str(caught.value)


# C5, C6: step.atomic() and atomic=True


class AppliesRows(ContinuableJob):
    checkpoint_interval = NEVER
    seen = attribute(default=0)

    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            with step.atomic():
                Applied.objects.create(item=item)
                self.seen += 1
                did.append(item)


def test_cursor_and_work_commit_together() -> None:
    """C5: each block writes its cursor, attributes and counts, beat or not."""
    with crash_during(AppliesRows, "apply", 2):
        continuation = AppliesRows.enqueue()
        run_enqueued()
    record = continuation.steps.get()
    assert applied() == ["a", "b"]
    assert (record.cursor, record.attributes_json, record.processed) == (2, '{"seen":2}', 2)


@pytest.mark.parametrize("cursor", [1, 2, 3])
def test_effects_inside_step_atomic_happen_once_under_a_crash(cursor: int) -> None:
    """C6"""
    with crash_during(AppliesRows, "apply", cursor):
        continuation = AppliesRows.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert applied() == ["a", "b", "c"]
    assert did == ["a", "b", "c"]


class DiesInBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            with step.atomic():
                Applied.objects.create(item=item)
                if item == "b" and self.executions == 1:
                    raise KeyboardInterrupt


def test_what_a_broken_off_block_did_is_undone_and_done_again() -> None:
    """C6, E6"""
    continuation = DiesInBlock.enqueue()
    run_enqueued()
    assert applied() == ["a"]
    run_until_finished(continuation)
    assert applied() == ["a", "b", "c"]


class RollsBack(ContinuableJob):
    seen = attribute(default=list)

    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            try:
                with step.atomic():
                    Applied.objects.create(item=item)
                    self.seen.append(item)
                    step.progress(done=99)
                    if item == "b":
                        raise ValueError
            except ValueError:
                record = step.record
                did.append((step.cursor, list(self.seen), record.processed))


def test_a_block_that_rolls_back_takes_cursor_counts_and_attributes_with_it() -> None:
    """C5"""
    run(RollsBack)
    assert did == [(1, ["a"], 100)]
    assert applied() == ["a", "c"]


def test_an_item_whose_block_was_rolled_back_and_caught_is_passed_over() -> None:
    """C5, C4: its error was dealt with, so the next item is asked for, and the cursor moves."""
    record = run(RollsBack).steps.get()
    assert record.cursor == 3
    assert record.attributes_json == '{"seen":["a","c"]}'


class AttributeFromNothing(ContinuableJob):
    seen = attribute(default=0)

    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        with pytest.raises(ValueError), step.atomic():
            self.seen = 5
            raise ValueError
        did.append(self.seen)


def test_an_attribute_first_set_in_a_block_that_rolls_back_has_its_default_again() -> None:
    """C5"""
    run(AttributeFromNothing)
    assert did == [0]


class RetriesBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            for attempt in range(2):
                try:
                    with step.atomic():
                        Applied.objects.create(item=f"{item}{attempt}")
                        if attempt == 0:
                            raise ValueError
                except ValueError:
                    continue


def test_a_block_may_be_tried_again_in_the_same_turn_after_it_rolled_back() -> None:
    """C5"""
    assert run(RetriesBlock).steps.get().cursor == 2
    assert applied() == ["a1", "b1"]


class SecondBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                Applied.objects.create(item=item)
            with step.atomic():
                Applied.objects.create(item=f"{item} again")


def test_a_second_block_in_the_same_turn_is_an_error() -> None:
    """C5"""
    SecondBlock.enqueue()
    with pytest.raises(CheckpointError, match=r"step 'apply': a second step\.atomic\(\) in the same turn"):
        run_enqueued()
    assert applied() == ["a"]


class BlocksOutsideWalk(ContinuableJob):
    checkpoint_interval = NEVER

    def perform(self) -> None:
        self.step("apply", self.apply, start=0)

    def apply(self, step: Step) -> None:
        while step.cursor < 3:
            with step.atomic():
                Applied.objects.create(item=str(step.cursor))
                step.advance()
            did.append(stored(self).cursor)


def test_outside_iterate_a_block_commits_the_cursor_that_was_set_in_it() -> None:
    """C5: and there may be as many blocks as one likes."""
    run(BlocksOutsideWalk)
    assert applied() == ["0", "1", "2"]
    assert did == [1, 2, 3]


def test_no_interrupt_is_raised_inside_a_block() -> None:
    """C5"""
    with stopping_when(lambda job: True):
        BlocksOutsideWalk.enqueue()
        run_enqueued()
    assert applied() == ["0"]


class AtomicInAtomic(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        with step.atomic(), step.atomic():
            did.append("inside")


def test_a_block_inside_a_block_is_an_error() -> None:
    """C5: it would not be durable."""
    AtomicInAtomic.enqueue()
    with pytest.raises(CheckpointError, match=r"step 'apply': step\.atomic\(\) inside step\.atomic\(\)"):
        run_enqueued()
    assert did == []


class BlockInTransaction(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        with transaction.atomic(), step.atomic():
            did.append("inside")


def test_a_block_inside_a_transaction_is_an_error() -> None:
    """C5: it would not be durable."""
    BlockInTransaction.enqueue()
    with pytest.raises(CheckpointError, match=r"step 'apply': step\.atomic\(\) inside transaction\.atomic\(\)"):
        run_enqueued()
    assert did == []


class SavepointInBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                Applied.objects.create(item=item)
                with pytest.raises(ValueError), transaction.atomic():
                    Applied.objects.create(item="undone")
                    raise ValueError


def test_a_savepoint_inside_a_block_may_roll_back() -> None:
    """C5"""
    assert run(SavepointInBlock).steps.get().cursor == 2
    assert applied() == ["a", "b"]


class StepInTransaction(ContinuableJob):
    def perform(self) -> None:
        with transaction.atomic():
            self.step("apply", lambda: did.append("ran"))


def test_a_step_inside_a_transaction_is_refused() -> None:
    """C5"""
    StepInTransaction.enqueue()
    with pytest.raises(CheckpointError, match="step 'apply' was met inside a transaction"):
        run_enqueued()
    assert did == []


class AtomicPerform(ContinuableJob):
    @transaction.atomic
    def perform(self) -> None:
        self.step("apply", lambda: did.append("ran"))


def test_a_transaction_around_perform_is_refused_with_the_remedy() -> None:
    """C5"""
    AtomicPerform.enqueue()
    with pytest.raises(CheckpointError, match=r"Take transaction\.atomic off `perform`"):
        run_enqueued()


class PlainTransaction(ContinuableJob):
    checkpoint_interval = NEVER

    def perform(self) -> None:
        self.step("apply", self.apply, start=0)

    def apply(self, step: Step) -> None:
        while step.cursor < 3:
            with transaction.atomic():
                Applied.objects.create(item=str(step.cursor))
                step.advance()
                did.append(stored(self).cursor)


def test_in_a_plain_transaction_the_cursor_is_written_with_the_work() -> None:
    """C5"""
    run(PlainTransaction)
    assert did == [1, 2, 3]


class CannotStop(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply, start=0)

    def apply(self, step: Step) -> None:
        with transaction.atomic():
            os.kill(os.getpid(), signal.SIGTERM)
            while step.cursor < 3:
                step.advance()
        did.append("left the block")
        step.checkpoint()
        did.append("not reached")


def test_in_a_plain_transaction_no_interrupt_is_raised_and_a_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """C5: the interrupt comes at the first checkpoint after the block."""
    continuation = CannotStop.perform_now()
    assert did == ["left the block"]
    assert (continuation.status, continuation.reason) == ("interrupted", "stopping")
    assert continuation.steps.get().cursor == 3
    told = [each.getMessage() for each in caplog.records if "cannot stop here" in each.getMessage()]
    assert len(told) == 1
    assert "step 'apply' cannot stop here (stopping was asked" in told[0]
    assert "use step.atomic()" in told[0]


class RolledBackTransaction(ContinuableJob):
    seen = attribute(default=0)

    def perform(self) -> None:
        self.step("apply", self.apply, start=0)

    def apply(self, step: Step) -> None:
        self.seen = 1
        step.set(1)
        with pytest.raises(ValueError), transaction.atomic():
            self.seen = 2
            step.set(2)
            raise ValueError
        did.append((step.cursor, self.seen))
        step.set(step.cursor + 10)


def test_a_plain_transaction_that_rolls_back_takes_cursor_and_attributes_with_it() -> None:
    """C5: they go back to what is stored."""
    assert run(RolledBackTransaction).steps.get().cursor == 11
    assert did == [(1, 1)]


class SetsAfterRollback(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step("apply", self.apply, start=0)

    def apply(self, step: Step) -> None:
        for number in (1, 2, 3):
            try:
                with transaction.atomic():
                    step.set(number)
                    if number == 2:
                        raise ValueError
            except ValueError:
                did.append("caught")
        step.set(4)


def test_the_cursor_can_be_set_after_a_transaction_rolled_back() -> None:
    """C5: the error left the block as it should, so the job goes on."""
    assert run(SetsAfterRollback).steps.get().cursor == 4
    assert did == ["caught"]


class EndsAfterRollback(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply, start=0)

    def apply(self, step: Step) -> None:
        with pytest.raises(ValueError), transaction.atomic():
            step.set(1)
            raise ValueError


def test_a_step_can_end_after_a_transaction_rolled_back() -> None:
    """C5"""
    record = run(EndsAfterRollback).steps.get()
    assert (record.status, record.cursor) == ("completed", 0)


class WalksAfterRollback(ContinuableJob):
    def perform(self) -> None:
        self.step("apply", self.apply)

    def apply(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            try:
                with transaction.atomic():
                    Applied.objects.create(item=item)
                    step.checkpoint()
                    if item == "b":
                        raise ValueError
            except ValueError:
                did.append(item)


def test_a_walk_goes_on_after_a_transaction_rolled_back() -> None:
    """C5"""
    assert run(WalksAfterRollback).steps.get().cursor == 3
    assert applied() == ["a", "c"]


# atomic=True


class AtomicStep(ContinuableJob):
    def perform(self, fail: bool) -> Any:
        self.fail = fail
        self.step("before", lambda: None)
        return self.step("publish", self.publish, atomic=True)

    def publish(self) -> str:
        Applied.objects.create(item="published")
        if self.fail and self.executions == 1:
            raise ValueError
        return "fine"


def test_an_atomic_step_commits_body_result_and_completion_together() -> None:
    """C5"""
    continuation = run(AtomicStep, False)
    record = continuation.steps.get(name="publish")
    assert (record.status, record.result, continuation.result) == ("completed", "fine", "fine")
    assert applied() == ["published"]


def test_an_atomic_step_that_fails_leaves_nothing_and_runs_again() -> None:
    """C5, C6"""
    continuation = AtomicStep.enqueue(True)
    run_enqueued()
    assert applied() == []
    assert continuation.steps.get(name="publish").status == "running"
    run_until_finished(continuation)
    assert applied() == ["published"]


class AtomicUnstorable(ContinuableJob):
    def perform(self) -> None:
        self.step("publish", lambda: Applied.objects.create(item="x") and object(), atomic=True)


def test_an_atomic_step_whose_result_cannot_be_stored_leaves_nothing() -> None:
    """C5, C6"""
    AtomicUnstorable.enqueue()
    with pytest.raises(SerializationError, match="result of step 'publish'"):
        run_enqueued()
    assert applied() == []


class AtomicThenNext(ContinuableJob):
    def perform(self) -> None:
        self.step("publish", lambda: Applied.objects.create(item="x") and None, atomic=True)
        self.step("next", lambda: did.append("next"))


def test_an_atomic_step_is_skipped_once_it_has_committed() -> None:
    """C6"""
    with interrupt_after(AtomicThenNext, "publish"):
        run(AtomicThenNext)
    assert applied() == ["x"]
    assert did == ["next"]


def test_an_atomic_step_happens_once_when_the_process_dies_after_it() -> None:
    """C6"""
    with stopping_when(die_between_steps):
        continuation = AtomicThenNext.enqueue()
        run_enqueued()
    assert (continuation.steps.get().status, did) == ("completed", [])
    run_until_finished(continuation)
    assert applied() == ["x"]


def die_between_steps(job: ContinuableJob) -> None:
    if job.current_step is None:
        raise _Crash


class EnqueuesInBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("fan", self.fan)

    def fan(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            try:
                with step.atomic():
                    TwoPlainSteps.enqueue()
                    if item == "b":
                        raise ValueError
            except ValueError:
                continue


def test_enqueueing_is_an_effect_like_any_other() -> None:
    """C6"""
    run(EnqueuesInBlock)
    assert Continuation.objects.for_job(TwoPlainSteps).count() == 1


class Throttled(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                Applied.objects.create(item=item)

    def should_stop(self) -> Stop | None:
        return Stop("throttled", wait=30) if self.executions == 1 else None


def test_a_rest_asked_for_by_should_stop_keeps_what_the_block_committed() -> None:
    """C5, C2"""
    continuation = Throttled.enqueue()
    run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.reason) == ("waiting", "throttled")
    assert applied() == ["a"]
    run_until_finished(continuation)
    assert applied() == ["a", "b"]


# All of it together: any program, stopped, killed and failing anywhere


class Interpreter(ContinuableJob):
    """Does what its program says, one step a line, and keeps an account in the database and in attributes."""

    max_crashes = 100
    total = attribute(default=0)

    def perform(self, run_name: str, program: list[tuple[str, int]]) -> list[Any]:
        self.run_name = run_name
        return [self.line(index, kind, size) for index, (kind, size) in enumerate(program)]

    def line(self, index: int, kind: str, size: int) -> Any:
        name = f"{index}"
        if kind == "walk":
            return self.step(name, lambda step: self.walk(step, name, size), isolated=size == 2)
        if kind == "count":
            return self.step(name, lambda step: self.count(step, name, size), start=0)
        return self.step(name, lambda: self.note(name), atomic=True)

    def note(self, item: str) -> str:
        Applied.objects.create(run=self.run_name, item=item)
        self.total += 1
        return item

    def walk(self, step: Step, name: str, size: int) -> int:
        for number in step.iterate(range(size)):
            with step.atomic():
                self.note(f"{name}.{number}")
        return size

    def count(self, step: Step, name: str, size: int) -> Any:
        while step.cursor < size:
            with step.atomic():
                self.note(f"{name}.{step.cursor}")
                step.advance()
            step.checkpoint()
        return step.cursor


class OftenWritten(Interpreter):
    checkpoint_interval = 0


def expected_of(program: list[tuple[str, int]]) -> list[str]:
    items: list[str] = []
    for index, (kind, size) in enumerate(program):
        items += [f"{index}"] if kind == "atomic" else [f"{index}.{number}" for number in range(size)]
    return items


programs = st.lists(st.tuples(st.sampled_from(["walk", "count", "atomic"]), st.integers(0, 4)), max_size=5)
disturbances = st.lists(st.sampled_from(["", "", "interrupt", "time-out", "crash", "error", "rest"]), max_size=25)


@given(st.sampled_from([Interpreter, OftenWritten]), programs, disturbances)
@hypothesis.settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_effects_happen_once_and_in_order_whatever_comes_between(
    job_class: type[ContinuableJob], program: list[tuple[str, int]], events: list[str]
) -> None:
    """C6, E3, E6, E7, S1: results, attributes and effects are those of an undisturbed run."""
    remaining = iter(events)

    def disturb(job: ContinuableJob) -> Any:
        event = next(remaining, "")
        if event == "crash":
            raise _Crash
        if event == "error":
            raise ConnectionError
        return {"": None, "interrupt": "stopping", "time-out": "timeout", "rest": Stop("throttled", wait=9)}[event]

    name = uuid.uuid4().hex
    continuation = job_class.enqueue(name, program)
    with stopping_when(disturb):
        for _ in range(len(events) + len(program) + 20):
            with contextlib.suppress(ConnectionError):
                run_until_finished(continuation)
            if continuation.status != "failed":
                break
            continuation.retry()
    items = list(Applied.objects.filter(run=name).order_by("pk").values_list("item", flat=True))
    assert (continuation.status, items) == ("succeeded", expected_of(program))
    assert continuation.result == [str(i) if kind == "atomic" else size for i, (kind, size) in enumerate(program)]
    last = continuation.steps.last()
    assert last is None or last.attributes_json in {None, f'{{"total":{len(items)}}}'}
