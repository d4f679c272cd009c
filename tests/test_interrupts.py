"""E1, E2, E5, E6: leaving at a checkpoint, what counts as a resumption, and being told to end."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
from typing import Any

import pytest
from django.utils import timezone
from rq.exceptions import ShutDownImminentException
from rq.timeouts import JobTimeoutException

from continuations import (
    ContinuableJob,
    ContinuationError,
    Interrupt,
    NoProgressError,
    ResumeLimitError,
    Step,
    Stop,
    discard_on,
    execution,
    signals,
)
from continuations.models import Continuation
from continuations.shutdown import Signals
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
    stopping_when,
)
from tests.shapes import Bench
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


def execute(continuation: Continuation) -> Continuation:
    """One execution; `continuation` as it is after it."""
    with contextlib.suppress(Exception):
        run_enqueued()
    continuation.refresh_from_db()
    return continuation


class Walk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)
        self.step("last", lambda: did.append("last"))

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c", "d"]):
            did.append(item)


# E1: the interrupt


def test_an_interrupt_is_no_exception_that_a_job_would_catch() -> None:
    """E1"""
    assert issubclass(Interrupt, BaseException)
    assert not issubclass(Interrupt, Exception)


class CatchesExceptions(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        try:
            for item in step.iterate(["a", "b"]):
                did.append(item)
        except Exception:
            did.append("caught")


def test_an_interrupt_passes_through_except_exception() -> None:
    """E1"""
    with interrupt_during(CatchesExceptions, "walk", 1):
        run_enqueued_of(CatchesExceptions)
    assert did == ["a"]


def run_enqueued_of(job_class: type[ContinuableJob]) -> Continuation:
    return execute(job_class.enqueue())


class CleansUp(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        try:
            for item in step.iterate(["a", "b"]):
                did.append(item)
        finally:
            did.append("cleaned")


def test_an_interrupt_runs_finally_blocks() -> None:
    """E1"""
    with interrupt_during(CleansUp, "walk", 1):
        run_enqueued_of(CleansUp)
    assert did == ["a", "cleaned"]


class SwallowsInStep(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for number in range(step.cursor or 0, 3):
            did.append(number)
            try:
                step.set(number + 1)
            except BaseException as error:
                did.append(str(error))


def test_a_swallowed_interrupt_is_raised_again_at_the_next_checkpoint() -> None:
    """E1: with the reason it had."""
    with interrupt_during(SwallowsInStep, "walk", 1, reason="enough"):
        continuation = run_enqueued_of(SwallowsInStep)
    assert did == [0, "enough", 1, "enough", 2, "enough"]
    assert (continuation.status, continuation.reason) == ("interrupted", "enough")


class SwallowsThenNextStep(ContinuableJob):
    def perform(self) -> None:
        self.step("first", self.first)
        self.step("second", lambda: did.append("second"))

    def first(self, step: Step) -> None:
        with contextlib.suppress(BaseException):
            step.set(1)


def test_a_swallowed_interrupt_is_raised_again_before_the_next_step() -> None:
    """E1"""
    with interrupt_during(SwallowsThenNextStep, "first", 1):
        continuation = run_enqueued_of(SwallowsThenNextStep)
    assert did == []
    run_until_finished(continuation)
    assert did == ["second"]


class ReplacesInterrupt(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        try:
            step.set(1)
        except BaseException as error:
            raise ValueError("tidying up failed") from error


def test_an_error_raised_instead_of_an_interrupt_is_an_error() -> None:
    """E1"""
    with interrupt_during(ReplacesInterrupt, "walk", 1):
        continuation = run_enqueued_of(ReplacesInterrupt)
    assert (continuation.reason, continuation.error_class) == ("error", "ValueError")


class SwallowsInBlock(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        with contextlib.suppress(BaseException):
            step.set(1)
        with step.atomic():
            Applied.objects.create(item="x")
        did.append("after the block")


def test_a_swallowed_interrupt_is_raised_again_at_the_end_of_a_block() -> None:
    """E1, C5: the block has committed."""
    with interrupt_during(SwallowsInBlock, "walk", 1):
        run_enqueued_of(SwallowsInBlock)
    assert did == []
    assert Applied.objects.count() == 1


# E2: neither success nor failure


def test_an_interrupted_continuation_is_neither_success_nor_failure() -> None:
    """E2"""
    with interrupt_during(Walk, "walk", 2):
        continuation = run_enqueued_of(Walk)
    assert continuation.status == "interrupted"
    assert not continuation.is_finished
    assert (continuation.finished_at, continuation.result, continuation.error_class) == (None, None, "")


def test_an_interrupted_continuation_goes_on_under_the_same_delivery() -> None:
    """E2, W1: RQ sees one job until the real end."""
    with interrupt_during(Walk, "walk", 2):
        continuation = run_enqueued_of(Walk)
    assert (continuation.delivery, continuation.anchor_open, continuation.owner) == (0, True, None)


def test_an_execution_is_recorded_with_its_outcome_reason_and_cursors() -> None:
    """E2"""
    with interrupt_during(Walk, "walk", 2, reason="tea"):
        continuation = run_enqueued_of(Walk)
    run_until_finished(continuation)
    first, second = continuation.execution_records.all()
    assert (first.number, first.outcome, first.reason, first.step) == (1, "interrupted", "tea", "walk")
    assert (first.cursor_before, first.cursor_after) == (None, 2)
    assert (second.number, second.outcome, second.reason, second.step) == (2, "succeeded", "", "last")
    assert second.cursor_before == 2


def test_the_reason_is_kept_until_the_next_execution_ends() -> None:
    """E2"""
    with interrupt_during(Walk, "walk", 2, reason="tea"):
        continuation = run_enqueued_of(Walk)
    assert continuation.reason == "tea"
    run_until_finished(continuation)
    assert continuation.reason == ""


# Reasons: should_stop, Stop, max_runtime, requests, signals


class AsksToStop(ContinuableJob):
    checkpoint_interval = 0
    answer: Any = None

    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            did.append(item)

    def should_stop(self) -> Any:
        return type(self).answer if self.executions == 1 else None


class StopsWithTrue(AsksToStop):
    answer = True


class StopsWithString(AsksToStop):
    answer = "low tide"


class StopsWithStop(AsksToStop):
    answer = Stop("low tide")


@pytest.mark.parametrize(
    ("job_class", "reason"), [(StopsWithTrue, "stopping"), (StopsWithString, "low tide"), (StopsWithStop, "low tide")]
)
def test_should_stop_adds_a_reason(job_class: type[ContinuableJob], reason: str) -> None:
    continuation = run_enqueued_of(job_class)
    assert (continuation.status, continuation.reason, did) == ("interrupted", reason, ["a"])
    assert run_until_finished(continuation).status == "succeeded"


class GoesOnWithFalse(AsksToStop):
    answer = False


class GoesOnWithEmpty(AsksToStop):
    answer = ""


@pytest.mark.parametrize("job_class", [AsksToStop, GoesOnWithFalse, GoesOnWithEmpty])
def test_a_falsy_answer_of_should_stop_goes_on(job_class: type[ContinuableJob]) -> None:
    assert run_enqueued_of(job_class).status == "succeeded"


class Throttles(AsksToStop):
    answer = Stop("throttled", wait=30)


def test_stop_with_a_wait_rests_for_so_long() -> None:
    """F3"""
    before, wait = timezone.now(), dt.timedelta(seconds=30)
    continuation = run_enqueued_of(Throttles)
    assert (continuation.status, continuation.reason) == ("waiting", "throttled")
    assert continuation.run_after is not None
    assert before + wait <= continuation.run_after <= timezone.now() + wait


class ThrottlesByTimedelta(AsksToStop):
    answer = Stop("throttled", wait=dt.timedelta(minutes=5))  # type: ignore[arg-type, unused-ignore]


def test_stop_takes_a_timedelta_to_wait() -> None:
    """F3"""
    before, wait = timezone.now(), dt.timedelta(minutes=5)
    continuation = run_enqueued_of(ThrottlesByTimedelta)
    assert continuation.run_after is not None
    assert before + wait <= continuation.run_after <= timezone.now() + wait


class StopsStrangely(ContinuableJob):
    def perform(self, wait: Any) -> None:
        self.wait = wait
        self.step("first", lambda: None)
        self.step("second", lambda: None)

    def should_stop(self) -> Stop | None:
        return Stop("throttled", wait=self.wait) if self.executions == 1 else None


@pytest.mark.parametrize("wait", ["soon", float("inf"), float("nan"), -5])
def test_a_wait_of_stop_that_is_no_time_is_an_error_of_the_job(wait: Any) -> None:
    continuation = execute(StopsStrangely.enqueue(wait))
    assert (continuation.status, continuation.reason) == ("waiting", "error")
    assert continuation.error_class in {"TypeError", "ValueError"}


class DeletesItself(ContinuableJob):
    def perform(self, where: str) -> None:
        if where != "outside":
            self.step("work", lambda step: self.delete(step, where))
            self.step("next", lambda: did.append("next"))
        else:
            self.delete(None, where)

    def delete(self, step: Step | None, where: str) -> None:
        Continuation.objects.filter(pk=self.continuation.pk).delete()
        if where == "error":
            raise ValueError
        if where == "checkpoint" and step is not None:
            step.set(1)


@pytest.mark.parametrize("where", ["outside", "step", "checkpoint", "error"])
def test_a_continuation_that_is_deleted_while_it_runs_just_ends(where: str) -> None:
    """O1: there is nothing to write any more, and nobody to tell."""
    DeletesItself.enqueue(where)
    run_enqueued()
    assert not Continuation.objects.exists()
    assert did == []


class TwoSteps(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append("first"))
        self.step(self.second, start=0)
        self.step("third", lambda: did.append("third"))

    def second(self, step: Step) -> None:
        for i in range(step.cursor, 3):
            did.append(i)
            step.advance()


@pytest.mark.parametrize(
    ("stop", "before"),
    [
        (lambda: interrupt_after(TwoSteps, "first"), ["first"]),
        (lambda: interrupt_during(TwoSteps, "second", 2), ["first", 0, 1]),
    ],
)
def test_a_continuation_that_is_deleted_before_its_steps_are_loaded_just_ends(stop: Any, before: list[Any]) -> None:
    """O1: the claim has seen the last of them."""
    continuation = TwoSteps.enqueue()
    with stop():
        run_enqueued()
    assert did == before

    def delete(continuation: Continuation, **_: Any) -> None:
        Continuation.objects.filter(pk=continuation.pk).delete()

    signals.execution_started.connect(delete)
    try:
        run_enqueued()
    finally:
        signals.execution_started.disconnect(delete)
    assert not Continuation.objects.filter(pk=continuation.pk).exists()
    assert did == before


class LongReason(AsksToStop):
    answer = "because " * 40


def test_a_reason_that_is_too_long_for_its_column_is_cut() -> None:
    """The outcome is written on databases that enforce lengths, too."""
    continuation = run_enqueued_of(LongReason)
    assert 0 < len(continuation.reason) <= 100
    assert len(continuation.execution_records.get().reason) <= 100


class ShouldStopFails(AsksToStop):
    def should_stop(self) -> None:
        raise ValueError("cannot tell")


def test_an_error_in_should_stop_is_an_error_of_the_job() -> None:
    continuation = run_enqueued_of(ShouldStopFails)
    assert (continuation.reason, continuation.error_message) == ("error", "cannot tell")


class Sliced(ContinuableJob):
    max_runtime = 0

    def perform(self) -> None:
        self.step("walk", self.walk)
        self.step("last", lambda: did.append("last"))

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            did.append(item)


def test_max_runtime_yields_at_each_checkpoint_after_it() -> None:
    continuation = run_until_finished(Sliced.enqueue())
    assert did == ["a", "b", "last"]
    reasons = [each.reason for each in continuation.execution_records.all()]
    assert reasons == ["max_runtime", "max_runtime", "max_runtime", ""]


class Unsliced(Sliced):
    max_runtime = 3600


def test_max_runtime_that_is_not_reached_changes_nothing() -> None:
    assert run_until_finished(Unsliced.enqueue()).executions == 1


class AsksForItself(ContinuableJob):
    """Does to its own row what a person would do meanwhile."""

    checkpoint_interval = 0

    def perform(self, request: str, then: str) -> None:
        self.request, self.then = request, then
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            did.append(item)
            Continuation.objects.filter(pk=self.continuation.pk).update(status=self.request)
            if self.then == "fail":
                raise ValueError
            if self.then == "end":
                return


@pytest.mark.parametrize(("request_", "fact"), [("pausing", "paused"), ("cancelling", "cancelled")])
def test_a_request_is_seen_on_the_beat_and_becomes_a_fact(request_: str, fact: str) -> None:
    """O5"""
    continuation = execute(AsksForItself.enqueue(request_, "go on"))
    assert (continuation.status, continuation.reason, did) == (fact, fact, ["a"])
    assert (continuation.finished_at is not None) == (fact == "cancelled")
    assert continuation.steps.get().cursor == 1


@pytest.mark.parametrize("request_", ["pausing", "cancelling"])
@pytest.mark.parametrize(("then", "status"), [("end", "succeeded"), ("fail", "failed")])
def test_success_and_failure_beat_a_request(request_: str, then: str, status: str) -> None:
    """O5"""
    assert execute(AsksForItself.enqueue(request_, then)).status == status


class Signalled(ContinuableJob):
    def perform(self, number: int) -> None:
        self.number = number
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            did.append(item)
            if item == "b":
                os.kill(os.getpid(), self.number)


def test_sigterm_interrupts_at_the_next_checkpoint() -> None:
    """E6"""
    before = signal.getsignal(signal.SIGTERM)
    continuation = Signalled.perform_now(signal.SIGTERM)
    assert (continuation.status, continuation.reason, did) == ("interrupted", "stopping", ["a", "b"])
    assert continuation.steps.get().cursor == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_interrupts_and_reaches_the_caller() -> None:
    """E6: KeyboardInterrupt after progress is an interrupt, and the person who pressed the keys gets a prompt."""
    # A shell starts what runs in its background with Ctrl-C ignored; this test is about a foreground.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Signalled.perform_now(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    continuation = Continuation.objects.get()
    assert (continuation.status, continuation.reason) == ("interrupted", "stopping")
    assert continuation.steps.get().cursor == 1


# E5: what counts as a resumption, and against max_resumptions


def test_resumptions_counts_executions_that_started_with_progress() -> None:
    """E5"""
    with interrupt_during(Walk, "walk", 2):
        continuation = run_enqueued_of(Walk)
    assert continuation.resumptions == 0
    assert run_until_finished(continuation).resumptions == 1


class StopsBeforeProgress(ContinuableJob):
    def perform(self) -> None:
        self.step("wait", self.wait)

    def wait(self, step: Step) -> None:
        step.checkpoint()


def test_an_execution_that_started_without_progress_is_no_resumption() -> None:
    """E5"""
    with interrupt_during(StopsBeforeProgress, "wait"):
        continuation = run_enqueued_of(StopsBeforeProgress)
    run_until_finished(continuation)
    assert (continuation.executions, continuation.resumptions) == (2, 0)


def test_a_crash_with_progress_is_resumed() -> None:
    """E5"""
    with crash_during(Walk, "walk", 1):
        continuation = run_enqueued_of(Walk)
    assert run_until_finished(continuation).resumptions == 1


class TwoResumptions(ContinuableJob):
    max_resumptions = 2
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for _ in step.iterate(range(6)):
            pass


@pytest.mark.parametrize("reason", ["stopping", "own reason", "orphaned"])
def test_beyond_max_resumptions_the_job_fails_and_keeps_its_progress(reason: str) -> None:
    """E5"""
    with stopping_when(lambda job: reason):
        continuation = TwoResumptions.enqueue()
        run_enqueued()
        run_enqueued()
        with pytest.raises(ResumeLimitError, match=r"TwoResumptions .* max_resumptions is 2; its progress is kept"):
            run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.steps.get().cursor) == ("failed", 3)


@pytest.mark.parametrize("reason", ["timeout", "max_runtime", "isolating", "paused", "waiting"])
def test_slices_isolation_pauses_and_waits_do_not_count(reason: str) -> None:
    """E5: they are the design working."""
    with stopping_when(lambda job: reason):
        continuation = run_until_finished(TwoResumptions.enqueue())
    assert (continuation.status, continuation.executions) == ("succeeded", 7)


def test_throttling_does_not_count() -> None:
    """E5"""
    with stopping_when(lambda job: Stop("throttled", wait=1)):
        assert run_until_finished(TwoResumptions.enqueue()).status == "succeeded"


class SlicedByRuntime(TwoResumptions):
    max_runtime = 0


def test_max_runtime_does_not_count() -> None:
    """E5"""
    assert run_until_finished(SlicedByRuntime.enqueue()).status == "succeeded"


class FailsOnEach(TwoResumptions):
    def walk(self, step: Step) -> None:
        step.set((step.cursor or 0) + 1)
        raise ValueError("each time")


def test_errors_count() -> None:
    """E5"""
    continuation = FailsOnEach.enqueue()
    with pytest.raises(ResumeLimitError):
        run_until_finished(continuation)
    assert continuation.executions == 3


def test_crashes_with_progress_count() -> None:
    """E5: a job that dies again and again comes to an end, though it advances each time."""
    continuation = TwoResumptions.enqueue()
    for cursor in (1, 2, 3):
        with crash_during(TwoResumptions, "walk", cursor):
            run_enqueued()
    with pytest.raises(ResumeLimitError):
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.steps.get().cursor) == ("failed", 3)


class NoResumptions(TwoResumptions):
    max_resumptions = 0


def test_max_resumptions_can_be_zero() -> None:
    """E5"""
    with interrupt_during(NoResumptions, "walk", 1):
        NoResumptions.enqueue()
        with pytest.raises(ResumeLimitError):
            run_enqueued()


class NoResumptionsBeforeProgress(StopsBeforeProgress):
    max_resumptions = 0


def test_an_interruption_before_any_progress_does_not_count() -> None:
    """E5: the next execution starts without progress, so it is no resumption."""
    with interrupt_during(NoResumptionsBeforeProgress, "wait"):
        continuation = run_enqueued_of(NoResumptionsBeforeProgress)
    assert run_until_finished(continuation).status == "succeeded"


class PausesAtLimit(TwoResumptions):
    max_resumptions = 0
    on_limit = "pause"


def test_on_limit_pause_pauses_beyond_max_resumptions() -> None:
    """E5"""
    with interrupt_during(PausesAtLimit, "walk", 1):
        continuation = run_enqueued_of(PausesAtLimit)
    assert (continuation.status, continuation.steps.get().cursor) == ("paused", 1)


def test_a_retry_gives_back_the_resumptions() -> None:
    """E5, E8"""
    with stopping_when(lambda job: True):
        continuation = TwoResumptions.enqueue()
        for _ in range(3):
            execute(continuation)
    assert continuation.status == "failed"
    continuation.retry()
    assert run_until_finished(continuation).status == "succeeded"


# E6: told to end from outside


class EndedFromOutside(ContinuableJob):
    """Raises what RQ or the system would raise into it, at an item."""

    def perform(self, error: str, at: str) -> None:
        self.error, self.at = error, at
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            if item == self.at and self.executions == 1:
                raise _ERRORS[self.error]
            did.append(item)


_ERRORS: dict[str, BaseException] = {
    "timeout": JobTimeoutException("Task exceeded maximum timeout value (180 seconds)"),
    "shutdown": ShutDownImminentException("shut down imminent (signal: SIGRTMIN)", {}),
    "exit": SystemExit(1),
    "keyboard": KeyboardInterrupt(),
}


@pytest.mark.parametrize(
    ("error", "reason"),
    [("timeout", "timeout"), ("shutdown", "stopping"), ("exit", "stopping"), ("keyboard", "stopping")],
)
def test_being_told_to_end_after_progress_is_an_interrupt(error: str, reason: str) -> None:
    """E6: neither an error nor a failure, and the item in hand is done again."""
    continuation = execute(EndedFromOutside.enqueue(error, "b"))
    assert (continuation.status, continuation.reason, continuation.error_class) == ("interrupted", reason, "")
    run_until_finished(continuation)
    assert did == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("timeout", "JobTimeoutException"),
        ("shutdown", "ShutDownImminentException"),
        ("exit", "SystemExit"),
        ("keyboard", "KeyboardInterrupt"),
    ],
)
def test_being_told_to_end_without_progress_is_a_failure_that_names_step_and_remedy(error: str, name: str) -> None:
    """E6: running it again would end the same way."""
    continuation = EndedFromOutside.enqueue(error, "a")
    with pytest.raises(NoProgressError) as caught:
        run_enqueued()
    message = str(caught.value)
    assert f"step 'walk' was ended by {name}" in message
    assert "call step.checkpoint() or move the cursor more often, or give the job more time" in message
    assert type(caught.value.__cause__).__name__ == name
    continuation.refresh_from_db()
    assert continuation.status == "failed"


class EndedOutsideSteps(ContinuableJob):
    def perform(self) -> None:
        raise JobTimeoutException("too long")


def test_being_told_to_end_outside_steps_names_that() -> None:
    """E6"""
    EndedOutsideSteps.enqueue()
    with pytest.raises(
        NoProgressError, match=r"the code outside steps was ended by JobTimeoutException.*move the work"
    ):
        run_enqueued()


class TimesOutAtEachItem(ContinuableJob):
    max_resumptions = 0

    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for index, item in enumerate(step.iterate(["a", "b", "c"])):
            if index == 1:
                raise JobTimeoutException
            did.append(item)


def test_time_outs_do_not_count_against_max_resumptions() -> None:
    """E5, E6: a job longer than its time-out finishes in slices."""
    assert run_until_finished(TimesOutAtEachItem.enqueue()).status == "succeeded"
    assert did == ["a", "b", "c"]


@discard_on(Exception)
class DiscardsEverything(EndedFromOutside):
    pass


def test_a_policy_does_not_take_a_time_out_after_progress_for_an_error() -> None:
    """E6"""
    assert execute(DiscardsEverything.enqueue("timeout", "b")).status == "interrupted"


class SubclassedExit(SystemExit):
    pass


class ExitsInAtomicStep(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("publish", self.publish, atomic=True)

    def publish(self) -> None:
        Applied.objects.create(item="x")
        if self.executions == 1:
            raise SubclassedExit


def test_being_told_to_end_inside_a_block_undoes_it() -> None:
    """E6, C6"""
    continuation = run_enqueued_of(ExitsInAtomicStep)
    assert (continuation.status, Applied.objects.count()) == ("interrupted", 0)
    run_until_finished(continuation)
    assert Applied.objects.count() == 1


class OtherBaseException(BaseException):
    pass


class RaisesBaseException(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", lambda step: step.set(1))
        raise OtherBaseException


def test_another_base_exception_comes_out_and_the_continuation_is_left_to_recovery() -> None:
    """Nobody knows what it means: nothing is written of it, as in a crash."""
    continuation = RaisesBaseException.enqueue()
    with pytest.raises(OtherBaseException):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "running"


# Where an execution goes afterwards


def test_an_interruption_between_steps_has_no_step_in_progress() -> None:
    """S1"""
    with interrupt_after(Walk, "walk"):
        continuation = run_enqueued_of(Walk)
    assert [each.status for each in continuation.steps.all()] == ["completed"]
    run_until_finished(continuation)
    assert did == ["a", "b", "c", "d", "last"]


def test_every_error_of_ours_has_one_base() -> None:
    assert issubclass(ResumeLimitError, ContinuationError)
    assert not issubclass(Interrupt, ContinuationError)


class Margin(ContinuableJob):
    """Gives the margin after two checkpoints that were `gap` seconds apart."""

    def perform(self, gap: float) -> float:
        stopping = self._stopping
        assert stopping is not None
        stopping._measure(stopping._last_look + gap)
        return stopping._margin()


@pytest.mark.parametrize(
    ("timeout", "gap", "margin"),
    [(3, 0, 1), (12, 0, 4), (30, 0, 5), (180, 0, 18), (180, 8, 18), (180, 20, 30), (180, 100, 60)],
)
def test_the_margin_before_a_time_out(timeout: float, gap: float, margin: float) -> None:
    """E6: 5 s, a tenth or 1.5 times the longest gap, whichever is most; but never more than a third."""
    place = Bench()
    place.deadline = lambda: timeout  # type: ignore[method-assign]
    continuation = Margin.enqueue(gap)
    execution.execute(continuation.pk, 0, place)
    continuation.refresh_from_db()
    assert continuation.result == pytest.approx(margin)


def test_a_time_out_that_was_held_back_until_the_job_had_ended_is_forgotten() -> None:
    """E6: raised after the end it would be taken for a failure."""

    def penalty(*_: Any) -> None:
        raise JobTimeoutException

    before = signal.signal(signal.SIGALRM, penalty)
    try:
        with Signals(lambda: None) as signals, signals.hold():
            signal.raise_signal(signal.SIGALRM)
            signals.disarm()
        assert signal.getsignal(signal.SIGALRM) is penalty
        with pytest.raises(JobTimeoutException), Signals(lambda: None) as signals, signals.hold():
            signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
