"""F2, F3: rests. One mechanism for sleeping, waiting for an event and waiting for children."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from continuations import (
    ContinuableJob,
    InvalidStepError,
    Step,
    Stop,
    TransitionError,
    WaitTimeout,
    attribute,
    discard_on,
)
from continuations.models import Continuation, StepRecord
from continuations.testing import enqueued, interrupt_after, run_enqueued, run_until_finished

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []

# Children that discard themselves.
unwanted: set[int] = set()


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()
    unwanted.clear()


class Approve(ContinuableJob):
    def perform(self, timeout: float | None = None) -> Any:
        self.step("validate", lambda: did.append("validated"))
        approval = self.wait_for("approval", timeout=timeout)
        self.step("publish", lambda: did.append(approval))
        return approval


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def make_due(continuation: Continuation) -> None:
    """As if the time for which it rests had passed."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Continuation.objects.filter(pk=continuation.pk).update(run_after=past)


def test_waiting_for_an_event_rests_until_it_is_sent() -> None:
    continuation = Approve.enqueue()
    run_enqueued()
    assert status(continuation) == "waiting"
    assert continuation.waiting_for == "approval"
    assert continuation.run_after is None
    assert not enqueued().exists()
    continuation.send("approval", {"by": "ada"})
    assert status(continuation) == "enqueued"
    run_until_finished(continuation)
    assert continuation.result == {"by": "ada"}
    assert did == ["validated", {"by": "ada"}]


def test_an_event_that_came_early_is_found() -> None:
    continuation = Approve.enqueue()
    continuation.send("approval", "early")
    run_enqueued()
    assert status(continuation) == "succeeded"
    assert continuation.executions == 1
    assert continuation.result == "early"


def test_the_first_event_of_a_name_wins() -> None:
    continuation = Approve.enqueue()
    first = continuation.send("approval", 1)
    second = continuation.send("approval", (2, "late"))
    assert (second, second.payload) == (first, 1)
    run_enqueued()
    assert status(continuation) == "succeeded"
    assert continuation.result == 1


def test_an_event_of_another_name_wakes_nobody() -> None:
    continuation = Approve.enqueue()
    run_enqueued()
    continuation.send("refusal", None)
    assert status(continuation) == "waiting"


def test_a_payload_of_none_is_an_event_too() -> None:
    continuation = Approve.enqueue()
    run_enqueued()
    continuation.send("approval")
    run_until_finished(continuation)
    assert continuation.result is None


def test_the_payload_is_replayed_on_later_executions() -> None:
    continuation = Approve.enqueue()
    continuation.send("approval", "yes")
    with interrupt_after(Approve, "approval"):
        run_enqueued()
    assert did == ["validated"]
    run_until_finished(continuation)
    assert did == ["validated", "yes"]


def test_a_wait_that_is_not_answered_in_time_raises() -> None:
    continuation = Approve.enqueue(60)
    run_enqueued()
    assert status(continuation) == "waiting"
    assert continuation.run_after is not None
    make_due(continuation)
    with pytest.raises(WaitTimeout, match="approval"):
        run_enqueued()
    assert status(continuation) == "failed"
    assert issubclass(WaitTimeout, TimeoutError)


def test_a_retry_after_a_timeout_waits_anew() -> None:
    continuation = Approve.enqueue(60)
    run_enqueued()
    make_due(continuation)
    with pytest.raises(WaitTimeout):
        run_enqueued()
    continuation.refresh_from_db()
    continuation.retry()
    run_enqueued()
    assert status(continuation) == "waiting"
    assert continuation.run_after is not None
    assert continuation.run_after > timezone.now() + dt.timedelta(seconds=30)
    continuation.send("approval", "late")
    assert run_until_finished(continuation).result == "late"


class Escalate(ContinuableJob):
    def perform(self) -> Any:
        try:
            answer = self.wait_for("answer", timeout=60)
        except WaitTimeout:
            answer = self.step("escalate", lambda: did.append("escalated") or "nobody")
        return self.step("end", lambda: answer)


def test_a_timeout_that_is_caught_is_raised_again_on_later_executions() -> None:
    continuation = Escalate.enqueue()
    run_enqueued()
    make_due(continuation)
    with interrupt_after(Escalate, "escalate"):
        run_enqueued()
    assert continuation.steps.get(name="answer").status == StepRecord.Status.TIMED_OUT
    # Too late: the job has gone another way.
    continuation.refresh_from_db()
    continuation.send("answer", "here I am")
    assert run_until_finished(continuation).result == "nobody"
    assert did == ["escalated"]


