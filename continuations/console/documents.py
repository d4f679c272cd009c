"""What programs get. The keys are documented in docs/command-line.md, and kept."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone

from .. import words
from ..models import Continuation, Event, Execution, StepRecord
from . import values
from .options import NAMES


def summary(row: Continuation, step: StepRecord | None, *, needs_attention: bool) -> dict[str, Any]:
    """A continuation as in a list. `step` is the one in progress."""
    return {
        "id": str(row.pk),
        "job": row.job_path,
        "queue": row.queue_name,
        "status": row.status,
        "key": row.key,
        "needs_attention": needs_attention,
        "reason": row.reason or None,
        "waiting_for": row.waiting_for or None,
        "counts": {
            "executions": row.executions,
            "resumptions": row.resumptions,
            "crashes_in_a_row": row.crashes,
            "errors_in_a_row": row.errors,
        },
        "created_at": moment(row.created_at),
        "enqueued_at": moment(row.enqueued_at),
        "started_at": moment(row.started_at),
        "finished_at": moment(row.finished_at),
        "run_after": moment(row.run_after),
        "error": error_of(row),
        "follow_up_failed_at": moment(row.follow_up_failed_at),
        "request": request_of(row),
        "parent": None if row.parent_id is None else str(row.parent_id),
        "step": None if step is None else step_of(step),
    }


def step_of(step: StepRecord) -> dict[str, Any]:
    """How far a step is, without its values."""
    left = words.remaining(step)
    return {
        "position": step.position,
        "name": step.name,
        "kind": step.kind,
        "status": step.status,
        "processed": step.processed,
        "total": step.total,
        "per_second": words.rate(step),
        "busy_seconds": step.busy_seconds,
        "remaining_seconds": None if left is None else left.total_seconds(),
        "heartbeat_at": moment(step.heartbeat_at),
        "started_at": moment(step.started_at),
        "finished_at": moment(step.finished_at),
    }


def whole_step(step: StepRecord) -> dict[str, Any]:
    """A step with its cursor and result."""
    return {**step_of(step), "cursor": values.plain(step.cursor_json), "result": values.plain(step.result_json)}


def execution_of(execution: Execution, wait: dt.timedelta | None) -> dict[str, Any]:
    """One run on a worker; `wait` is what lay between the end of the one before, or the creation, and its start."""
    ran = None if execution.finished_at is None else execution.finished_at - execution.started_at
    return {
        "number": execution.number,
        "worker": execution.worker or None,
        "host": execution.host or None,
        "pid": execution.pid,
        "rq_job_id": execution.rq_job_id or None,
        "started_at": moment(execution.started_at),
        "finished_at": moment(execution.finished_at),
        "waited_seconds": None if wait is None else wait.total_seconds(),
        "ran_seconds": None if ran is None else ran.total_seconds(),
        "outcome": execution.outcome or None,
        "reason": execution.reason or None,
        "step": execution.step or None,
        "cursor_before": values.plain(execution.cursor_before_json),
        "cursor_after": values.plain(execution.cursor_after_json),
        "error": error_of(execution),
    }


def event_of(event: Event) -> dict[str, Any]:
    """Something that was sent."""
    return {"name": event.name, "payload": values.payload(event), "sent_at": moment(event.sent_at)}


def relative_of(row: Continuation) -> dict[str, Any]:
    """A parent or a child."""
    return {"id": str(row.pk), "job": row.job_path, "status": row.status, "finished_at": moment(row.finished_at)}


def choice_of(choice: words.Choice) -> dict[str, Any]:
    """A verb that can be used now."""
    return {
        "verb": NAMES[choice.verb],
        "force": choice.force,
        "recommended": choice.recommended,
        "consequence": choice.consequence,
    }


def error_of(row: Continuation | Execution) -> dict[str, Any] | None:
    """Class and message, if there was an error."""
    return {"class": row.error_class, "message": row.error_message} if row.error_class else None


def request_of(row: Continuation) -> dict[str, Any] | None:
    """Who asked last, and why."""
    if row.requested_at is None:
        return None
    return {"by": row.request_by, "reason": row.request_reason, "at": moment(row.requested_at)}


def moment(value: dt.datetime | None) -> str | None:
    """ISO 8601, in UTC if the project has time zones."""
    if value is None:
        return None
    if timezone.is_naive(value):
        return value.isoformat()
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
