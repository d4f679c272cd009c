"""Continuations in every state that the admin shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.utils import timezone

from continuations.models import Continuation, Execution, StepRecord
from continuations.testing import crash_during, interrupt_during, run_until_finished
from demo_project.history.states import once

from .jobs import (
    Approval,
    Broken,
    Discards,
    Flaky,
    FollowsUp,
    Import,
    Limited,
    Naps,
    Parent,
    Patient,
)


def enqueued() -> Continuation:
    return Import.enqueue("airports.csv", "hunter22")


def running() -> Continuation:
    """In the middle of its second step, by a worker that will not be heard of again."""
    row = enqueued()
    with crash_during(Import, "load", 6):
        once(row)
    StepRecord.objects.filter(continuation=row, name="load").update(processed=6, cursor_json="6", busy_seconds=3)
    return fresh(row)


def stalled() -> Continuation:
    row = running()
    past = timezone.now() - dt.timedelta(minutes=20)
    StepRecord.objects.filter(continuation=row).update(heartbeat_at=past)
    Execution.objects.filter(continuation=row).update(started_at=past)
    return row


def interrupted() -> Continuation:
    row = enqueued()
    with interrupt_during(Import, "load", 4, reason="stopping"):
        once(row)
    return row


def waiting_for_event() -> Continuation:
    return once(Approval.enqueue())


def waiting_with_time_out() -> Continuation:
    return once(Patient.enqueue())


def sleeping() -> Continuation:
    return once(Naps.enqueue())


def backing_off() -> Continuation:
    return once(Flaky.enqueue())


def waiting_for_children() -> Continuation:
    return once(Parent.enqueue())


def pausing() -> Continuation:
    row = running()
    row.pause(by="ana", reason="deploy")
    return row


def deaf() -> Continuation:
    """Asked to pause longer ago than an execution should take."""
    return unheeded(pausing())


def unheeded(row: Continuation) -> Continuation:
    """As if it had been asked longer ago than an execution should take."""
    Continuation.objects.filter(pk=row.pk).update(requested_at=timezone.now() - dt.timedelta(minutes=6))
    return fresh(row)


def paused() -> Continuation:
    row = interrupted()
    row.pause(by="ana", reason="deploy")
    return row


def paused_by_limit() -> Continuation:
    row = Limited.enqueue()
    with interrupt_during(Limited, "load", 4, reason="stopping"):
        once(row)
    return row


def cancelling() -> Continuation:
    row = running()
    row.cancel(by="ana", reason="wrong file")
    return row


def deaf_to_cancelling() -> Continuation:
    return unheeded(cancelling())


def cancelled() -> Continuation:
    row = interrupted()
    row.cancel(by="ana", reason="wrong file")
    return row


def succeeded() -> Continuation:
    row = enqueued()
    for cursor in (3, 6):
        with interrupt_during(Import, "load", cursor, reason="stopping"):
            once(row)
    return run_until_finished(row)


def failed() -> Continuation:
    return once(Broken.enqueue())


def discarded() -> Continuation:
    return once(Discards.enqueue())


def follow_up_failed() -> Continuation:
    return run_until_finished(FollowsUp.enqueue())


def fresh(row: Continuation) -> Continuation:
    row.refresh_from_db()
    return row


# Each with the status that it has.
STATES: dict[Callable[[], Continuation], str] = {
    enqueued: "enqueued",
    running: "running",
    stalled: "running",
    interrupted: "interrupted",
    waiting_for_event: "waiting",
    waiting_with_time_out: "waiting",
    sleeping: "waiting",
    backing_off: "waiting",
    waiting_for_children: "waiting",
    pausing: "pausing",
    deaf: "pausing",
    paused: "paused",
    paused_by_limit: "paused",
    cancelling: "cancelling",
    cancelled: "cancelled",
    succeeded: "succeeded",
    failed: "failed",
    discarded: "discarded",
    follow_up_failed: "succeeded",
}
