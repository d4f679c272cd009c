"""The verbs on querysets, and the question which continuations a person should look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.utils import timezone

from continuations import ContinuableJob, SerializationError, Step, TransitionError
from continuations.models import Continuation, Event, Execution, StepRecord
from continuations.querysets import LIMIT
from continuations.testing import interrupt_during, run_enqueued
from continuations.transitions import OWNED, Status

pytestmark = pytest.mark.django_db


class Walk(ContinuableJob):
    checkpoint_interval = 0

    def perform(self, items: str = "abc") -> None:
        self.step(self.walk)

    def walk(self, step: Step) -> None:
        for _ in step.iterate(list(self.continuation.arguments[0][0])):
            pass


class Other(ContinuableJob):
    def perform(self) -> None:
        self.wait_for("approval")


def statuses() -> list[str]:
    return list(Continuation.objects.order_by("created_at", "pk").values_list("status", flat=True))


def walks(number: int, status: Status = Status.ENQUEUED) -> list[Continuation]:
    rows = [Walk.enqueue("abc") for _ in range(number)]
    Continuation.objects.filter(pk__in=[row.pk for row in rows]).update(status=status)
    return rows


@pytest.mark.parametrize(
    ("verb", "source", "target"),
    [
        ("pause", Status.RUNNING, Status.PAUSING),
        ("resume", Status.PAUSED, Status.ENQUEUED),
        ("cancel", Status.WAITING, Status.CANCELLED),
        ("retry", Status.FAILED, Status.ENQUEUED),
    ],
)
def test_a_verb_on_a_queryset_is_the_verb_on_each(verb: str, source: Status, target: Status) -> None:
    rows = walks(2, source)
    Other.enqueue()
    done = getattr(Continuation.objects.for_job(Walk), verb)(by="ada", reason="lunch")
    assert done.changed == rows
    assert (done.refused, done.more) == ([], False)
    assert statuses() == [target, target, "enqueued"]
    assert set(Continuation.objects.for_job(Walk).values_list("request_by", "request_reason")) == {("ada", "lunch")}


def test_running_again_on_a_queryset_is_running_each_again() -> None:
    walks(2)
    run_enqueued()
    done = Continuation.objects.all().rerun_from("walk", keep_cursor=True, by="ada", reason="more rows")
    assert len(done.changed) == 2
    assert statuses() == ["enqueued", "enqueued"]
    assert set(StepRecord.objects.values_list("cursor_json", "status")) == {("3", "running")}
    assert set(Continuation.objects.values_list("request_by", "request_reason")) == {("ada", "more rows")}


def test_rows_that_do_not_allow_it_are_told_with_their_errors_and_do_not_stop_the_rest() -> None:
    first, second, third = walks(3)
    Continuation.objects.filter(pk=second.pk).update(status="succeeded")
    done = Continuation.objects.all().pause()
    assert done.changed == [first, third]
    ((refused, error),) = done.refused
    assert refused == second
    assert isinstance(error, TransitionError)
    assert "is succeeded: cannot pause it" in str(error)
    assert statuses() == ["paused", "succeeded", "paused"]


def test_force_reaches_each() -> None:
    walks(2, Status.PAUSING)
    Continuation.objects.update(requested_at=timezone.now() - dt.timedelta(minutes=6))
    assert len(Continuation.objects.all().pause().refused) == 2
    assert len(Continuation.objects.all().pause(force=True).changed) == 2
    Continuation.objects.update(status="cancelling", requested_at=timezone.now() - dt.timedelta(minutes=6))
    assert len(Continuation.objects.all().cancel(force=True).changed) == 2


def test_no_more_than_the_limit_are_changed_oldest_first() -> None:
    rows = walks(3)
    done = Continuation.objects.all().pause(limit=2)
    assert done.changed == rows[:2]
    assert done.more
    done = Continuation.objects.waiting_to_run().pause(limit=2)
    assert (done.changed, done.more) == (rows[2:], False)


def test_there_is_a_limit_by_itself() -> None:
    assert LIMIT == 1000


def test_a_slice_keeps_its_order() -> None:
    rows = walks(3)
    done = Continuation.objects.order_by("-created_at", "-pk")[:2].pause()
    assert (done.changed, done.more) == ([rows[2], rows[1]], False)
    assert statuses() == ["enqueued", "paused", "paused"]


def test_each_row_is_changed_in_a_transaction_of_its_own(django_assert_num_queries: Any) -> None:
    """Row by row: no statement touches two, and nothing is read that the verbs do not need."""
    walks(3)
    with django_assert_num_queries(1 + 3 * 4):
        # Savepoint, lock, update, release.
        assert len(Continuation.objects.all().pause().changed) == 3


@pytest.mark.django_db(transaction=True)
def test_what_was_changed_before_an_error_of_the_database_stays_changed() -> None:
    rows = walks(2)
    seen: list[str] = []

    def fail_second(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE"):
            seen.append(sql)
            if len(seen) == 2:
                raise RuntimeError
        return execute(sql, params, many, context)

    with pytest.raises(RuntimeError), connection.execute_wrapper(fail_second):
        Continuation.objects.all().pause()
    assert statuses() == ["paused", "enqueued"]
    assert len(rows) == 2


def test_rows_that_are_deleted_meanwhile_are_passed_over() -> None:
    first, second = walks(2)
    left = [second.pk]

    def delete_second(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and left:
            Continuation.objects.filter(pk=left.pop()).delete()
        return result

    with connection.execute_wrapper(delete_second):
        done = Continuation.objects.all().pause()
    assert (done.changed, done.refused) == ([first], [])


def test_a_verb_on_an_empty_queryset_does_nothing() -> None:
    done = Continuation.objects.none().cancel()
    assert (done.changed, done.refused, done.more) == ([], [], False)


def test_verbs_on_a_queryset_roll_back_with_their_caller() -> None:
    walks(2)
    with pytest.raises(RuntimeError), transaction.atomic():
        Continuation.objects.all().cancel()
        raise RuntimeError
    assert statuses() == ["enqueued", "enqueued"]


# Events


def test_an_event_can_be_sent_to_many() -> None:
    rows = [Other.enqueue(), Other.enqueue()]
    run_enqueued()
    assert Continuation.objects.for_job(Other).send("approval", 5).changed == rows
    run_enqueued()
    assert statuses() == ["succeeded", "succeeded"]


def test_an_event_can_be_sent_by_key_as_a_webhook_does() -> None:
    Other.enqueue()
    chosen = Other.enqueue()
    Continuation.objects.filter(pk=chosen.pk).update(key="order:7", active_key="order:7")
    run_enqueued()
    done = Continuation.objects.send(key="order:7", name="approval", payload={"by": "ada"})
    assert done.changed == [chosen]
    assert Event.objects.get().continuation_id == chosen.pk
    assert statuses() == ["waiting", "enqueued"]


def test_an_event_can_be_sent_by_async_code() -> None:
    continuation = Other.enqueue()
    async_to_sync(continuation.asend)("approval", 5)
    assert Event.objects.get().payload_json == "5"
    done = async_to_sync(Continuation.objects.all().asend)("other", 6)
    assert done.changed == [continuation]


def test_an_event_for_a_key_that_nobody_has_is_an_error_that_names_both() -> None:
    continuation = Other.enqueue()
    # It had it, and has ended.
    Continuation.objects.filter(pk=continuation.pk).update(key="order:7", status="succeeded")
    with pytest.raises(Continuation.DoesNotExist, match=r"'order:7'.*'approval' is lost"):
        Continuation.objects.send(key="order:7", name="approval")


@pytest.mark.parametrize("number", [0, 2])
def test_a_payload_that_cannot_be_stored_is_an_error_of_the_call(number: int) -> None:
    """Q2: not of each row, where nobody would look."""
    walks(number)
    with pytest.raises(SerializationError, match="payload of event 'approval'"):
        Continuation.objects.all().send("approval", object())
    assert not Event.objects.exists()


# Those a person should look at


def attention() -> list[Continuation]:
    return list(Continuation.objects.needing_attention())


def ago(minutes: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=minutes)


def own(row: Continuation, status: Status, started: float, **step: Any) -> None:
    """Let an execution own `row`, which began so many minutes ago, with a step in progress if one is given."""
    execution = Execution.objects.create(continuation=row, number=1, started_at=ago(started))
    Continuation.objects.filter(pk=row.pk).update(status=status, owner=execution.pk, requested_at=timezone.now())
    if step:
        StepRecord.objects.create(continuation=row, position=0, name="walk", **step)


@pytest.mark.parametrize("status", [status for status in Status if status != Status.FAILED])
def test_what_goes_its_way_needs_no_attention(status: Status) -> None:
    (row,) = walks(1, status)
    if status in OWNED:
        own(row, status, 60, heartbeat_at=ago(1))
    assert attention() == []


def test_what_failed_needs_attention() -> None:
    rows = walks(1, Status.FAILED)
    assert attention() == rows


def test_what_could_not_be_followed_up_needs_attention() -> None:
    rows = walks(1, Status.SUCCEEDED)
    Continuation.objects.update(follow_up_failed_at=timezone.now())
    assert attention() == rows


class Limited(Walk):
    max_resumptions = 0
    on_limit = "pause"


def test_what_a_limit_has_paused_needs_attention() -> None:
    continuation = Limited.enqueue("abc")
    with interrupt_during(Limited, "walk", 1):
        run_enqueued()
    assert Continuation.objects.get().status == "paused"
    assert attention() == [continuation]


class Breaks(Walk):
    def walk(self, step: Step) -> None:
        step.set(1)
        raise ConnectionError


def test_what_a_person_has_paused_after_an_error_needs_none() -> None:
    """The person knows."""
    continuation = Breaks.enqueue("abc")
    run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.error_class) == ("waiting", "ConnectionError")
    continuation.pause()
    assert attention() == []


@pytest.mark.parametrize("status", [Status.PAUSING, Status.CANCELLING])
@pytest.mark.parametrize(("minutes", "needs"), [(4, False), (6, True)])
def test_what_is_deaf_to_a_request_for_five_minutes_needs_attention(
    status: Status, minutes: float, needs: bool
) -> None:
    (row,) = walks(1)
    own(row, status, 60, heartbeat_at=ago(1))
    Continuation.objects.update(requested_at=ago(minutes))
    assert attention() == [row] * needs


@pytest.mark.parametrize("status", sorted(OWNED))
@pytest.mark.parametrize(("minutes", "needs"), [(9, False), (11, True)])
def test_what_is_silent_for_ten_minutes_while_it_runs_needs_attention(
    status: Status, minutes: float, needs: bool
) -> None:
    (row,) = walks(1)
    own(row, status, 60, heartbeat_at=ago(minutes))
    assert attention() == [row] * needs


@pytest.mark.parametrize("step", [{}, {"finished_at": ago(30), "heartbeat_at": ago(30)}])
def test_silence_outside_steps_is_silence_too(step: dict[str, Any]) -> None:
    (row,) = walks(1)
    own(row, Status.RUNNING, 60, **step)
    assert attention() == [row]


def test_what_has_just_begun_again_after_a_long_rest_is_not_silent() -> None:
    """Its step's last sign of life is from before the rest."""
    (row,) = walks(1)
    own(row, Status.RUNNING, 1, heartbeat_at=ago(600))
    assert attention() == []


def test_what_was_silent_and_has_ended_needs_none() -> None:
    (row,) = walks(1)
    own(row, Status.SUCCEEDED, 60, heartbeat_at=ago(60))
    assert attention() == []


def test_needing_attention_costs_one_query(django_assert_num_queries: Callable[[int], Any]) -> None:
    for status in (Status.FAILED, Status.RUNNING, Status.PAUSING):
        (row,) = walks(1)
        own(row, status, 60, heartbeat_at=ago(60))
    with django_assert_num_queries(1):
        assert len(attention()) == 3
