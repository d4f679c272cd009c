"""Why a continuation does not run, and why an execution ended."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..records import StepRecord
from ..transitions import Status
from .facts import error_line, is_limited, place, request
from .quantities import lies_ahead, shorten, until

if TYPE_CHECKING:
    from ..models import Continuation, Execution

# Reasons of the engine. One of the job's own stands for itself.
REASONS: dict[str, Promise] = {
    "stopping": gettext_lazy("the worker was told to stop"),
    "timeout": gettext_lazy("its time-out was near"),
    "max_runtime": gettext_lazy("it had run as long as max_runtime allows"),
    "isolating": gettext_lazy("a step has an execution of its own"),
    "paused": gettext_lazy("it was paused"),
    "cancelled": gettext_lazy("it was cancelled"),
    "waiting": gettext_lazy("it had to wait"),
    "orphaned": gettext_lazy("its worker died"),
    "superseded": gettext_lazy("another execution took over"),
    "database": gettext_lazy("the database was away"),
    "error": gettext_lazy("it raised an error"),
    "crash": gettext_lazy("its process died"),
    "forced": gettext_lazy("it was taken away by force"),
}


def reason_of(reason: str) -> str:
    """A reason in words."""
    return str(REASONS.get(reason, shorten(reason)))


def because(reason: str) -> str:
    """The same, to follow on what came of it."""
    pattern = _("because %(reason)s") if reason in REASONS else _("because of “%(reason)s”")
    return pattern % {"reason": reason_of(reason)}


def why_ended(execution: Execution) -> str:
    """Why an execution ended; empty while it has not."""
    if execution.finished_at is None:
        return ""
    if execution.error_class:
        return error_line(execution)
    return _("it succeeded") if execution.outcome == Status.SUCCEEDED else reason_of(execution.reason)


def why_stopped(row: Continuation, step: StepRecord | None = None, now: dt.datetime | None = None) -> str:
    """Why nothing goes on, or soon will not; empty while it runs undisturbed."""
    return _WHY[Status(row.status)](row, step, now)


def _running(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    return ""


def _enqueued(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    if row.run_after is not None and lies_ahead(row.run_after, now):
        return _("It is to start %(wait)s.") % {"wait": until(row.run_after, now)}
    if row.executions == 0:
        return _("It has not started: it waits for a worker of queue %(queue)s.") % {"queue": row.queue_name}
    return _("It goes on as soon as a worker of queue %(queue)s takes it.") % {"queue": row.queue_name}


def _interrupted(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    why = _("It was interrupted %(because)s.") % {"because": because(row.reason)}
    return f"{why} {_enqueued(row, step, now)}"


def _waiting(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    if row.run_after is None:
        return _untimed(row, step)
    if not lies_ahead(row.run_after, now):
        return _("Its time has come. %(why)s") % {"why": _enqueued(row, step, now)}
    facts = {"name": row.waiting_for, "wait": until(row.run_after, now)}
    if row.waiting_for:
        return _("It waits for event %(name)s; it gives up %(wait)s.") % facts
    if row.reason == "waiting":
        return _("It sleeps; it goes on %(wait)s.") % facts
    if row.reason == "error":
        return _("It goes on %(wait)s, after %(error)s") % {**facts, "error": error_line(row)}
    return _("It was interrupted %(because)s; it goes on %(wait)s.") % {**facts, "because": because(row.reason)}


def _untimed(row: Continuation, step: StepRecord | None) -> str:
    if step is not None and step.kind == StepRecord.Kind.CHILDREN:
        return _("It waits until its children have ended.")
    return _("It waits for event %(name)s.") % {"name": row.waiting_for}


def _pausing(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    return _("It pauses at its next checkpoint, %(request)s") % {"request": request(row, now)}


def _cancelling(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    return _("It ends at its next checkpoint, %(request)s") % {"request": request(row, now)}


def _paused(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    if is_limited(row):
        return _("It was paused at a limit: %(error)s") % {"error": error_line(row)}
    return _with_request(_("It was paused"), row, now)


def _cancelled(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    return _with_request(_("It was cancelled"), row, now)


def _with_request(what: str, row: Continuation, now: dt.datetime | None) -> str:
    asked = request(row, now)
    return f"{what}, {asked}" if asked else f"{what}."


def _failed(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    where = _("outside of steps") if step is None else _("in %(place)s") % {"place": place(step)}
    return _with_follow_up(row, _("It failed %(where)s: %(error)s") % {"where": where, "error": error_line(row)})


def _discarded(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    return _("It was given up, as discard_on says: %(error)s") % {"error": error_line(row)}


def _succeeded(row: Continuation, step: StepRecord | None, now: dt.datetime | None) -> str:
    return _with_follow_up(row, _("It has succeeded."))


def _with_follow_up(row: Continuation, why: str) -> str:
    if row.follow_up_failed_at is None:
        return why
    hook = "on_success" if row.status == Status.SUCCEEDED else "on_failure"
    last = next(reversed(row.follow_up_error.strip().splitlines()), "")
    return _("%(why)s; its %(hook)s failed: %(error)s") % {"why": why.rstrip("."), "hook": hook, "error": shorten(last)}


_WHY = {
    Status.ENQUEUED: _enqueued,
    Status.RUNNING: _running,
    Status.INTERRUPTED: _interrupted,
    Status.WAITING: _waiting,
    Status.PAUSING: _pausing,
    Status.PAUSED: _paused,
    Status.CANCELLING: _cancelling,
    Status.CANCELLED: _cancelled,
    Status.SUCCEEDED: _succeeded,
    Status.FAILED: _failed,
    Status.DISCARDED: _discarded,
}
