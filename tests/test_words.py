"""What a person is told of a continuation, in words."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone, translation

from continuations import ContinuableJob, InvalidStepError, Step, Stop, TransitionError, discard_on, presence, words
from continuations.models import Continuation, Execution, StepRecord
from continuations.testing import crash_during, interrupt_during, run_enqueued, run_until_finished
from continuations.transitions import FINISHED, OWNED, VERBS, Status

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)


class Load(ContinuableJob):
    resume_errors_after_advancing = False

    def perform(self, broken: Any = None) -> None:
        self.broken = broken
        self.step("check", lambda: None)
        self.step(self.load)

    def load(self, step: Step) -> None:
        for item in step.iterate(range(10)):
            if item == self.broken:
                raise KeyError("sku")


def read(continuation: Continuation) -> tuple[Continuation, StepRecord | None]:
    """The row and its step in progress, as the words take them."""
    row = Continuation.objects.get(pk=continuation.pk)
    return row, row.steps.filter(status=StepRecord.Status.RUNNING).first()


def interrupted(reason: bool | str = True) -> Continuation:
    continuation = Load.enqueue()
    with interrupt_during(Load, "load", 3, reason=reason):
        run_enqueued()
    return continuation


def failed() -> Continuation:
    continuation = Load.enqueue(4)
    with pytest.raises(KeyError):
        run_enqueued()
    return continuation


def moved_to(status: Status, **changes: Any) -> Continuation:
    """A continuation with a step in progress, as if it had come to `status`."""
    continuation = interrupted()
    ended = {"finished_at": timezone.now()} if status in FINISHED else {}
    Continuation.objects.filter(pk=continuation.pk).update(status=status, **ended, **changes)
    continuation.refresh_from_db()
    return continuation


# What is safe now

CALLS: dict[str, Callable[[Continuation], object]] = {
    "pause": lambda row: row.pause(),
    "resume": lambda row: row.resume(),
    "cancel": lambda row: row.cancel(),
    "retry": lambda row: row.retry(),
    "rerun_from": lambda row: row.rerun_from("load"),
    "set_cursor": lambda row: row.set_cursor("load", 7),
    "send": lambda row: row.send("news"),
    "follow_up": lambda row: row.follow_up(),
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("verb", list(VERBS))
def test_the_verbs_that_are_called_safe_are_those_that_the_model_allows(status: Status, verb: str) -> None:
    continuation = moved_to(status, follow_up_failed_at=timezone.now())
    row, step = read(continuation)
    safe = {choice.verb for choice in words.safe_now(row, step)}
    try:
        CALLS[verb](row)
    except TransitionError:
        assert verb not in safe
    else:
        assert verb in safe


def test_all_verbs_are_tested_here() -> None:
    assert set(CALLS) == set(VERBS)


@pytest.mark.parametrize(
    ("status", "verb"),
    [
        (Status.FAILED, "retry"),
        (Status.PAUSED, "resume"),
        (Status.SUCCEEDED, "follow_up"),
    ],
)
def test_the_verb_that_most_would_use_comes_first(status: Status, verb: str) -> None:
    row, step = read(moved_to(status, follow_up_failed_at=timezone.now()))
    first, *others = words.safe_now(row, step)
    assert (first.verb, first.recommended) == (verb, True)
    assert not any(choice.recommended for choice in others)


@pytest.mark.parametrize("status", [Status.RUNNING, Status.ENQUEUED, Status.INTERRUPTED, Status.CANCELLED])
def test_where_nothing_has_to_be_done_nothing_is_recommended(status: Status) -> None:
    row, step = read(moved_to(status))
    assert not any(choice.recommended for choice in words.safe_now(row, step))


@pytest.mark.parametrize(("status", "verb"), [(Status.PAUSING, "pause"), (Status.CANCELLING, "cancel")])
def test_force_is_offered_as_soon_as_the_model_allows_it(status: Status, verb: str) -> None:
    row, step = read(moved_to(status, requested_at=timezone.now() - dt.timedelta(seconds=299)))
    assert not any(choice.force for choice in words.safe_now(row, step, row.requested_at + dt.timedelta(seconds=299)))
    with pytest.raises(TransitionError):
        getattr(row, verb)(force=True)
    row, step = read(moved_to(status, requested_at=timezone.now() - dt.timedelta(seconds=301)))
    first = words.safe_now(row, step)[0]
    assert (first.verb, first.force, first.recommended) == (verb, True, True)
    getattr(row, verb)(force=True)
    assert row.status in (Status.PAUSED, Status.CANCELLED)


def test_only_a_step_of_work_offers_its_cursor() -> None:
    continuation = Rest.enqueue("sleep")
    run_enqueued()
    row, step = read(continuation)
    assert "set_cursor" not in {choice.verb for choice in words.safe_now(row, step)}
    with pytest.raises(InvalidStepError):
        row.set_cursor("nap", 7)


def test_what_never_ran_cannot_be_run_again_from_a_step() -> None:
    continuation = Load.enqueue()
    continuation.cancel()
    row, step = read(continuation)
    assert words.safe_now(row, step) == []


def test_a_choice_says_where_it_goes_on() -> None:
    row, step = read(failed())
    assert words.safe_now(row, step)[0].consequence == "Goes on in step load at cursor 4."


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry", "rerun_from", "follow_up"])
def test_what_a_verb_does_to_many_is_said_in_a_sentence(verb: str) -> None:
    assert words.consequences(verb).startswith("Each ")
    assert words.consequences(verb, force=True).startswith(words.consequences(verb) + " ")


def test_what_a_verb_has_done_is_read_from_the_row() -> None:
    row = Load.enqueue()
    row.pause()
    assert words.done("pause", row) == "paused"
    row.resume()
    assert words.done("resume", row) == "enqueued on queue default"
    row = moved_to(Status.RUNNING)
    row.pause()
    assert words.done("pause", row) == "pausing: it stops at its next checkpoint"
    row.resume()
    assert words.done("resume", row) == "running: the request to pause was taken back"


# Why did it stop?


class Rest(ContinuableJob):
    def perform(self, what: str, timeout: float | None = None) -> None:
        self.step("check", lambda: None)
        if what == "sleep":
            self.sleep("nap", 3600)
        elif what == "event":
            self.wait_for("approval", timeout=timeout)
        else:
            Load.enqueue()
            self.wait_for_children()


def why(continuation: Continuation, later: float = 0) -> str:
    row, step = read(continuation)
    return words.why_stopped(row, step, timezone.now() + dt.timedelta(seconds=later))


def test_what_has_not_started_waits_for_a_worker() -> None:
    assert why(Load.enqueue()) == "It has not started: it waits for a worker of queue default."


def test_what_was_enqueued_for_later_says_when() -> None:
    continuation = Load.using(run_after=dt.timedelta(hours=2)).enqueue()
    assert why(continuation, later=-0.5) == "It is to start in 2 h."
    assert why(continuation, later=7300) == "It has not started: it waits for a worker of queue default."


def test_what_runs_has_not_stopped() -> None:
    assert why(moved_to(Status.RUNNING)) == ""


def test_an_interruption_says_its_reason() -> None:
    goes_on = "It goes on as soon as a worker of queue default takes it."
    assert why(interrupted()) == f"It was interrupted because the worker was told to stop. {goes_on}"
    assert why(interrupted("tea time")) == f"It was interrupted because of “tea time”. {goes_on}"


def test_what_waits_for_an_event_names_it() -> None:
    continuation = Rest.enqueue("event")
    run_enqueued()
    assert why(continuation) == "It waits for event approval."


def test_what_waits_for_an_event_for_a_time_says_how_long() -> None:
    continuation = Rest.enqueue("event", 600)
    run_enqueued()
    row, step = read(continuation)
    now = row.run_after - dt.timedelta(seconds=90)
    assert words.why_stopped(row, step, now) == "It waits for event approval; it gives up in 1 min 30 s."
    assert words.why_stopped(row, step, row.run_after).startswith("Its time has come. ")


def test_what_waits_for_children_says_so() -> None:
    continuation = Rest.enqueue("children")
    run_enqueued(Rest)
    assert why(continuation) == "It waits until its children have ended."


def test_what_sleeps_says_until_when() -> None:
    continuation = Rest.enqueue("sleep")
    run_enqueued()
    row, step = read(continuation)
    now = row.run_after - dt.timedelta(minutes=5)
    assert words.why_stopped(row, step, now) == "It sleeps; it goes on in 5 min."


class Throttled(Load):
    def should_stop(self) -> Stop | None:
        return Stop("throttled", wait=60) if self.executions == 1 else None


def test_what_rests_for_a_reason_of_its_own_says_both() -> None:
    continuation = Throttled.enqueue()
    run_enqueued()
    row, step = read(continuation)
    now = row.run_after - dt.timedelta(seconds=20)
    assert words.why_stopped(row, step, now) == "It was interrupted because of “throttled”; it goes on in 20 s."


class Stubborn(Load):
    resume_errors_after_advancing = True


def test_a_back_off_names_the_error() -> None:
    continuation = Stubborn.enqueue(4)
    run_enqueued()
    row, step = read(continuation)
    now = row.run_after - dt.timedelta(seconds=3)
    assert words.why_stopped(row, step, now) == "It goes on in 3.0 s, after KeyError: 'sku'"


def test_a_request_says_by_whom_when_and_why() -> None:
    row = moved_to(Status.RUNNING)
    row.pause(by="ana", reason="too busy")
    assert why(row, later=180) == "It pauses at its next checkpoint, asked by ana 3 min ago: too busy"
    row.cancel(by="ben")
    assert why(row, later=120) == "It ends at its next checkpoint, asked by ben 2 min ago"


def test_a_pause_and_an_end_say_who_wanted_them() -> None:
    row = Load.enqueue()
    row.pause(by="ana")
    assert why(row, later=180) == "It was paused, asked by ana 3 min ago"
    row.cancel()
    assert why(row, later=180) == "It was cancelled, asked by somebody 3 min ago"


class Limited(Load):
    max_resumptions = 0
    on_limit = "pause"


def test_a_limit_is_no_person() -> None:
    continuation = Limited.enqueue()
    with interrupt_during(Limited, "load", 3):
        run_enqueued()
    assert why(continuation).startswith("It was paused at a limit: ResumeLimitError: ")


def test_a_failure_says_where_and_what() -> None:
    assert why(failed()) == "It failed in step load at cursor 4: KeyError: 'sku'"


class Outside(ContinuableJob):
    def perform(self) -> None:
        raise ValueError("first line\nsecond line")


def test_a_failure_outside_of_steps_says_so_on_one_line() -> None:
    continuation = Outside.enqueue()
    with pytest.raises(ValueError):
        run_enqueued()
    assert why(continuation) == "It failed outside of steps: ValueError: first line"


@discard_on(ValueError)
class GivesUp(Outside):
    pass


def test_a_discarded_error_is_named() -> None:
    continuation = GivesUp.enqueue()
    run_enqueued()
    assert why(continuation) == "It was given up, as discard_on says: ValueError: first line"


class FailsAfterwards(ContinuableJob):
    def perform(self, broken: bool = False) -> None:
        if broken:
            raise ValueError("no luck")

    def on_success(self, broken: bool = False) -> None:
        raise RuntimeError("nobody home")

    def on_failure(self, error: Exception, broken: bool = False) -> None:
        raise RuntimeError("nobody cares")


def test_a_follow_up_that_failed_is_told_of() -> None:
    continuation = FailsAfterwards.enqueue()
    run_enqueued()
    assert why(continuation) == "It has succeeded; its on_success failed: RuntimeError: nobody home"
    continuation = FailsAfterwards.enqueue(True)
    with pytest.raises(ValueError):
        run_enqueued()
    expected = "It failed outside of steps: ValueError: no luck; its on_failure failed: RuntimeError: nobody cares"
    assert why(continuation) == expected


def endings(continuation: Continuation) -> list[str]:
    return [words.why_ended(each) for each in Execution.objects.filter(continuation=continuation).order_by("number")]


def test_every_execution_says_why_it_ended() -> None:
    continuation = interrupted("tea time")
    with interrupt_during(Load, "load", 5):
        run_enqueued()
    with crash_during(Load, "load", 7):
        run_enqueued()
    run_until_finished(continuation)
    assert endings(continuation) == ["tea time", "the worker was told to stop", "its process died", "it succeeded"]
    assert endings(failed()) == ["KeyError: 'sku'"]
    assert words.why_ended(Execution(started_at=NOW)) == ""


# Is it moving?


@pytest.mark.parametrize("status", list(Status))
def test_only_what_an_execution_owns_and_what_was_seen_lately_is_moving(status: Status) -> None:
    row, step = read(moved_to(status))
    assert step is not None
    seen = step.heartbeat_at
    assert words.is_moving(row, step, seen + dt.timedelta(minutes=10)) == (status in OWNED)
    assert not words.is_moving(row, step, seen + dt.timedelta(minutes=10, seconds=1))
    assert words.moving(row, step).startswith("Yes" if status in OWNED else "No: ")


def test_a_silent_execution_should_be_moving() -> None:
    row, step = read(moved_to(Status.RUNNING))
    assert step is not None
    now = step.heartbeat_at + dt.timedelta(minutes=14)
    assert words.moving(row, step, now) == "It should, but its last sign of life came 14 min ago."
    assert Continuation.objects.needing_attention().count() == 0
    past = timezone.now() - dt.timedelta(minutes=14)
    StepRecord.objects.update(heartbeat_at=past)
    owner = Execution.objects.create(continuation=row, number=99, started_at=past)
    Continuation.objects.filter(pk=row.pk).update(owner=owner.pk)
    assert Continuation.objects.needing_attention().get() == row


def test_what_runs_between_its_steps_says_so() -> None:
    row = moved_to(Status.RUNNING)
    assert words.moving(row, None) == "It runs, outside of steps."


def test_where_an_execution_runs_is_said_as_far_as_it_is_known() -> None:
    assert words.where(Execution(worker="w1", host="web-2", pid=4121)) == "worker w1, host web-2, process 4121"
    assert words.where(Execution(pid=7)) == "process 7"


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (None, ""),
        (0, "No worker listens on queue slow."),
        (1, "1 worker listens on queue slow."),
        (1200, "1,200 workers listen on queue slow."),
    ],
)
def test_who_listens_on_a_queue_is_said_if_it_is_known(n: int | None, text: str) -> None:
    assert words.listening("slow", n) == text


# How far, how fast, how long?


@pytest.mark.parametrize(
    ("processed", "total", "text"),
    [
        (0, None, ""),
        (9112, None, "9,112"),
        (58213, 100_000, "58,213 of 100,000 (58 %)"),
        (99_999, 100_000, "99,999 of 100,000 (99 %)"),
        (120, 100, "120, 100 expected"),
        (0, 0, "0, 0 expected"),
    ],
)
def test_progress_is_said_as_far_as_it_is_known(processed: int, total: int | None, text: str) -> None:
    assert words.progress(StepRecord(processed=processed, total=total)) == text


@pytest.mark.parametrize(
    ("processed", "seconds", "rate", "text"),
    [
        (0, 10.0, None, ""),
        (10, 0.0, None, ""),
        (21_400, 10.0, 2140.0, "2,140 a second"),
        (25, 10.0, 2.5, "2.5 a second"),
        (5, 10.0, 0.5, "30 a minute"),
        (1, 600.0, 1 / 600, "6.0 an hour"),
    ],
)
def test_the_pace_is_that_of_the_work(processed: int, seconds: float, rate: float | None, text: str) -> None:
    step = StepRecord(processed=processed, busy_seconds=seconds)
    assert words.rate(step) == rate
    assert words.pace(step) == text


def test_what_is_left_is_work_at_the_pace_so_far() -> None:
    step = StepRecord(processed=60, total=100, busy_seconds=30.0)
    assert words.remaining(step) == dt.timedelta(seconds=20)
    assert words.left(step) == "20 s left"


@pytest.mark.parametrize(
    "step",
    [
        StepRecord(processed=60, busy_seconds=30.0),
        StepRecord(processed=0, total=100, busy_seconds=30.0),
        StepRecord(processed=100, total=100, busy_seconds=30.0, status=StepRecord.Status.COMPLETED),
    ],
)
def test_what_is_left_is_not_guessed(step: StepRecord) -> None:
    assert words.remaining(step) is None
    assert words.left(step) == ""


def test_nothing_is_left_beyond_what_was_expected() -> None:
    assert words.remaining(StepRecord(processed=120, total=100, busy_seconds=30.0)) == dt.timedelta(0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (100, "1 min 40 s"),
        (3600, "1 h"),
        (3_725, "1 h 2 min"),
        (3_605, "1 h"),
        (90_000, "1 d 1 h"),
        (10**9, "11574 d 1 h"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
    assert words.ago(NOW - dt.timedelta(seconds=seconds), NOW) == f"{text} ago"
    assert words.until(NOW + dt.timedelta(seconds=seconds), NOW) == f"in {text}"


def test_numbers_are_those_of_the_active_language() -> None:
    with translation.override("de"):
        assert words.progress(StepRecord(processed=9112)) == "9.112"
        assert words.duration(0.44) == "0,4 s"


def test_long_texts_are_cut_and_stay_on_one_line() -> None:
    assert words.shorten("a\n b\t c") == "a b c"
    assert words.shorten("x" * 80) == "x" * 80
    assert words.shorten("x" * 81) == "x" * 79 + "…"


# The one fact for a table


def short(continuation: Continuation, later: float = 0) -> str:
    row, step = read(continuation)
    return words.in_short(row, step, timezone.now() + dt.timedelta(seconds=later))


def test_what_runs_shows_how_far_it_is() -> None:
    row = moved_to(Status.RUNNING)
    row.steps.filter(name="load").update(processed=3, total=10, busy_seconds=3)
    assert short(row) == "30 %, 7.0 s left"
    row.steps.filter(name="load").update(total=None)
    assert short(row) == "3"


def test_what_has_failed_shows_its_error() -> None:
    assert short(failed()) == "KeyError: 'sku'"


def test_what_waits_shows_for_what() -> None:
    assert short(Load.enqueue()) == "queue default"
    assert short(Load.using(run_after=dt.timedelta(hours=2)).enqueue(), later=-0.5) == "in 2 h"
    assert short(interrupted()) == "queue default"
    continuation = Rest.enqueue("event")
    run_enqueued(Rest)
    assert short(continuation) == "approval"


def test_what_a_person_stopped_shows_who() -> None:
    row = Load.enqueue()
    row.pause(by="ana", reason="too busy")
    assert short(row) == "by ana: too busy"
    row.cancel()
    assert short(row) == "by somebody"


def test_what_has_succeeded_shows_how_long_it_took() -> None:
    row = moved_to(Status.SUCCEEDED)
    Continuation.objects.update(started_at=NOW, finished_at=NOW + dt.timedelta(minutes=9))
    assert short(row) == "took 9 min"
    Continuation.objects.update(follow_up_failed_at=NOW)
    assert short(row) == "on_success failed"


@pytest.mark.parametrize("status", list(Status))
def test_no_words_ask_the_database(status: Status, django_assert_num_queries: Any) -> None:
    row, step = read(moved_to(status, requested_at=timezone.now(), follow_up_failed_at=timezone.now()))
    with django_assert_num_queries(0):
        words.moving(row, step)
        words.why_stopped(row, step)
        words.safe_now(row, step)
        words.in_short(row, step)


# Who is there?


@pytest.mark.workers
def test_workers_of_a_queue_are_counted_in_redis(redis_url: str) -> None:
    from rq import Worker

    from continuations.delivery import queue_named

    assert presence.listeners("slow") == 0
    worker = Worker([queue_named("slow")], connection=queue_named("slow").connection)
    worker.register_birth()
    assert presence.listeners("slow") == 1
    assert presence.listeners("imports") == 0


def test_nobody_knows_of_workers_without_redis() -> None:
    assert presence.listeners("default") is None


@pytest.mark.parametrize("queue_name", ["sync", "nowhere"])
def test_queues_without_workers_have_none_to_count(queue_name: str) -> None:
    assert presence.listeners(queue_name) is None


@pytest.mark.workers
def test_an_owner_whose_process_is_gone_is_dead(redis_url: str) -> None:
    from continuations.liveness import boot_id, host

    row = moved_to(Status.RUNNING)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = Execution(continuation=row, host=host(), boot=boot_id(), pid=process.pid)
    here = Execution(continuation=row, host=host(), boot=boot_id(), pid=os.getpid())
    assert presence.death(row, gone) == "its process is gone"
    assert presence.death(row, here) is None
    row.queue_name = "nowhere"
    assert presence.death(row, gone) is None


def test_without_redis_nobody_is_proven_dead() -> None:
    row = moved_to(Status.RUNNING)
    assert presence.death(row, Execution(continuation=row)) is None