class CatchesLast(ContinuableJob):
    def perform(self) -> Any:
        try:
            return self.wait_for("answer", timeout=60)
        except WaitTimeout:
            return "nobody"


def test_a_timeout_that_is_caught_at_the_end_is_a_success() -> None:
    continuation = CatchesLast.enqueue()
    run_enqueued()
    make_due(continuation)
    run_enqueued()
    assert status(continuation) == "succeeded"
    assert continuation.result == "nobody"
    assert continuation.steps.get().status == StepRecord.Status.TIMED_OUT


class Defaulted(ContinuableJob):
    def perform(self) -> Any:
        answer = self.wait_for("answer", timeout=dt.timedelta(minutes=1), default=None)
        return self.step("end", lambda: answer)


def test_a_default_takes_the_place_of_the_event() -> None:
    continuation = Defaulted.enqueue()
    run_enqueued()
    make_due(continuation)
    with interrupt_after(Defaulted, "answer"):
        run_enqueued()
    run_until_finished(continuation)
    assert continuation.status == "succeeded"
    assert continuation.result is None


class Nap(ContinuableJob):
    woken = attribute(default=0)

    def perform(self) -> int:
        self.step("before", lambda: did.append("before"))
        self.sleep("nap", dt.timedelta(hours=1))
        self.step("after", lambda: did.append("after"))
        return self.executions


def test_sleeping_rests_until_its_time() -> None:
    before, nap = timezone.now(), dt.timedelta(hours=1)
    continuation = Nap.enqueue()
    run_enqueued()
    assert status(continuation) == "waiting"
    assert continuation.waiting_for == ""
    assert continuation.run_after is not None
    assert before + nap <= continuation.run_after <= timezone.now() + nap
    assert run_enqueued(due_only=True) == 0
    run_enqueued()
    assert status(continuation) == "succeeded"
    assert continuation.result == 2
    assert did == ["before", "after"]


def test_a_sleep_that_was_cut_short_by_a_pause_goes_on() -> None:
    continuation = Nap.enqueue()
    run_enqueued()
    continuation.refresh_from_db()
    due = continuation.run_after
    continuation.pause()
    continuation.resume()
    assert continuation.status == "enqueued"
    run_enqueued()
    assert status(continuation) == "waiting"
    assert due is not None
    assert continuation.run_after is not None
    assert abs(continuation.run_after - due) < dt.timedelta(seconds=5)


@pytest.mark.parametrize("duration", [None, -1, "an hour", float("nan")])
def test_a_sleep_needs_a_duration(duration: Any) -> None:
    class Sleeps(ContinuableJob):
        def perform(self) -> None:
            self.sleep("nap", duration)

    job = Sleeps()
    with pytest.raises(TypeError, match="seconds"):
        from continuations.rests import Sleep

        Sleep("nap", duration)
    assert job is not None


def test_an_event_for_what_has_ended_is_an_error_that_says_so() -> None:
    continuation = Approve.enqueue()
    continuation.send("approval", 1)
    run_until_finished(continuation)
    with pytest.raises(TransitionError, match="succeeded"):
        continuation.send("other", 1)


class Parent(ContinuableJob):
    def perform(self, n: int) -> list[Any]:
        self.step("fan_out", lambda: [Child.enqueue(i) for i in range(n)] and None, atomic=True)
        children = self.wait_for_children()
        return self.step("join", lambda: [(child.status, child.result) for child in children])


class NotWanted(Exception):
    """What a child discards."""


@discard_on(NotWanted)
class Child(ContinuableJob):
    def perform(self, i: int) -> int:
        if i in unwanted:
            raise NotWanted
        if i == 13:
            raise ValueError(i)
        return i * i


def test_a_parent_waits_until_all_children_have_ended() -> None:
    parent = Parent.enqueue(3)
    run_enqueued(Parent)
    assert status(parent) == "waiting"
    assert [child.parent_id for child in Continuation.objects.for_job(Child)] == [parent.pk] * 3
    assert enqueued(Parent).count() == 0
    run_enqueued(Child)
    assert status(parent) == "enqueued"
    assert run_until_finished(parent).result == [("succeeded", 0), ("succeeded", 1), ("succeeded", 4)]


