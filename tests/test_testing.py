"""`continuations.testing`: jobs run without Redis, when the test says so, and are stopped and killed where it says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import TestCase, TransactionTestCase

from continuations import ContinuableJob, Step, Stop, attribute
from continuations.models import Continuation
from continuations.testing import (
    assert_resumable,
    crash_during,
    enqueued,
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


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


class Note(ContinuableJob):
    def perform(self, name: str) -> None:
        did.append(name)


class SpecialNote(Note):
    pass


class Walk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)
        self.step("last", lambda: did.append("last"))

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            did.append(item)


class OtherWalk(Walk):
    pass


class Fails(ContinuableJob):
    def perform(self, name: str) -> None:
        did.append(name)
        raise ValueError(name)


class Rests(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append("first"))
        self.step("last", lambda: did.append("last"))

    def should_stop(self) -> Stop | None:
        return Stop("throttled", wait=3600) if self.executions == 1 else None


class EnqueuesAnother(ContinuableJob):
    def perform(self) -> None:
        Note.enqueue("child")


# enqueue and run_enqueued


def test_enqueue_runs_nothing() -> None:
    Note.enqueue("a")
    assert did == []


def test_run_enqueued_runs_oldest_first() -> None:
    for name in ("a", "b", "c"):
        Note.enqueue(name)
    assert run_enqueued() == 3
    assert did == ["a", "b", "c"]


def test_run_enqueued_gives_each_one_execution() -> None:
    """What comes back meanwhile waits for the next call."""
    with stopping_when(lambda job: True):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.executions, did) == (1, ["a"])


def test_run_enqueued_does_not_run_what_was_enqueued_meanwhile() -> None:
    EnqueuesAnother.enqueue()
    assert run_enqueued() == 1
    assert did == []
    assert run_enqueued() == 1
    assert did == ["child"]


def test_run_enqueued_takes_one_job_class_and_its_subclasses() -> None:
    SpecialNote.enqueue("special")
    Fails.enqueue("other")
    Note.enqueue("plain")
    assert run_enqueued(Note) == 2
    assert did == ["special", "plain"]


def test_run_enqueued_of_a_subclass_leaves_its_base() -> None:
    Note.enqueue("plain")
    SpecialNote.enqueue("special")
    assert run_enqueued(SpecialNote) == 1
    assert did == ["special"]


def test_run_enqueued_runs_what_is_not_due() -> None:
    Note.using(run_after=dt.timedelta(days=9)).enqueue("later")
    assert run_enqueued() == 1
    assert did == ["later"]


def test_run_enqueued_may_leave_what_is_not_due() -> None:
    Note.using(run_after=dt.timedelta(days=9)).enqueue("later")
    Note.using(run_after=dt.timedelta(days=-9)).enqueue("overdue")
    Note.enqueue("now")
    assert run_enqueued(due_only=True) == 2
    assert did == ["overdue", "now"]


def test_what_rests_runs_unless_due_only() -> None:
    Rests.enqueue()
    run_enqueued()
    assert run_enqueued(due_only=True) == 0
    assert run_enqueued() == 1
    assert did == ["first", "last"]


def test_run_enqueued_runs_all_before_it_raises_the_first_error() -> None:
    for name in ("a", "b"):
        Fails.enqueue(name)
    Note.enqueue("c")
    with pytest.raises(ValueError, match="a"):
        run_enqueued()
    assert did == ["a", "b", "c"]


class FailsAfterProgress(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: None)
        if self.executions == 1:
            raise ValueError


def test_run_enqueued_does_not_raise_an_error_that_is_resumed() -> None:
    FailsAfterProgress.enqueue()
    assert run_enqueued() == 1
    assert run_enqueued() == 1
    assert run_enqueued() == 0


def test_run_enqueued_with_nothing_to_run_is_zero() -> None:
    assert run_enqueued() == 0


# run_until_finished and enqueued


def test_run_until_finished_gives_the_continuation_as_it_is_then() -> None:
    continuation = Walk.enqueue()
    with stopping_when(lambda job: True):
        finished = run_until_finished(continuation)
    assert finished is continuation
    assert (finished.status, did) == ("succeeded", ["a", "b", "c", "last"])
    assert finished.executions == 5


def test_run_until_finished_raises_the_error_that_failed_it() -> None:
    with pytest.raises(ValueError, match="x"):
        run_until_finished(Fails.enqueue("x"))


def test_run_until_finished_does_not_wait_for_what_rests() -> None:
    assert run_until_finished(Rests.enqueue()).status == "succeeded"


def test_run_until_finished_runs_no_other() -> None:
    Note.enqueue("other")
    run_until_finished(Note.enqueue("this"))
    assert did == ["this"]


class NeverEnds(ContinuableJob):
    def perform(self) -> None:
        self.step("wait", lambda step: step.checkpoint())


def test_run_until_finished_gives_up_in_the_end() -> None:
    with (
        interrupt_during(NeverEnds, "wait"),
        pytest.raises(AssertionError, match=r"NeverEnds .* has not ended after 5 executions; it is interrupted"),
    ):
        run_until_finished(NeverEnds.enqueue(), max_executions=5)


def test_enqueued_are_those_that_wait_to_run_due_or_not() -> None:
    note = Note.enqueue("a")
    later = SpecialNote.using(run_after=dt.timedelta(days=9)).enqueue("b")
    walk = Walk.enqueue()
    with interrupt_during(Walk, "walk", 1):
        run_enqueued(Walk)
    assert list(enqueued()) == [note, later, walk]
    assert list(enqueued(Note)) == [note, later]
    assert list(enqueued(SpecialNote)) == [later]


def test_enqueued_are_not_those_that_ended_or_are_paused() -> None:
    run_until_finished(Note.enqueue("a"))
    Note.enqueue("b")
    Continuation.objects.filter(status="enqueued").update(status="paused")
    assert not enqueued().exists()


# interrupt_during


@pytest.mark.parametrize(("cursor", "done"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
def test_interrupt_during_stops_at_exactly_that_cursor(cursor: int, done: list[str]) -> None:
    with interrupt_during(Walk, "walk", cursor):
        Walk.enqueue()
        run_enqueued()
    assert did == done


def test_interrupt_during_without_a_cursor_means_none() -> None:
    with interrupt_during(Walk, "walk"):
        assert run_until_finished(Walk.enqueue()).executions == 1
    with interrupt_during(NeverEnds, "wait"):
        NeverEnds.enqueue()
        run_enqueued()
    assert Continuation.objects.for_job(NeverEnds).get().status == "interrupted"


@pytest.mark.parametrize("cursor", [4, 0, "1", 1.0, True, (1,)])
def test_interrupt_during_does_not_stop_at_another_cursor(cursor: Any) -> None:
    with interrupt_during(Walk, "walk", cursor):
        assert run_until_finished(Walk.enqueue()).executions == 1


def test_interrupt_during_does_not_stop_in_another_step() -> None:
    with interrupt_during(Walk, "last", 1):
        assert run_until_finished(Walk.enqueue()).executions == 1


def test_interrupt_during_stops_subclasses_and_no_other_job() -> None:
    with interrupt_during(Walk, "walk", 1):
        assert run_until_finished(OtherWalk.enqueue()).executions == 2
    with interrupt_during(OtherWalk, "walk", 1):
        assert run_until_finished(Walk.enqueue()).executions == 1


def test_interrupt_during_takes_a_reason() -> None:
    with interrupt_during(Walk, "walk", 1, reason="tea"):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.reason == "tea"


def test_interrupt_during_gives_stopping_as_reason_if_none_is_said() -> None:
    with interrupt_during(Walk, "walk", 1):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.reason == "stopping"


def test_nothing_stops_after_the_block() -> None:
    with interrupt_during(Walk, "walk", 1):
        pass
    assert run_until_finished(Walk.enqueue()).executions == 1


def test_nothing_stops_after_a_block_that_was_left_by_an_error() -> None:
    with pytest.raises(KeyError), interrupt_during(Walk, "walk", 1):
        raise KeyError
    assert run_until_finished(Walk.enqueue()).executions == 1


def test_several_interruptions_may_be_asked_for_at_once() -> None:
    with interrupt_during(Walk, "walk", 1), interrupt_during(Walk, "walk", 3), interrupt_after(Walk, "walk"):
        continuation = run_until_finished(Walk.enqueue())
    assert continuation.executions == 4
    assert did == ["a", "b", "c", "last"]


# interrupt_after


def test_interrupt_after_stops_before_the_next_step() -> None:
    with interrupt_after(Walk, "walk"):
        continuation = Walk.enqueue()
        run_enqueued()
    assert did == ["a", "b", "c"]
    assert continuation.steps.get().status == "completed"


def test_interrupt_after_the_last_step_stops_nothing() -> None:
    with interrupt_after(Walk, "last"):
        assert run_until_finished(Walk.enqueue()).executions == 1


def test_interrupt_after_stops_subclasses_and_no_other_job() -> None:
    with interrupt_after(OtherWalk, "walk"):
        assert run_until_finished(Walk.enqueue()).executions == 1
        assert run_until_finished(OtherWalk.enqueue()).executions == 2


def test_interrupt_after_takes_a_reason() -> None:
    with interrupt_after(Walk, "walk", reason="tea"):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.reason == "tea"


# stopping_when


def test_stopping_when_asks_at_every_checkpoint() -> None:
    asked: list[Any] = []
    with stopping_when(lambda job: asked.append(job.current_step)):
        run_until_finished(Walk.enqueue())
    assert asked == ["walk", "walk", "walk", None]


class Atomic(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                Applied.objects.create(item=item)


def test_stopping_when_asks_after_each_block() -> None:
    asked: list[Any] = []
    with stopping_when(lambda job: asked.append(job.current_step)):
        run_until_finished(Atomic.enqueue())
    assert asked == ["walk", "walk"]


def test_stopping_when_is_given_the_job() -> None:
    jobs: list[ContinuableJob] = []
    with stopping_when(lambda job: jobs.append(job)):
        continuation = run_until_finished(Walk.enqueue())
    assert {type(job) for job in jobs} == {Walk}
    assert {job.continuation.pk for job in jobs} == {continuation.pk}


@pytest.mark.parametrize("answer", [None, False, "", 0])
def test_a_falsy_answer_of_the_predicate_goes_on(answer: Any) -> None:
    with stopping_when(lambda job: answer):
        assert run_until_finished(Walk.enqueue()).executions == 1


@pytest.mark.parametrize(("answer", "reason"), [(True, "stopping"), ("tea", "tea"), (Stop("low tide"), "low tide")])
def test_any_other_answer_of_the_predicate_stops(answer: Any, reason: str) -> None:
    with stopping_when(lambda job: answer):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.reason) == ("interrupted", reason)


def raise_error(job: ContinuableJob) -> None:
    if job.current_step == "walk":
        raise LookupError("raised by the predicate")


def test_the_predicate_may_raise_as_if_the_job_had() -> None:
    with stopping_when(raise_error):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.error_class) == ("waiting", "LookupError")
    assert continuation.steps.get().cursor == 1


# crash_during


class Rarely(Walk):
    checkpoint_interval = 3600
    seen = attribute(default=0)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            self.seen += 1
            did.append(item)


def test_crash_during_loses_what_was_not_written() -> None:
    with crash_during(Rarely, "walk", 3):
        continuation = Rarely.enqueue()
        run_enqueued()
    record = continuation.steps.get()
    assert (record.cursor, record.attributes_json) == (1, '{"seen":1}')
    run_until_finished(continuation)
    assert did == ["a", "b", "c", "b", "c", "last"]


def test_crash_during_writes_no_outcome() -> None:
    with crash_during(Walk, "walk", 2):
        continuation = Walk.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.reason) == ("running", "")
    assert continuation.execution_records.get().finished_at is None


def test_a_crashed_continuation_is_recovered_by_the_next_run() -> None:
    with crash_during(Walk, "walk", 2):
        Walk.enqueue()
        run_enqueued()
    assert enqueued(Walk).count() == 1
    assert run_enqueued() == 1
    assert Continuation.objects.get().status == "succeeded"


class CatchesAll(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        try:
            step.set(1)
        except Exception:
            did.append("caught")


def test_a_crash_is_not_caught_by_the_job() -> None:
    with crash_during(CatchesAll, "walk", 1):
        CatchesAll.enqueue()
        run_enqueued()
    assert did == []


def test_a_crash_keeps_what_step_atomic_committed() -> None:
    """C6"""
    with crash_during(Atomic, "walk", 1):
        continuation = Atomic.enqueue()
        run_enqueued()
    assert Applied.objects.count() == 1
    run_until_finished(continuation)
    assert Applied.objects.count() == 2


# assert_resumable


def effects() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


def reset() -> None:
    Applied.objects.all().delete()


class Good(ContinuableJob):
    count = attribute(default=0)

    def perform(self, prefix: str) -> None:
        self.prefix = prefix
        self.step("walk", self.walk)
        self.step("report", self.report, atomic=True)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                Applied.objects.create(item=self.prefix + item)
                self.count += 1

    def report(self) -> None:
        Applied.objects.create(item=f"{self.count} items")


def test_assert_resumable_passes_for_a_good_job() -> None:
    assert_resumable(Good, "x", effects=effects, reset=reset)


def test_assert_resumable_runs_the_job_alone_and_twice_for_each_checkpoint() -> None:
    """Three checkpoints: after each item and between the steps."""
    assert_resumable(Good, "x", effects=effects, reset=reset)
    executions = sorted(Continuation.objects.values_list("executions", flat=True))
    assert executions == [1, 2, 2, 2, 2, 2, 2]


class CursorTooEarly(Good):
    """Moves the cursor before the work is done."""

    def walk(self, step: Step) -> None:
        for index, item in enumerate(["a", "b"]):
            if index >= (step.cursor or 0):
                step.set(index + 1)
                Applied.objects.create(item=self.prefix + item)


def test_assert_resumable_fails_for_a_job_that_loses_an_item() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_resumable(CursorTooEarly, "x", effects=effects, reset=reset)
    message = str(caught.value)
    assert message.startswith("CursorTooEarly is not resumable: an interrupt in step 'walk' at cursor 1 gave ['xb'")
    assert "where ['xa', 'xb', '0 items'] (succeeded) was expected" in message


class WorkOutsideBlock(Good):
    """Safe at an interrupt, but not at a crash."""

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            Applied.objects.create(item=self.prefix + item)


def test_assert_resumable_fails_for_a_job_that_repeats_an_item_after_a_crash() -> None:
    with pytest.raises(
        AssertionError, match="WorkOutsideBlock is not resumable: a crash in step 'walk' at cursor 2 gave"
    ):
        assert_resumable(WorkOutsideBlock, "x", effects=effects, reset=reset)


class StateOnSelf(Good):
    """Keeps on `self` what a later step needs."""

    def walk(self, step: Step) -> None:
        self.items = ["a", "b"]

    def report(self) -> None:
        for item in self.items:
            Applied.objects.create(item=item)


def test_assert_resumable_fails_for_a_job_that_cannot_go_on_and_says_where() -> None:
    """The error that failed it is the cause."""
    with pytest.raises(AssertionError, match="StateOnSelf is not resumable: an interrupt after step 'walk'") as caught:
        assert_resumable(StateOnSelf, "x", effects=effects, reset=reset)
    assert isinstance(caught.value.__cause__, AttributeError)


class FailsAnyway(Good):
    def report(self) -> None:
        raise KeyError("always")


def test_assert_resumable_raises_the_error_of_a_job_that_fails_alone() -> None:
    with pytest.raises(KeyError):
        assert_resumable(FailsAnyway, "x", effects=effects, reset=reset)


def test_assert_resumable_resets_before_each_run() -> None:
    calls: list[str] = []
    assert_resumable(
        Good, "x", effects=lambda: calls.append("effects") or effects(), reset=lambda: calls.append("reset") or reset()
    )
    assert calls == ["reset", "effects"] * 7


# Where it works


class InTestCase(TestCase):
    def test_jobs_run_inside_a_test_case(self) -> None:
        with interrupt_during(Atomic, "walk", 1):
            run_until_finished(Atomic.enqueue())
        self.assertEqual(effects(), ["a", "b"])

    def test_jobs_crash_inside_a_test_case(self) -> None:
        with crash_during(Atomic, "walk", 1):
            Atomic.enqueue()
            run_enqueued()
        run_enqueued()
        self.assertEqual(effects(), ["a", "b"])

    def test_assert_resumable_works_inside_a_test_case(self) -> None:
        assert_resumable(Good, "x", effects=effects, reset=reset)


class InTransactionTestCase(TransactionTestCase):
    def test_jobs_run_without_a_transaction_around_the_test(self) -> None:
        with crash_during(Atomic, "walk", 1):
            Atomic.enqueue()
            run_enqueued()
        run_enqueued()
        self.assertEqual(effects(), ["a", "b"])


@pytest.mark.django_db(transaction=True)
def test_assert_resumable_works_without_a_transaction_around_the_test() -> None:
    assert_resumable(Good, "x", effects=effects, reset=reset)


@pytest.fixture
def _redis_settings(settings: Any) -> Iterator[None]:
    settings.CONTINUATIONS = {"DELIVERY": "continuations.delivery.RQDelivery"}
    return


@pytest.mark.usefixtures("_redis_settings", "memory_delivery")
@pytest.mark.django_db(transaction=True)
def test_the_fixture_of_the_pytest_plugin_keeps_redis_out(caplog: pytest.LogCaptureFixture) -> None:
    Note.enqueue("a")
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []
    assert run_enqueued() == 1
