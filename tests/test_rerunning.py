"""`rerun_from`: what was before the step stays, the step and all after it are done again."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from continuations import ContinuableJob, InvalidStepError, Step, TransitionError, WaitTimeout, attribute, discard_on
from continuations.models import Continuation, Event, StepRecord
from continuations.testing import interrupt_during, run_enqueued, run_until_finished
from tests.test_waiting import make_due

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []

# What the world outside looks like to them.
world: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()
    world.clear()
    world["rows"] = ["a", "b"]


class NotWanted(Exception):
    """What the job below discards."""


@discard_on(NotWanted)
class Import(ContinuableJob):
    resume_errors_after_advancing = False
    checkpoint_interval = 0
    count = attribute(default=0)
    seen = attribute(default=list)

    def perform(self) -> list[Any]:
        first = self.step("validate", self.validate)
        self.step(self.load)
        return [first, self.step("summarise", self.summarise), self.count, self.seen]

    def validate(self) -> str:
        did.append("validate")
        self.count += 100
        return f"valid {world.get('version', 1)}"

    def load(self, step: Step) -> None:
        for row in step.iterate(world["rows"]):
            did.append(row)
            self.count += 1
            self.seen.append(row)

    def summarise(self) -> str:
        did.append("summarise")
        if error := world.get("error"):
            raise error
        return f"{len(self.seen)} rows"


def ended(error: Exception | None = None) -> Continuation:
    """An import that has ended, with an error in its last step if one is given."""
    world["error"] = error
    continuation = Import.enqueue()
    with contextlib.suppress(ValueError):
        run_until_finished(continuation)
    world["error"] = None
    did.clear()
    continuation.refresh_from_db()
    return continuation


def test_earlier_steps_keep_their_results_and_later_ones_run_again() -> None:
    continuation = ended()
    world["version"] = 2
    continuation.rerun_from("load")
    assert list(continuation.steps.values_list("name", flat=True)) == ["validate"]
    assert run_until_finished(continuation).result == ["valid 1", "2 rows", 102, ["a", "b"]]
    assert did == ["a", "b", "summarise"]


def test_attributes_are_as_they_were_before_the_step() -> None:
    """Else its rows would be counted twice."""
    continuation = ended()
    continuation.rerun_from("summarise")
    assert run_until_finished(continuation).result == ["valid 1", "2 rows", 102, ["a", "b"]]
    assert did == ["summarise"]


def test_running_again_from_the_first_step_is_running_again_from_scratch() -> None:
    continuation = ended()
    world.update(version=2, rows=["c"])
    continuation.rerun_from("validate")
    assert not continuation.steps.exists()
    assert run_until_finished(continuation).result == ["valid 2", "1 rows", 101, ["c"]]


def test_the_step_can_go_on_at_its_last_cursor() -> None:
    """For rows that were added since; what it counted so far still counts."""
    continuation = ended()
    world["rows"] = ["a", "b", "c"]
    continuation.rerun_from("load", keep_cursor=True)
    assert run_until_finished(continuation).result == ["valid 1", "3 rows", 103, ["a", "b", "c"]]
    assert did == ["c", "summarise"]
    assert continuation.steps.get(name="load").processed == 3


def test_a_step_that_was_in_progress_can_keep_its_cursor_too() -> None:
    continuation = Import.enqueue()
    with interrupt_during(Import, "load", 1):
        run_enqueued()
    continuation.refresh_from_db()
    continuation.pause()
    continuation.rerun_from("load", keep_cursor=True)
    run_until_finished(continuation)
    assert did == ["validate", "a", "b", "summarise"]


def test_a_step_without_a_cursor_runs_again_though_it_keeps_it() -> None:
    continuation = ended()
    continuation.rerun_from("summarise", keep_cursor=True)
    run_until_finished(continuation)
    assert did == ["summarise"]


@pytest.mark.parametrize(
    ("error", "status"), [(None, "succeeded"), (ValueError("broken"), "failed"), (NotWanted(), "discarded")]
)
def test_what_has_ended_can_run_again(error: Exception | None, status: str) -> None:
    continuation = ended(error)
    assert continuation.status == status
    continuation.rerun_from("load", by="ada", reason="new file")
    assert (continuation.finished_at, continuation.result, continuation.anchor_open) == (None, None, True)
    assert (continuation.request_by, continuation.request_reason) == ("ada", "new file")
    assert run_until_finished(continuation).status == "succeeded"
    assert did == ["a", "b", "summarise"]


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_what_was_paused_or_cancelled_can_run_again(verb: str) -> None:
    continuation = Import.enqueue()
    with interrupt_during(Import, "load", 1):
        run_enqueued()
    did.clear()
    getattr(continuation, verb)()
    continuation.rerun_from("validate")
    run_until_finished(continuation)
    assert did == ["validate", "a", "b", "summarise"]


def test_a_step_that_was_never_met_is_an_error_that_names_those_that_were() -> None:
    continuation = Import.enqueue()
    with interrupt_during(Import, "load", 1):
        run_enqueued()
    continuation.refresh_from_db()
    continuation.cancel()
    with pytest.raises(InvalidStepError, match="has no step 'summarise'; its steps: 'validate', 'load'"):
        continuation.rerun_from("summarise")
    assert Continuation.objects.get().status == "cancelled"
    assert continuation.steps.count() == 2


def test_what_never_began_has_no_step_to_run_again_from() -> None:
    continuation = Import.enqueue()
    continuation.pause()
    with pytest.raises(InvalidStepError, match="its steps: none"):
        continuation.rerun_from("validate")


def test_what_has_not_ended_is_refused_and_keeps_its_steps() -> None:
    continuation = Import.enqueue()
    with interrupt_during(Import, "load", 1):
        run_enqueued()
    with pytest.raises(TransitionError, match="is interrupted: cannot rerun it"):
        continuation.rerun_from("validate")
    assert continuation.steps.get(name="load").cursor == 1


def test_limits_are_counted_anew_and_what_happened_stays_counted() -> None:
    continuation = ended(ValueError("broken"))
    Continuation.objects.update(crashes=2, errors=2, counted_resumptions=2, resumptions=2)
    continuation.rerun_from("load")
    stored = Continuation.objects.get()
    assert (stored.crashes, stored.errors, stored.counted_resumptions, stored.resumptions) == (0, 0, 0, 2)


# Events and children of the steps that are forgotten


class Approve(ContinuableJob):
    def perform(self) -> list[Any]:
        first = self.wait_for("first")
        self.step("between", lambda: did.append("between"))
        return [first, self.wait_for("second")]


def test_events_that_forgotten_steps_waited_for_are_forgotten_and_others_are_kept() -> None:
    continuation = Approve.enqueue()
    continuation.send("first", 1)
    continuation.send("second", 2)
    continuation.send("unasked", 3)
    run_until_finished(continuation)
    continuation.rerun_from("between")
    assert sorted(Event.objects.values_list("name", flat=True)) == ["first", "unasked"]
    assert run_until_finished(continuation).status == "waiting"
    continuation.send("second", "again")
    assert run_until_finished(continuation).result == [1, "again"]


def test_running_again_from_a_wait_waits_again() -> None:
    continuation = Approve.enqueue()
    continuation.send("first", 1)
    continuation.send("second", 2)
    run_until_finished(continuation)
    # It has no cursor to keep.
    continuation.rerun_from("second", keep_cursor=True)
    assert run_until_finished(continuation).waiting_for == "second"


class Deadline(ContinuableJob):
    def perform(self) -> Any:
        try:
            return self.wait_for("answer", timeout=60)
        except WaitTimeout:
            return self.step("escalate", lambda: "nobody")


def test_a_wait_that_timed_out_waits_for_its_whole_time_again() -> None:
    continuation = Deadline.enqueue()
    run_enqueued()
    make_due(continuation)
    assert run_until_finished(continuation).result == "nobody"
    # It came too late for the first run. Nobody has taken it, and it counts for the second.
    continuation.rerun_from("answer")
    assert run_until_finished(continuation).status == "waiting"
    continuation.send("answer", "here")
    assert run_until_finished(continuation).result == "here"


class Parent(ContinuableJob):
    def perform(self) -> list[str]:
        self.step("before", lambda: Child.enqueue("before") and None, atomic=True)
        self.step("fan_out", self.fan_out, atomic=True)
        return [child.arguments[0][0] for child in self.wait_for_children()]

    def fan_out(self) -> None:
        Child.enqueue(f"of run {world.get('version', 1)}")


class Child(ContinuableJob):
    def perform(self, name: str) -> None:
        if world.get("fails") and name != "before":
            raise ConnectionError
        did.append(name)


@pytest.mark.django_db(transaction=True)
def test_children_of_forgotten_steps_are_cancelled_and_others_are_kept() -> None:
    parent = Parent.enqueue()
    run_enqueued(Parent)
    world["version"] = 2
    parent.refresh_from_db()
    parent.pause()
    parent.rerun_from("fan_out", by="ada")
    before, old = parent.children.order_by("created_at")
    assert (before.status, old.status) == ("enqueued", "cancelled")
    assert old.request_by == "ada"
    assert "runs again from before it" in old.request_reason
    run_enqueued(Parent)
    run_enqueued(Child)
    assert run_until_finished(parent).result == ["before", "of run 2"]
    assert did == ["before", "of run 2"]


def test_children_of_forgotten_steps_are_cancelled_in_a_test_case_too() -> None:
    """Where nothing is ever committed."""
    parent = Parent.enqueue()
    run_enqueued(Parent)
    parent.refresh_from_db()
    parent.pause()
    parent.rerun_from("fan_out")
    run_enqueued(Child)
    assert did == ["before"]


def test_a_parent_can_look_again_at_children_that_were_retried() -> None:
    world["fails"] = True
    parent = Parent.enqueue()
    run_enqueued(Parent)
    with pytest.raises(ConnectionError):
        run_enqueued(Child)
    assert run_until_finished(parent).status == "succeeded"
    world["fails"] = False
    failed = parent.children.get(status="failed")
    failed.retry()
    parent.rerun_from("children")
    assert run_until_finished(parent).status == "waiting"
    run_until_finished(failed)
    assert run_until_finished(parent).result == ["before", "of run 1"]
    assert set(parent.children.values_list("status", flat=True)) == {"succeeded"}
    assert did == ["before", "of run 1"]


@pytest.mark.django_db(transaction=True)
def test_a_fan_out_that_keeps_its_cursor_keeps_its_children() -> None:
    parent = Parent.enqueue()
    run_enqueued(Parent)
    parent.refresh_from_db()
    parent.pause()
    parent.rerun_from("fan_out", keep_cursor=True)
    assert not parent.children.filter(status="cancelled").exists()


def test_steps_are_reset_under_the_lock_of_the_row_only_once() -> None:
    continuation = ended()
    sequence = continuation.steps.get(name="load").sequence
    continuation.rerun_from("load", keep_cursor=True)
    record = continuation.steps.get(name="load")
    # A zombie that knows the old number matches nothing.
    assert (record.sequence, record.execution) == (sequence + 1, None)
    assert record.status == StepRecord.Status.RUNNING
    assert (record.result_json, record.finished_at) == (None, None)