def test_a_child_that_fails_does_not_hang_its_parent() -> None:
    parent = Parent.enqueue(14)
    run_enqueued(Parent)
    with pytest.raises(ValueError):
        run_enqueued(Child)
    assert run_until_finished(parent).result[-1] == ("failed", None)


def test_a_parent_without_children_does_not_wait() -> None:
    parent = Parent.enqueue(0)
    run_enqueued()
    assert status(parent) == "succeeded"


def test_cancelling_a_parent_cancels_its_children() -> None:
    parent = Parent.enqueue(2)
    run_enqueued(Parent)
    parent.refresh_from_db()
    parent.cancel(by="ada", reason="wrong file")
    run_enqueued()
    assert status(parent) == "cancelled"
    assert {child.status for child in parent.children.all()} == {"cancelled"}
    assert {child.request_by for child in parent.children.all()} == {"ada"}


def test_running_again_from_the_fan_out_has_children_of_its_own() -> None:
    parent = Parent.enqueue(2)
    run_enqueued(Parent)
    run_enqueued(Child)
    run_until_finished(parent)
    parent.rerun_from("fan_out")
    run_enqueued(Parent)
    run_enqueued(Child)
    assert len(run_until_finished(parent).result) == 2
    assert parent.children.count() == 4


class Swapped(ContinuableJob):
    def perform(self) -> None:
        self.step("approval", lambda: None)


def test_a_wait_is_not_another_kind_of_step() -> None:
    continuation = Approve.enqueue()
    continuation.send("approval", 1)
    run_until_finished(continuation)
    continuation.steps.filter(name="validate").update(kind=StepRecord.Kind.EVENT)
    continuation.rerun_from("publish")
    with pytest.raises(InvalidStepError, match="validate"):
        run_until_finished(continuation)


class WaitsInAStep(ContinuableJob):
    def perform(self) -> None:
        self.step("outer", self.outer)

    def outer(self, step: Step) -> None:
        self.wait_for("x")


def test_a_wait_inside_a_step_is_an_error() -> None:
    WaitsInAStep.enqueue()
    with pytest.raises(InvalidStepError, match="outer"):
        run_enqueued()


def test_a_child_that_is_cancelled_wakes_its_parent() -> None:
    parent = Parent.enqueue(1)
    run_enqueued(Parent)
    Continuation.objects.for_job(Child).get().cancel()
    assert run_until_finished(parent).result == [("cancelled", None)]


class Twice(ContinuableJob):
    def perform(self) -> list[list[int]]:
        self.step("first", lambda: Child.enqueue(1) and None, atomic=True)
        first = self.wait_for_children("wait for the first")
        self.step("second", lambda: Child.enqueue(2) and None, atomic=True)
        second = self.wait_for_children("wait for both")
        return [[child.result for child in children] for children in (first, second)]


def test_a_wait_for_children_gives_the_same_children_on_later_executions() -> None:
    """Those that were enqueued after it are another wait's."""
    parent = Twice.enqueue()
    run_enqueued()
    run_enqueued(Child)
    with interrupt_after(Twice, "second"):
        run_enqueued(Twice)
    run_enqueued()
    run_enqueued()
    assert run_until_finished(parent).result == [[1], [1, 4]]


class Nested(ContinuableJob):
    def perform(self, depth: int) -> int:
        if depth:
            self.step("fan_out", lambda: Nested.enqueue(depth - 1) and None, atomic=True)
            return sum(child.result for child in self.wait_for_children()) + 1
        return 1


def test_children_may_have_children() -> None:
    parent = Nested.enqueue(3)
    for _ in range(8):
        run_enqueued()
    assert status(parent) == "succeeded"
    assert parent.result == 4


def test_cancelling_a_parent_cancels_the_children_of_its_children() -> None:
    parent = Nested.enqueue(2)
    for _ in range(2):
        run_enqueued()
    parent.refresh_from_db()
    parent.cancel()
    run_enqueued()
    assert set(Continuation.objects.values_list("status", flat=True)) == {"cancelled"}
    assert Continuation.objects.count() == 3


