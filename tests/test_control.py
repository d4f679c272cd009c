"""The verbs: from which status each may be used, what it changes, and that it changes nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from continuations import (
    ContinuableJob,
    InvalidStepError,
    SerializationError,
    Step,
    TransitionError,
    attribute,
)
from continuations.execution import execute
from continuations.models import Continuation, Event, Execution, StepRecord
from continuations.testing import MemoryDelivery, crash_during, interrupt_during, run_enqueued, run_until_finished
from continuations.transitions import ARROWS, CLAIMABLE, FINISHED, OWNED, Status
from tests.shapes import Bench

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []

# What was handed to workers, in order: the delivery number, or "end" for a report of the end.
pushed: list[int | str] = []


class RecordingDelivery(MemoryDelivery):
    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        pushed.append(continuation.delivery)

    def push_anchor(self, continuation: Continuation) -> None:
        pushed.append("end")


@pytest.fixture(autouse=True)
def _forget(settings: Any) -> None:
    did.clear()
    pushed.clear()
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "tests.test_control.RecordingDelivery"}


class Load(ContinuableJob):
    checkpoint_interval = 0
    count = attribute(default=0)

    def perform(self) -> int:
        self.step("first", lambda: did.append("first"))
        self.step(self.load, start=0)
        return self.step("last", lambda: self.count)

    def load(self, step: Step) -> None:
        while step.cursor < 3:
            did.append(step.cursor)
            self.count += 1
            step.advance()


def in_status(status: Status, **changes: Any) -> Continuation:
    """A continuation that was interrupted in the middle of `load`, as if it had got into `status` since."""
    continuation = Load.enqueue()
    with interrupt_during(Load, "load", 1):
        run_enqueued()
    if status in OWNED:
        changes["owner"] = Execution.objects.create(continuation=continuation, number=2).pk
        changes["executions"] = 2
        StepRecord.objects.filter(name="load").update(execution=changes["owner"])
    if status in FINISHED:
        changes["finished_at"] = timezone.now()
    Continuation.objects.filter(pk=continuation.pk).update(status=status, **changes)
    continuation.refresh_from_db()
    pushed.clear()
    return continuation


def snapshot(continuation: Continuation) -> list[Any]:
    """All there is of it in the database."""
    return [
        list(model.objects.order_by("pk").values())  # type: ignore[attr-defined]
        for model in (Continuation, StepRecord, Execution, Event)
    ]


S = Status
Verb = Callable[[Continuation], object]
VERBS: dict[str, Verb] = {
    "pause": lambda row: row.pause(by="ada", reason="lunch"),
    "resume": lambda row: row.resume(by="ada", reason="lunch"),
    "cancel": lambda row: row.cancel(by="ada", reason="lunch"),
    "retry": lambda row: row.retry(by="ada", reason="lunch"),
    "rerun": lambda row: row.rerun_from("load", by="ada", reason="lunch"),
}
# Where each verb leads from where. Everything else it refuses.
LEADS: dict[str, dict[Status, Status]] = {
    "pause": {S.ENQUEUED: S.PAUSED, S.INTERRUPTED: S.PAUSED, S.WAITING: S.PAUSED, S.RUNNING: S.PAUSING},
    "resume": {S.PAUSED: S.ENQUEUED, S.PAUSING: S.RUNNING},
    "cancel": {
        S.ENQUEUED: S.CANCELLED,
        S.INTERRUPTED: S.CANCELLED,
        S.WAITING: S.CANCELLED,
        S.PAUSED: S.CANCELLED,
        S.RUNNING: S.CANCELLING,
        S.PAUSING: S.CANCELLING,
    },
    "retry": {S.FAILED: S.ENQUEUED},
    "rerun": {
        S.SUCCEEDED: S.ENQUEUED,
        S.FAILED: S.ENQUEUED,
        S.DISCARDED: S.ENQUEUED,
        S.CANCELLED: S.ENQUEUED,
        S.PAUSED: S.ENQUEUED,
    },
}
LEGAL = [(verb, source, target) for verb, arrows in LEADS.items() for source, target in arrows.items()]
ILLEGAL = [(verb, source) for verb, arrows in LEADS.items() for source in Status if source not in arrows]


def test_the_verbs_cause_all_that_the_table_says_of_persons() -> None:
    """O5: and nothing that the table does not have. An event wakes, too."""
    caused = {(source, target) for _, source, target in LEGAL}
    by_persons = {arrow for arrow, who in ARROWS.items() if "a person" in who}
    assert caused | {(S.WAITING, S.ENQUEUED)} == by_persons


@pytest.mark.parametrize(("verb", "source", "target"), LEGAL)
def test_a_verb_leads_where_the_table_says(verb: str, source: Status, target: Status) -> None:
    """O5: and notes who asked and why."""
    continuation = in_status(source)
    before = timezone.now()
    VERBS[verb](continuation)
    stored = Continuation.objects.get()
    assert stored.status == continuation.status == target
    assert (stored.request_by, stored.request_reason) == ("ada", "lunch")
    assert stored.requested_at is not None
    assert stored.requested_at >= before


@pytest.mark.parametrize(("verb", "source"), ILLEGAL)
def test_a_verb_is_refused_from_any_other_status_and_changes_nothing(verb: str, source: Status) -> None:
    """O5: the error names the status and the verb."""
    continuation = in_status(source, request_by="bob", requested_at=timezone.now())
    before = snapshot(continuation)
    with pytest.raises(TransitionError, match=rf"Load {continuation.pk} is {source}: cannot {verb} it"):
        VERBS[verb](continuation)
    assert snapshot(continuation) == before
    assert pushed == []


@pytest.mark.parametrize("source", Status)
def test_force_alone_makes_nothing_legal(source: Status) -> None:
    """O5: it is for requests that are five minutes old."""
    continuation = in_status(source, requested_at=timezone.now())
    for verb in ("pause", "cancel"):
        if source in LEADS[verb]:
            continue
        before = snapshot(continuation)
        with pytest.raises(TransitionError, match=rf"is {source}: cannot {verb} it"):
            getattr(continuation, verb)(force=True)
        assert snapshot(continuation) == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("verb", "source", "target"), LEGAL)
def test_a_verb_pushes_what_a_worker_has_to_know_once(verb: str, source: Status, target: Status) -> None:
    """W6: what may run goes out under the next number; an end is reported by the anchor; a request goes nowhere."""
    VERBS[verb](in_status(source))
    expected: dict[Status, list[int | str]] = {S.ENQUEUED: [1], S.CANCELLED: ["end"]}
    assert pushed == expected.get(target, [])
    assert Continuation.objects.get().delivery == (1 if target == S.ENQUEUED else 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("verb", "source", "target"), LEGAL)
def test_a_verb_that_is_rolled_back_has_done_and_pushed_nothing(verb: str, source: Status, target: Status) -> None:
    continuation = in_status(source)
    before = snapshot(continuation)
    with pytest.raises(RuntimeError), transaction.atomic():
        VERBS[verb](continuation)
        raise RuntimeError
    assert snapshot(continuation) == before
    assert pushed == []


@pytest.mark.django_db(transaction=True)
def test_a_verb_pushes_when_the_transaction_of_its_caller_commits() -> None:
    continuation = in_status(S.FAILED)
    with transaction.atomic():
        continuation.retry()
        assert pushed == []
    assert pushed == [1]


@pytest.mark.parametrize("load", ["stale", "deferred"])
def test_a_verb_works_on_the_row_as_it_is_now(load: str) -> None:
    continuation = in_status(S.ENQUEUED)
    if load == "deferred":
        continuation = Continuation.objects.only("pk").get()
    Continuation.objects.update(status=S.FAILED, delivery=7, errors=3)
    continuation.retry()
    stored = Continuation.objects.get()
    assert (stored.status, stored.delivery, stored.errors) == (S.ENQUEUED, 8, 0)
    assert (continuation.status, continuation.delivery, continuation.errors) == (S.ENQUEUED, 8, 0)


def test_a_verb_on_a_stale_object_is_judged_by_the_row() -> None:
    continuation = in_status(S.FAILED)
    Continuation.objects.update(status=S.SUCCEEDED)
    with pytest.raises(TransitionError, match="is succeeded: cannot retry"):
        continuation.retry()


def test_a_verb_on_a_deleted_row_says_so() -> None:
    continuation = in_status(S.FAILED)
    Continuation.objects.all().delete()
    with pytest.raises(Continuation.DoesNotExist, match=str(continuation.pk)):
        continuation.retry()


def test_who_and_why_are_cut_to_what_their_columns_hold() -> None:
    continuation = in_status(S.ENQUEUED)
    continuation.pause(by="a" * 1000, reason="r" * 1000)
    stored = Continuation.objects.get()
    assert (len(stored.request_by), len(stored.request_reason)) == (150, 255)


def test_by_may_be_a_user() -> None:
    class User:
        def __str__(self) -> str:
            return "ada"

    continuation = in_status(S.ENQUEUED)
    continuation.pause(by=User())  # type: ignore[arg-type]
    assert Continuation.objects.get().request_by == "ada"


# Pausing and resuming


def test_what_is_paused_does_not_run_and_goes_on_where_it_stood() -> None:
    continuation = in_status(S.INTERRUPTED)
    continuation.pause()
    assert run_enqueued() == 0
    continuation.resume()
    assert run_until_finished(continuation).result == 3
    assert did == ["first", 0, 1, 2]


def test_a_delivery_that_comes_while_it_is_paused_runs_nothing() -> None:
    """W6"""
    continuation = in_status(S.INTERRUPTED)
    continuation.pause()
    assert execute(continuation.pk, 0, Bench()).status is None
    continuation.resume()
    # The old one comes once more.
    assert execute(continuation.pk, 0, Bench()).status is None
    assert execute(continuation.pk, 1, Bench()).status == S.SUCCEEDED


def test_what_was_to_start_later_still_does_after_a_pause() -> None:
    later = timezone.now() + dt.timedelta(hours=1)
    continuation = Load.using(run_after=later).enqueue()
    continuation.pause()
    continuation.resume()
    assert run_enqueued(due_only=True) == 0
    continuation.refresh_from_db()
    assert continuation.run_after == later


def test_resuming_ends_a_back_off() -> None:
    continuation = in_status(S.WAITING, run_after=timezone.now() + dt.timedelta(hours=1))
    continuation.pause()
    continuation.resume()
    assert run_enqueued(due_only=True) == 1


class Limited(ContinuableJob):
    max_resumptions = 1
    max_crashes = 1
    on_limit = "pause"
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step(self.load)

    def load(self, step: Step) -> None:
        for item in step.iterate(range(4)):
            did.append(item)


def test_resuming_counts_resumptions_anew() -> None:
    """E5: what had been reached is counted anew, and what happened stays counted."""
    continuation = Limited.enqueue()
    for cursor in (1, 2):
        with interrupt_during(Limited, "load", cursor):
            run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.error_class) == ("paused", "continuations.errors.ResumeLimitError")
    continuation.resume()
    with interrupt_during(Limited, "load", 3):
        run_enqueued()
    assert run_until_finished(continuation).status == "succeeded"
    assert did == [0, 1, 2, 3]
    assert continuation.resumptions == 3


class Crashes(Limited):
    def load(self, step: Step) -> None:
        step.checkpoint()
        did.append("loaded")


def test_resuming_counts_crashes_anew() -> None:
    """E7"""
    continuation = Crashes.enqueue()
    with crash_during(Crashes, "load"):
        run_enqueued()
    run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.error_class) == ("paused", "continuations.errors.CrashLimitError")
    continuation.resume()
    assert run_until_finished(continuation).status == "succeeded"
    assert did == ["loaded"]


# Cancelling


def test_what_is_cancelled_has_ended_and_keeps_its_progress() -> None:
    continuation = in_status(S.INTERRUPTED, active_key="k")
    continuation.cancel()
    stored = Continuation.objects.get()
    assert stored.is_finished
    assert stored.finished_at is not None
    assert stored.active_key is None
    assert (stored.reason, stored.steps.get(name="load").cursor) == ("cancelled", 1)
    assert run_enqueued() == 0


@pytest.mark.parametrize("request_", ["pause", "cancel"])
def test_a_request_that_met_a_dead_owner_is_fulfilled_by_the_next_delivery(request_: str) -> None:
    """O5: all that the verb would have done to one that nobody ran."""
    continuation = in_status(S.RUNNING, active_key="k", check_after=None)
    getattr(continuation, request_)()
    assert execute(continuation.pk, 0, Bench()).status is None
    stored = Continuation.objects.get()
    ended = request_ == "cancel"
    assert stored.status == (S.CANCELLED if ended else S.PAUSED)
    assert stored.owner is None
    assert stored.active_key == (None if ended else "k")
    assert (stored.finished_at is not None) == ended
    # Recovery looks whether RQ was told of the end, and whether children are left.
    assert (stored.check_after is not None) == ended


class BrokenDelivery(RecordingDelivery):
    def push_anchor(self, continuation: Continuation) -> None:
        raise RuntimeError("broken delivery")


@pytest.mark.django_db(transaction=True)
def test_what_fails_after_the_commit_of_a_verb_is_logged_and_stops_nothing_else(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "tests.test_control.BrokenDelivery"}
    parent, child = Load.enqueue(), Load.enqueue()
    Continuation.objects.filter(pk=child.pk).update(parent=parent)
    with transaction.atomic():
        parent.cancel()
        transaction.on_commit(lambda: did.append("after"))
    child.refresh_from_db()
    assert (parent.status, child.status, did) == ("cancelled", "cancelled", ["after"])
    assert "broken delivery" in caplog.text


# Moving the cursor


@pytest.mark.parametrize("source", sorted(CLAIMABLE | {S.PAUSED, S.FAILED}))
def test_the_cursor_can_be_moved_while_nothing_runs(source: Status) -> None:
    continuation = in_status(source)
    continuation.set_cursor("load", 2, by="ada", reason="row 1 is broken")
    stored = Continuation.objects.get()
    assert (stored.status, stored.steps.get(name="load").cursor) == (source, 2)
    assert (stored.request_by, stored.request_reason) == ("ada", "row 1 is broken")
    if source == S.PAUSED:
        continuation.resume()
    if source == S.FAILED:
        continuation.retry()
    run_until_finished(continuation)
    assert did == ["first", 0, 2]


@pytest.mark.parametrize("source", sorted(OWNED | FINISHED - {S.FAILED}))
def test_the_cursor_is_not_moved_while_an_execution_owns_it_or_after_its_end(source: Status) -> None:
    continuation = in_status(source)
    before = snapshot(continuation)
    with pytest.raises(TransitionError, match=rf"is {source}: cannot set a cursor"):
        continuation.set_cursor("load", 2)
    assert snapshot(continuation) == before


@pytest.mark.parametrize(
    ("step", "cursor", "error", "message"),
    [
        ("first", 1, InvalidStepError, "step 'first' is not in progress: to do it again, use rerun_from"),
        ("lode", 1, InvalidStepError, "has no step 'lode'; its steps: 'first', 'load'"),
        ("load", object(), SerializationError, "cursor of step 'load'"),
    ],
)
def test_a_cursor_that_cannot_be_moved_is_an_error_that_says_why(
    step: str, cursor: Any, error: type[Exception], message: str
) -> None:
    continuation = in_status(S.PAUSED)
    before = snapshot(continuation)
    with pytest.raises(error, match=message):
        continuation.set_cursor(step, cursor)
    assert snapshot(continuation) == before


def test_a_cursor_that_was_moved_counts_as_progress() -> None:
    """E3: the step must resume at it, though no execution has advanced."""
    continuation = Crashes.enqueue()
    with crash_during(Crashes, "load"):
        run_enqueued()
    Continuation.objects.update(status=S.PAUSED, owner=None)
    continuation.set_cursor("load", 2)
    continuation.resume()
    execute(continuation.pk, continuation.delivery, Bench())
    continuation.refresh_from_db()
    assert (continuation.status, continuation.resumptions) == ("succeeded", 1)
    assert continuation.steps.get().cursor == 2


# Events


@pytest.mark.parametrize("source", sorted(set(Status) - FINISHED | {S.FAILED}))
def test_an_event_can_be_sent_until_the_end(source: Status) -> None:
    """F2"""
    continuation = in_status(source)
    event = continuation.send("approval", 5)
    assert (event.name, Event.objects.get().payload_json) == ("approval", "5")
    assert Continuation.objects.get().status == source
    assert pushed == []


@pytest.mark.parametrize("source", sorted(FINISHED - {S.FAILED}))
def test_an_event_after_the_end_is_refused(source: Status) -> None:
    """F2"""
    continuation = in_status(source)
    with pytest.raises(TransitionError, match=rf"is {source}: nothing will wait for event 'approval'"):
        continuation.send("approval", 5)
    assert not Event.objects.exists()


@pytest.mark.parametrize("name", ["", " ", "x" * 201, None, 5])
def test_an_event_needs_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="is no name of an event"):
        in_status(S.WAITING).send(name)
    assert not Event.objects.exists()


def test_a_payload_that_cannot_be_stored_is_refused() -> None:
    """Q2"""
    with pytest.raises(SerializationError, match="payload of event 'approval'"):
        in_status(S.WAITING).send("approval", object())


# Retrying


def test_a_retry_that_was_not_enough_can_be_done_again() -> None:
    """E8"""
    continuation = Breaks.enqueue()
    for _ in range(3):
        with pytest.raises(ValueError):
            run_enqueued()
        continuation.refresh_from_db()
        continuation.retry()
    assert continuation.delivery == 3
    assert continuation.executions == 3
    assert did == ["first"]


class Breaks(ContinuableJob):
    resume_errors_after_advancing = False

    def perform(self) -> None:
        self.step("first", lambda: did.append("first"))
        raise ValueError


# What an execution holds


def make_old(continuation: Continuation, seconds: float = 301) -> None:
    """As if the request had been made so long ago."""
    ago = timezone.now() - dt.timedelta(seconds=seconds)
    Continuation.objects.filter(pk=continuation.pk).update(requested_at=ago)


FORCED = [("pause", S.PAUSING, S.PAUSED), ("cancel", S.CANCELLING, S.CANCELLED)]


@pytest.mark.parametrize(("verb", "asked", "fact"), FORCED)
def test_a_request_that_was_not_honoured_for_five_minutes_can_be_forced(verb: str, asked: Status, fact: Status) -> None:
    continuation = in_status(asked, active_key="k")
    make_old(continuation)
    getattr(continuation, verb)(by="bob", reason="it hangs", force=True)
    stored = Continuation.objects.get()
    assert (stored.status, stored.owner, stored.delivery) == (fact, None, 1)
    assert (stored.request_by, stored.request_reason) == ("bob", "it hangs")
    assert (stored.finished_at is not None, stored.active_key) == ((True, None) if verb == "cancel" else (False, "k"))
    execution = stored.execution_records.get(number=2)
    assert (execution.outcome, execution.reason, execution.step) == ("abandoned", "forced", "load")
    assert execution.finished_at is not None
    assert stored.crashes == 0


@pytest.mark.parametrize(("verb", "asked", "fact"), FORCED)
def test_a_request_is_not_forced_before_its_time(verb: str, asked: Status, fact: Status) -> None:
    continuation = in_status(asked)
    make_old(continuation, 290)
    before = snapshot(continuation)
    with pytest.raises(TransitionError, match=rf"cannot {verb} it twice. 300 s after the request force=True"):
        getattr(continuation, verb)(force=True)
    assert snapshot(continuation) == before


@pytest.mark.parametrize(("verb", "asked", "fact"), FORCED)
def test_an_old_request_is_not_forced_unless_somebody_says_so(verb: str, asked: Status, fact: Status) -> None:
    continuation = in_status(asked)
    make_old(continuation)
    with pytest.raises(TransitionError, match="force=True"):
        getattr(continuation, verb)()


class Deaf(ContinuableJob):
    """Asks for itself as a person would, and is forced before it comes to its next checkpoint."""

    checkpoint_interval = 0

    def perform(self, verb: str, then: str) -> None:
        self.verb, self.then = verb, then
        self.step(self.load)
        self.step("more", lambda: did.append("more"))

    def load(self, step: Step) -> None:
        for item in step.iterate(range(3)):
            did.append(item)
            if item == 1:
                row = Continuation.objects.get(pk=self.continuation.pk)
                getattr(row, self.verb)()
                make_old(row)
                getattr(row, self.verb)(force=True)
                did.append(snapshot(row))
                if self.then == "fail":
                    raise ValueError
                if self.then == "return":
                    return


@pytest.mark.parametrize("then", ["go on", "return", "fail"])
@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_an_execution_that_lost_its_continuation_writes_nothing_more(verb: str, then: str) -> None:
    """O1"""
    continuation = Deaf.enqueue(verb, then)
    outcome = execute(continuation.pk, 0, Bench())
    assert outcome.status is None
    assert [each for each in did if isinstance(each, int)] == [0, 1]
    assert snapshot(continuation) == did[-1]


def test_what_was_forced_to_pause_goes_on_when_it_is_resumed() -> None:
    continuation = Deaf.enqueue("pause", "go on")
    execute(continuation.pk, 0, Bench())
    continuation.refresh_from_db()
    assert continuation.status == "paused"
    did.clear()
    # It asks to be paused once more at the same item, which is done again: the cursor had not moved.
    continuation.resume()
    execute(continuation.pk, continuation.delivery, Bench())
    assert did[0] == 1
