"""E3, E4, E7, E8: what an error means, how often it is tried again, how long it rests, and what a failure keeps."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from continuations import (
    CheckpointError,
    ContinuableJob,
    CrashLimitError,
    DeserializationError,
    InvalidStepError,
    JobClassError,
    JobDefinitionError,
    ResumeLimitError,
    Step,
    TransitionError,
    discard_on,
    polynomially_longer,
    retry_on,
)
from continuations.models import Continuation
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
    stopping_when,
)
from tests.shop.models import Product

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


def execute(continuation: Continuation) -> Continuation:
    """One execution of whatever is enqueued, errors included; `continuation` as it is after it."""
    try:
        run_enqueued()
    except Exception as error:
        did.append(type(error).__name__)
    continuation.refresh_from_db()
    return continuation


def rest(continuation: Continuation) -> float:
    """Seconds for which it rests, to the second."""
    assert continuation.run_after is not None
    ended = continuation.execution_records.latest("number").finished_at
    assert ended is not None
    return round((continuation.run_after - ended).total_seconds(), 1)


# E3: advanced or not


class FailsAtOnce(ContinuableJob):
    def perform(self) -> None:
        self.step("work", self.work)

    def work(self, step: Step) -> None:
        raise ValueError("no")


def test_an_error_without_progress_fails() -> None:
    """E3"""
    continuation = execute(FailsAtOnce.enqueue())
    assert continuation.status == "failed"
    assert did == ["ValueError"]


class FailsOutside(ContinuableJob):
    def perform(self) -> None:
        raise LookupError("nothing there")


def test_an_error_outside_steps_without_progress_fails() -> None:
    """E3"""
    continuation = execute(FailsOutside.enqueue())
    assert (continuation.status, continuation.error_class) == ("failed", "LookupError")


class FailsOnceAfterStep(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append("first"))
        self.step("second", self.second)

    def second(self) -> None:
        if self.executions == 1:
            raise ValueError
        did.append("second")


def test_an_error_after_a_completed_step_resumes() -> None:
    """E3: the execution completed a step, so it advanced."""
    continuation = execute(FailsOnceAfterStep.enqueue())
    assert (continuation.status, continuation.reason) == ("waiting", "error")
    run_until_finished(continuation)
    assert did == ["first", "second"]


class FailsAfterMoving(ContinuableJob):
    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        if step.cursor < 2:
            step.advance()
            raise ValueError


def test_an_error_after_the_cursor_moved_resumes() -> None:
    """E3"""
    continuation = FailsAfterMoving.enqueue()
    run_until_finished(continuation)
    assert (continuation.status, continuation.executions) == ("succeeded", 3)


class FailsForGood(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("second", self.second)

    def second(self) -> None:
        raise ValueError("always")


def test_an_error_after_a_resumption_that_did_not_advance_fails() -> None:
    """E3: skipping a completed step is no progress of this execution."""
    continuation = execute(FailsForGood.enqueue())
    assert continuation.status == "waiting"
    assert execute(continuation).status == "failed"


class FailsBetweenSteps(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        if self.executions == 1:
            raise ValueError


def test_an_error_outside_steps_after_progress_resumes() -> None:
    """E3"""
    assert run_until_finished(FailsBetweenSteps.enqueue()).executions == 2


class DoesNotResumeErrors(FailsOnceAfterStep):
    resume_errors_after_advancing = False


def test_an_error_after_progress_fails_if_the_job_says_so() -> None:
    """E3"""
    continuation = execute(DoesNotResumeErrors.enqueue())
    assert continuation.status == "failed"


class OurErrorAfterProgress(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("first", lambda: None)


def test_an_error_of_this_package_is_never_resumed_by_itself() -> None:
    """E3: the same code would raise it again."""
    continuation = execute(OurErrorAfterProgress.enqueue())
    assert continuation.status == "failed"
    assert did == ["InvalidStepError"]


@retry_on(InvalidStepError, wait=0, attempts=2)
class OurErrorWithPolicy(OurErrorAfterProgress):
    pass


def test_a_policy_may_name_an_error_of_this_package() -> None:
    """E3: an error first meets the policies."""
    assert execute(OurErrorWithPolicy.enqueue()).status == "interrupted"


# discard_on


@discard_on(ValueError)
class Discards(FailsForGood):
    pass


def test_a_discarded_error_ends_the_continuation_and_reports_no_error() -> None:
    """E3"""
    continuation = Discards.enqueue()
    assert run_enqueued() == 1
    continuation.refresh_from_db()
    assert (continuation.status, continuation.error_message) == ("discarded", "always")
    assert continuation.finished_at is not None


def test_a_discarded_continuation_keeps_its_steps() -> None:
    """E3"""
    continuation = run_until_finished(Discards.enqueue())
    assert [each.name for each in continuation.steps.all()] == ["first", "second"]


@discard_on(LookupError)
class DiscardsBaseClass(ContinuableJob):
    def perform(self) -> None:
        raise KeyError("x")


def test_a_policy_covers_subclasses_of_its_error() -> None:
    """E3"""
    assert run_until_finished(DiscardsBaseClass.enqueue()).status == "discarded"


@discard_on(DeserializationError)
class DiscardsMissing(ContinuableJob):
    def perform(self, product: Product) -> None:
        did.append(product.pk)


def test_a_missing_argument_is_an_error_that_policies_see() -> None:
    """Q2, E3"""
    product = Product.objects.create(name="pen")
    continuation = DiscardsMissing.enqueue(product)
    product.delete()
    run_until_finished(continuation)
    assert (continuation.status, did) == ("discarded", [])


class CursorIsModel(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        did.append("body")
        step.set(Product.objects.get())


def test_a_missing_cursor_is_an_error_before_the_body_runs() -> None:
    """Q2: a cursor is decoded when its step is met."""
    Product.objects.create(name="pen")
    with stopping_when(lambda job: job.current_step == "load"):
        continuation = CursorIsModel.enqueue()
        run_enqueued()
    Product.objects.all().delete()
    with pytest.raises(DeserializationError, match=r"cursor of step 'load': shop\.Product with pk .* does not exist"):
        run_enqueued()
    assert did == ["body"]
    assert continuation.steps.count() == 2


# retry_on: attempts


@retry_on(ValueError, wait=0, attempts=3)
class ThreeTries(ContinuableJob):
    def perform(self) -> None:
        self.step("work", self.work)

    def work(self) -> None:
        did.append(self.executions)
        raise ValueError


def test_attempts_counts_executions_at_the_same_place() -> None:
    """E3: `attempts=3` means three tries."""
    continuation = ThreeTries.enqueue()
    with pytest.raises(ValueError):
        run_until_finished(continuation)
    assert did == [1, 2, 3]
    assert continuation.status == "failed"


@retry_on(ValueError, wait=0, attempts=1)
class OneTry(ThreeTries):
    pass


def test_attempts_of_one_is_no_retry() -> None:
    """E3"""
    assert execute(OneTry.enqueue()).status == "failed"


@retry_on(ValueError, wait=0, attempts=3)
class TriesAtEachItem(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            did.append(item)
            if did.count(item) < 3:
                raise ValueError


def test_attempts_start_again_when_the_execution_advanced() -> None:
    """E3: three tries at each item, though there are more in all."""
    continuation = run_until_finished(TriesAtEachItem.enqueue())
    assert did == ["a", "a", "a", "b", "b", "b"]
    assert continuation.executions == 5


@retry_on(ValueError, wait=0, attempts=2)
class AdvancesThenFails(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("second", self.second)

    def second(self) -> None:
        did.append(self.executions)
        raise ValueError


def test_the_execution_that_advanced_is_the_first_try_at_the_new_place() -> None:
    """E3"""
    with pytest.raises(ValueError):
        run_until_finished(AdvancesThenFails.enqueue())
    assert did == [1, 2]


@retry_on(ValueError, wait=0, attempts=2)
class AdvancesInCrash(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        if self.executions == 2:
            step.advance()
        raise ValueError


def test_attempts_start_again_after_a_crash_that_advanced() -> None:
    """E3, E7: the third execution is the first at its place."""
    continuation = execute(AdvancesInCrash.enqueue())
    with crash_during(AdvancesInCrash, "count", 1):
        execute(continuation)
    assert execute(continuation).status == "interrupted"
    assert execute(continuation).status == "failed"


@retry_on(ValueError, wait=0, attempts=2)
@retry_on(KeyError, wait=0, attempts=2)
class TwoLines(ContinuableJob):
    def perform(self) -> None:
        raise [ValueError, KeyError, ValueError][self.executions - 1]


def test_each_line_counts_its_own_attempts() -> None:
    """E3"""
    with pytest.raises(ValueError):
        run_until_finished(TwoLines.enqueue())
    assert Continuation.objects.get().executions == 3


@retry_on(ValueError, KeyError, wait=0, attempts=2)
class TwoErrorsInOneLine(ContinuableJob):
    def perform(self) -> None:
        raise [ValueError, KeyError][self.executions - 1]


def test_a_line_counts_all_its_errors_together() -> None:
    """E3"""
    with pytest.raises(KeyError):
        run_until_finished(TwoErrorsInOneLine.enqueue())


@retry_on(ValueError, wait=0, attempts=2)
class InterruptedBetweenTries(ContinuableJob):
    def perform(self) -> None:
        self.step("work", self.work)

    def work(self, step: Step) -> None:
        if self.executions != 2:
            raise ValueError
        step.checkpoint()


def test_an_interruption_without_progress_does_not_start_the_attempts_again() -> None:
    """E3: it is still the same place."""
    continuation = execute(InterruptedBetweenTries.enqueue())
    with interrupt_during(InterruptedBetweenTries, "work"):
        assert execute(continuation).status == "interrupted"
    assert execute(continuation).status == "failed"


# Which policy


class Special(ValueError):
    pass


@discard_on(ValueError)
class BaseJob(ContinuableJob):
    def perform(self) -> None:
        raise Special


@retry_on(Special, wait=0, attempts=2)
class NearestClass(BaseJob):
    pass


def test_the_nearest_class_decides_first() -> None:
    """E3"""
    assert execute(NearestClass.enqueue()).status == "interrupted"


def test_a_policy_of_a_subclass_does_not_reach_its_base() -> None:
    """E3"""
    assert execute(BaseJob.enqueue()).status == "discarded"


class InheritsPolicies(BaseJob):
    pass


def test_policies_are_inherited() -> None:
    """E3"""
    assert execute(InheritsPolicies.enqueue()).status == "discarded"


@discard_on(Special)
@retry_on(ValueError, wait=0)
class SpecialOnTop(ContinuableJob):
    def perform(self) -> None:
        raise Special


@retry_on(ValueError, wait=0)
@discard_on(Special)
class GeneralOnTop(ContinuableJob):
    def perform(self) -> None:
        raise Special


@pytest.mark.parametrize(("job_class", "status"), [(SpecialOnTop, "discarded"), (GeneralOnTop, "interrupted")])
def test_within_a_class_the_top_line_comes_first(job_class: type[ContinuableJob], status: str) -> None:
    """E3: like `except` clauses."""
    assert execute(job_class.enqueue()).status == status


@retry_on(KeyError, wait=0)
class OtherPolicy(FailsAtOnce):
    pass


def test_an_error_no_line_names_is_handled_as_if_there_were_none() -> None:
    """E3"""
    assert execute(OtherPolicy.enqueue()).status == "failed"


# retry_on: wait and jitter


@retry_on(ValueError, wait=30, attempts=9, jitter=0)
class WaitsSeconds(FailsAtOnce):
    pass


@retry_on(ValueError, wait=dt.timedelta(minutes=2), attempts=9, jitter=0)
class WaitsTimedelta(FailsAtOnce):
    pass


@retry_on(ValueError, wait=polynomially_longer, attempts=9, jitter=0)
class WaitsLonger(FailsAtOnce):
    pass


@retry_on(ValueError, wait=lambda executions, error: dt.timedelta(seconds=executions * len(str(error))), jitter=0)
class WaitsByCallable(FailsAtOnce):
    pass


@retry_on(ValueError, wait=10, attempts=9, jitter=0)
class WaitsAtLeast(FailsAtOnce):
    resume_wait = 45


@pytest.mark.parametrize(
    ("job_class", "waits"),
    [
        (WaitsSeconds, [30, 30, 30]),
        (WaitsTimedelta, [120, 120, 120]),
        (WaitsLonger, [3, 18, 83]),
        (WaitsByCallable, [2, 4, 6]),
        (WaitsAtLeast, [45, 45, 45]),
    ],
)
def test_a_retry_waits_as_it_was_told(job_class: type[ContinuableJob], waits: list[float]) -> None:
    """E3, E4"""
    continuation = job_class.enqueue()
    assert [rest(execute(continuation)) for _ in waits] == waits


@retry_on(ValueError, attempts=9)
class WaitsByDefault(FailsAtOnce):
    pass


def test_jitter_adds_up_to_its_share_of_the_wait() -> None:
    """Three seconds and at most 15 % of them."""
    continuation = WaitsByDefault.enqueue()
    waits = [rest(execute(continuation)) for _ in range(8)]
    assert all(3 <= each <= 3.5 for each in waits)


@retry_on(ValueError, wait=1000, attempts=9, jitter=1)
class WaitsWithFullJitter(FailsAtOnce):
    pass


def test_jitter_differs_from_time_to_time() -> None:
    continuation = WaitsWithFullJitter.enqueue()
    waits = [rest(execute(continuation)) for _ in range(8)]
    assert len(set(waits)) > 1
    assert all(1000 <= each <= 2000 for each in waits)


def test_polynomially_longer_is_the_fourth_power() -> None:
    assert [polynomially_longer(n, ValueError()) for n in (1, 2, 3, 4)] == [3, 18, 83, 258]


@retry_on(ValueError, wait=lambda executions, error: 1 / 0)
class WaitDivides(FailsAtOnce):
    pass


@retry_on(ValueError, wait=lambda executions, error: None)  # type: ignore[arg-type, return-value]
class WaitForgetsToReturn(FailsAtOnce):
    pass


@pytest.mark.parametrize("job_class", [WaitDivides, WaitForgetsToReturn])
def test_a_wait_that_cannot_be_computed_fails_the_job(job_class: type[ContinuableJob]) -> None:
    """E8: the outcome is written, whatever the job says of it."""
    continuation = execute(job_class.enqueue())
    assert (continuation.status, continuation.owner) == ("failed", None)
    assert "ValueError: no" in continuation.error_traceback


# Decorators written wrongly


def test_a_policy_needs_an_error() -> None:
    with pytest.raises(JobDefinitionError, match=r"@retry_on needs at least one exception class: @retry_on\("):
        retry_on()
    with pytest.raises(JobDefinitionError, match=r"@discard_on needs at least one exception class: @discard_on\("):
        discard_on()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("x"), "ValueError", None])
def test_a_policy_takes_exception_classes_only(error: Any) -> None:
    with pytest.raises(JobDefinitionError, match="@retry_on: expected exception classes, got"):
        retry_on(error)
    with pytest.raises(JobDefinitionError, match="@discard_on: expected exception classes, got"):
        discard_on(error)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3", None])
def test_attempts_is_a_whole_number_from_one_on(attempts: Any) -> None:
    with pytest.raises(JobDefinitionError, match=r"retry_on\(attempts=.*\): expected a whole number of tries"):
        retry_on(ValueError, attempts=attempts)


# E4: back-off of errors that are resumed


class FailsEachTime(ContinuableJob):
    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        step.advance()
        raise ValueError


def test_consecutive_errors_back_off_from_five_seconds_doubling_to_five_minutes() -> None:
    """E4"""
    continuation = FailsEachTime.enqueue()
    assert [rest(execute(continuation)) for _ in range(9)] == [5, 10, 20, 40, 80, 160, 300, 300, 300]


class BacksOffAtLeast(FailsEachTime):
    resume_wait = dt.timedelta(seconds=15)


def test_a_back_off_is_at_least_resume_wait() -> None:
    """E4"""
    continuation = BacksOffAtLeast.enqueue()
    assert [rest(execute(continuation)) for _ in range(4)] == [15, 15, 20, 40]


class FailsNowAndThen(ContinuableJob):
    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        step.advance()
        step.advance()
        raise ValueError


def test_an_execution_without_error_resets_the_back_off() -> None:
    """E4"""
    continuation = FailsNowAndThen.enqueue()
    assert [rest(execute(continuation)) for _ in range(2)] == [5, 10]
    with interrupt_during(FailsNowAndThen, "count", 5):
        execute(continuation)
    assert rest(execute(continuation)) == 5


class ResumesLater(ContinuableJob):
    resume_wait = 20

    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("second", lambda: None)


@pytest.mark.parametrize("reason", ["stopping", "timeout", "own"])
def test_resume_wait_delays_every_resumption(reason: str) -> None:
    """E4"""
    with interrupt_after(ResumesLater, "first", reason=reason):
        continuation = execute(ResumesLater.enqueue())
    assert (continuation.status, continuation.reason) == ("waiting", reason)
    assert rest(continuation) == 20


class ResumesElsewhere(ContinuableJob):
    queue_name = "imports"
    resume_queue_name = "slow"

    def perform(self) -> None:
        self.step("first", lambda: None)
        self.step("second", lambda: None)
        self.step("third", lambda: None)


def test_resume_queue_name_moves_resumptions_to_another_queue() -> None:
    """E4: under a delivery number of its own (W6)."""
    continuation = ResumesElsewhere.enqueue()
    assert continuation.queue_name == "imports"
    with interrupt_after(ResumesElsewhere, "first"):
        execute(continuation)
    assert (continuation.queue_name, continuation.delivery, continuation.status) == ("slow", 1, "interrupted")
    with interrupt_after(ResumesElsewhere, "second"):
        execute(continuation)
    assert (continuation.queue_name, continuation.delivery) == ("slow", 1)
    assert run_until_finished(continuation).status == "succeeded"


# max_crashes


class DiesWithoutProgress(ContinuableJob):
    def perform(self) -> None:
        self.step("work", self.work)

    def work(self, step: Step) -> None:
        did.append(self.executions)
        step.checkpoint()


def test_max_crashes_executions_in_a_row_without_progress_are_the_limit() -> None:
    """E7: three by default; the fourth does not begin."""
    continuation = DiesWithoutProgress.enqueue()
    with crash_during(DiesWithoutProgress, "work"):
        for _ in range(3):
            run_enqueued()
        with pytest.raises(CrashLimitError, match=r"DiesWithoutProgress .* died 3 times in a row without progress"):
            run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert did == [1, 2, 3]


def test_starts_are_counted_at_the_claim() -> None:
    """E7"""
    continuation = DiesWithoutProgress.enqueue()
    with crash_during(DiesWithoutProgress, "work"):
        execute(continuation)
    assert (continuation.status, continuation.executions) == ("running", 1)


def test_a_crash_is_noted_when_it_is_taken_over() -> None:
    """E7"""
    continuation = DiesWithoutProgress.enqueue()
    with crash_during(DiesWithoutProgress, "work"):
        execute(continuation)
    run_until_finished(continuation)
    first, second = continuation.execution_records.all()
    assert (first.outcome, first.reason) == ("died", "crash")
    assert (second.outcome, second.finished_at is not None) == ("succeeded", True)


class OneCrash(DiesWithoutProgress):
    max_crashes = 1


def test_max_crashes_can_be_one() -> None:
    """E7"""
    with crash_during(OneCrash, "work"):
        OneCrash.enqueue()
        run_enqueued()
        with pytest.raises(CrashLimitError):
            run_enqueued()


class DiesWithProgress(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(range(10)):
            did.append(item)


def test_crashes_with_progress_are_not_crashes_in_a_row() -> None:
    """E7"""
    continuation = DiesWithProgress.enqueue()
    for cursor in range(1, 9):
        with crash_during(DiesWithProgress, "walk", cursor):
            run_enqueued()
    run_until_finished(continuation)
    assert continuation.status == "succeeded"
    assert did == list(range(10))


def test_an_interruption_between_crashes_starts_the_count_again() -> None:
    """E7: in a row."""
    continuation = DiesWithoutProgress.enqueue()
    for _ in range(2):
        with crash_during(DiesWithoutProgress, "work"):
            run_enqueued()
        with crash_during(DiesWithoutProgress, "work"):
            run_enqueued()
        with interrupt_during(DiesWithoutProgress, "work"):
            run_enqueued()
    assert run_until_finished(continuation).status == "succeeded"


# on_limit


class PausesAtCrashLimit(DiesWithoutProgress):
    max_crashes = 1
    on_limit = "pause"


def test_on_limit_pause_pauses_at_the_crash_limit() -> None:
    """E5, E7"""
    with crash_during(PausesAtCrashLimit, "work"):
        continuation = execute(PausesAtCrashLimit.enqueue())
        execute(continuation)
    assert (continuation.status, continuation.finished_at) == ("paused", None)
    assert continuation.error_class == "continuations.errors.CrashLimitError"
    assert did == [1]


class PausesAtResumeLimit(ContinuableJob):
    max_resumptions = 1
    on_limit = "pause"

    def perform(self) -> None:
        self.step("count", self.count, start=0)

    def count(self, step: Step) -> None:
        step.advance()
        raise ValueError("each time")


def test_on_limit_pause_pauses_at_the_resume_limit_and_keeps_progress() -> None:
    """E5"""
    continuation = execute(PausesAtResumeLimit.enqueue())
    execute(continuation)
    assert (continuation.status, continuation.error_class) == ("paused", "continuations.errors.ResumeLimitError")
    assert continuation.steps.get().cursor == 2
    assert did == []


class CancelledAtLimit(PausesAtResumeLimit):
    max_resumptions = 0

    def count(self, step: Step) -> None:
        step.advance()
        Continuation.objects.filter(pk=self.continuation.pk).update(status="cancelling")
        raise ValueError


def test_a_limit_that_would_pause_gives_way_to_a_request_to_cancel() -> None:
    """O5, E5"""
    assert execute(CancelledAtLimit.enqueue()).status == "cancelled"


class FailsAtResumeLimit(PausesAtResumeLimit):
    on_limit = "fail"


def test_the_resume_limit_fails_with_the_error_behind_it() -> None:
    """E5"""
    FailsAtResumeLimit.enqueue()
    run_enqueued()
    with pytest.raises(ResumeLimitError, match="was resumed 1 times, and max_resumptions is 1") as caught:
        run_enqueued()
    assert isinstance(caught.value.__cause__, ValueError)


# E8: what a failure keeps


class FailsUntilFixed(ContinuableJob):
    resume_errors_after_advancing = False

    def perform(self) -> str:
        number = self.step("first", lambda: did.append("first") or 7)
        self.step("walk", self.walk)
        return f"{number}"

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            if item == "b" and not Product.objects.filter(name="fixed").exists():
                raise ValueError(f"no {item}")
            did.append(item)


def failed() -> Continuation:
    continuation = FailsUntilFixed.enqueue()
    with pytest.raises(ValueError):
        run_enqueued()
    continuation.refresh_from_db()
    return continuation


def test_a_failed_continuation_keeps_steps_cursors_and_results() -> None:
    """E8"""
    first, walk = failed().steps.all()
    assert (first.status, first.result) == ("completed", 7)
    assert (walk.status, walk.cursor) == ("running", 1)


def test_a_failed_continuation_keeps_its_error() -> None:
    """E8"""
    continuation = failed()
    assert (continuation.error_class, continuation.error_message) == ("ValueError", "no b")
    assert 'raise ValueError(f"no {item}")' in continuation.error_traceback
    assert continuation.finished_at is not None
    execution = continuation.execution_records.get()
    assert (execution.outcome, execution.error_class, execution.error_message) == ("failed", "ValueError", "no b")


def test_retry_carries_on_where_it_failed() -> None:
    """E8"""
    continuation = failed()
    Product.objects.create(name="fixed")
    continuation.retry(by="ada", reason="fixed the row")
    run_until_finished(continuation)
    assert (continuation.status, continuation.result) == ("succeeded", "7")
    assert did == ["first", "a", "b", "c"]


def test_retry_says_who_asked_and_why() -> None:
    """E8"""
    continuation = failed()
    continuation.retry(by="ada", reason="fixed the row")
    continuation.refresh_from_db()
    assert (continuation.request_by, continuation.request_reason) == ("ada", "fixed the row")
    assert (continuation.status, continuation.delivery, continuation.finished_at) == ("enqueued", 1, None)


def test_a_retried_continuation_that_succeeds_has_no_error() -> None:
    """E8"""
    continuation = failed()
    Product.objects.create(name="fixed")
    continuation.retry()
    run_until_finished(continuation)
    assert (continuation.error_class, continuation.error_message, continuation.error_traceback) == ("", "", "")


def test_retry_gives_back_crashes_and_attempts() -> None:
    """E8"""
    continuation = DiesWithoutProgress.enqueue()
    with crash_during(DiesWithoutProgress, "work"):
        for _ in range(4):
            execute(continuation)
    assert continuation.status == "failed"
    continuation.retry()
    assert run_until_finished(continuation).status == "succeeded"


def test_only_a_failed_continuation_can_be_retried() -> None:
    """E8"""
    continuation = FailsUntilFixed.enqueue()
    with pytest.raises(TransitionError, match=r"FailsUntilFixed .* is enqueued: cannot retry it\..*: failed"):
        continuation.retry()


# Errors that are hard to write down


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class RaisesUnprintable(ContinuableJob):
    def perform(self) -> None:
        raise Unprintable


class RaisesSurrogate(ContinuableJob):
    def perform(self) -> None:
        raise ValueError("no such file: \udcff")


class RaisesNul(ContinuableJob):
    def perform(self) -> None:
        raise ValueError("binary: \0")


@pytest.mark.parametrize("job_class", [RaisesUnprintable, RaisesSurrogate, RaisesNul])
def test_an_error_whose_text_cannot_be_stored_fails_all_the_same(job_class: type[ContinuableJob]) -> None:
    """E8: the outcome is written, whatever the error says of itself."""
    assert execute(job_class.enqueue()).status == "failed"


class Cause(ContinuableJob):
    def perform(self) -> None:
        try:
            raise KeyError("deep")
        except KeyError as error:
            raise ValueError("shallow") from error


def test_the_traceback_holds_the_cause() -> None:
    """E8"""
    continuation = execute(Cause.enqueue())
    assert "KeyError: 'deep'" in continuation.error_traceback
    assert "ValueError: shallow" in continuation.error_traceback


def test_an_error_class_is_stored_with_its_module() -> None:
    """E8"""
    continuation = execute(BadCheckpoint.enqueue())
    assert continuation.error_class == "continuations.errors.CheckpointError"


class BadCheckpoint(ContinuableJob):
    def perform(self) -> None:
        raise CheckpointError


def test_an_error_that_is_resumed_is_shown_until_the_next_execution_ends() -> None:
    """E3"""
    continuation = execute(FailsOnceAfterStep.enqueue())
    assert continuation.error_class == "ValueError"
    run_until_finished(continuation)
    assert continuation.error_class == ""


# Job classes that cannot be loaded


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tests.nowhere.Job", r"tests\.nowhere\.Job"),
        ("nowhere.at.all.Job", r"nowhere\.at\.all\.Job cannot be imported: there is no such module"),
        ("tests.test_errors.Gone", r"tests\.test_errors\.Gone is not a ContinuableJob"),
        ("tests.test_errors.Unprintable", r"tests\.test_errors\.Unprintable is not a ContinuableJob"),
        ("os.system", r"os\.system is not a ContinuableJob"),
    ],
)
def test_a_job_class_that_cannot_be_loaded_fails_the_continuation(path: str, message: str) -> None:
    continuation = FailsAtOnce.enqueue()
    Continuation.objects.update(job_path=path)
    with pytest.raises(JobClassError, match=message):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"


def test_a_continuation_whose_class_is_back_can_be_retried() -> None:
    """E8"""
    continuation = NothingToDo.enqueue()
    Continuation.objects.update(job_path="tests.test_errors.Gone")
    execute(continuation)
    Continuation.objects.update(job_path="tests.test_errors.NothingToDo")
    continuation.refresh_from_db()
    continuation.retry()
    assert run_until_finished(continuation).status == "succeeded"


class NothingToDo(ContinuableJob):
    def perform(self) -> None: ...


class ChangedSignature(ContinuableJob):
    def perform(self, first: int, second: int) -> None: ...


def test_arguments_that_no_longer_fit_fail_the_continuation() -> None:
    continuation = ChangedSignature.enqueue(1, 2)
    Continuation.objects.update(arguments_json="[[1],{}]")
    assert execute(continuation).error_class == "TypeError"
    assert continuation.finished_at is not None
    assert continuation.finished_at <= timezone.now()