@pytest.mark.parametrize("how", ["discarded", "cancelled"])
def test_a_child_wakes_its_parent_however_it_ended(how: str) -> None:
    parent = Parent.enqueue(2)
    run_enqueued(Parent)
    first, second = Continuation.objects.for_job(Child).order_by("created_at", "pk")
    run_until_finished(first)
    if how == "cancelled":
        second.cancel()
    else:
        unwanted.add(1)
        run_until_finished(second)
    assert [each[0] for each in run_until_finished(parent).result] == ["succeeded", how]


def test_what_a_job_enqueues_outside_of_a_job_has_no_parent() -> None:
    assert Child.enqueue(1).parent is None


def test_a_pause_of_a_parent_leaves_its_children_alone_and_it_goes_on_with_them() -> None:
    parent = Parent.enqueue(2)
    run_enqueued(Parent)
    parent.refresh_from_db()
    parent.pause()
    run_enqueued(Child)
    assert status(parent) == "paused"
    parent.resume()
    assert run_until_finished(parent).result == [("succeeded", 0), ("succeeded", 1)]


def test_an_event_sent_while_it_is_paused_is_found_when_it_is_resumed() -> None:
    continuation = Approve.enqueue()
    run_enqueued()
    continuation.refresh_from_db()
    continuation.pause()
    continuation.send("approval", 5)
    assert status(continuation) == "paused"
    continuation.resume()
    assert run_until_finished(continuation).result == 5


def test_what_is_paused_while_it_waits_waits_on_when_it_is_resumed() -> None:
    continuation = Approve.enqueue()
    run_enqueued()
    continuation.refresh_from_db()
    continuation.pause()
    continuation.resume()
    assert run_until_finished(continuation).waiting_for == "approval"


def test_an_event_wakes_only_who_waits_for_it() -> None:
    """One that comes in a back-off does not end it."""
    continuation = Approve.enqueue()
    with interrupt_after(Approve, "validate", reason="tea"):
        run_enqueued()
    later = timezone.now() + dt.timedelta(hours=1)
    Continuation.objects.update(status="waiting", run_after=later)
    continuation.refresh_from_db()
    continuation.send("approval", 5)
    assert status(continuation) == "waiting"
    assert continuation.run_after == later
    assert run_until_finished(continuation).result == 5


class Throttled(ContinuableJob):
    checkpoint_interval = 0
    busy: list[bool] = []

    def should_stop(self) -> Any:
        return Stop("throttled", wait=30) if Throttled.busy else None

    def perform(self) -> None:
        self.step(self.load)

    def load(self, step: Step) -> None:
        for item in step.iterate(range(3)):
            did.append(item)


def test_throttling_rests_and_goes_on() -> None:
    """F3"""
    Throttled.busy.append(True)
    before, wait = timezone.now(), dt.timedelta(seconds=30)
    continuation = Throttled.enqueue()
    run_enqueued()
    assert (status(continuation), continuation.reason, did) == ("waiting", "throttled", [0])
    assert continuation.run_after is not None
    assert before + wait <= continuation.run_after <= timezone.now() + wait
    run_enqueued()
    assert did == [0, 1]
    Throttled.busy.clear()
    run_until_finished(continuation)
    assert did == [0, 1, 2]
    assert continuation.counted_resumptions == 0


class Named(ContinuableJob):
    def perform(self, first: str, second: str) -> list[Any]:
        return [self.wait_for(first), self.wait_for(second)]


def test_names_of_events_are_told_apart_as_python_does() -> None:
    """On MySQL, a collation would take some for the same."""
    continuation = Named.enqueue("approval", "Approval")
    run_until_finished(continuation)
    continuation.refresh_from_db()
    continuation.send("Approval", 2)
    assert status(continuation) == "waiting"
    continuation.send("approval", 1)
    assert run_until_finished(continuation).result == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_a_child_whose_parent_cannot_be_woken_has_ended_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """Recovery wakes the parent."""
    parent = Parent.enqueue(1)
    run_enqueued(Parent)

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        # The child is put back by nobody.
        if sql.startswith("UPDATE") and "enqueued_at" in sql:
            raise OperationalError("deadlock detected")
        return execute(sql, *rest)

    with connection.execute_wrapper(fail):
        assert run_enqueued(Child) == 1
    assert Continuation.objects.for_job(Child).get().status == "succeeded"
    assert status(parent) == "waiting"
    assert "deadlock detected" in caplog.text
