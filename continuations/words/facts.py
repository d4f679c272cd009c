"""Where it is and whether it moves; who asked for what; what went wrong."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..querysets import SILENCE
from ..records import StepRecord
from ..transitions import CLAIMABLE, FINISHED, OWNED, Status
from .amounts import left, percent, progress
from .quantities import ago, duration, lies_ahead, number, shorten, until

if TYPE_CHECKING:
    from ..models import Continuation, Execution


def is_moving(row: Continuation, step: StepRecord | None = None, now: dt.datetime | None = None) -> bool:
    """Whether an execution owns it that gave a sign of life within `querysets.SILENCE`."""
    if row.status not in OWNED:
        return False
    return step is None or (now or timezone.now()) - step.heartbeat_at <= SILENCE


def moving(row: Continuation, step: StepRecord | None = None, now: dt.datetime | None = None) -> str:
    """Whether it moves, and when it last gave a sign of life."""
    if row.status in FINISHED:
        return _("No: it has ended.")
    if row.status == Status.PAUSED:
        return _("No: it is paused.")
    if row.status == Status.WAITING:
        return _("No: it rests.")
    if row.status in CLAIMABLE:
        return _("No: it waits for a worker.")
    if step is None:
        return _("It runs, outside of steps.")
    seen = {"ago": ago(step.heartbeat_at, now)}
    if is_moving(row, step, now):
        return _("Yes: its last sign of life came %(ago)s.") % seen
    return _("It should, but its last sign of life came %(ago)s.") % seen


def where(execution: Execution) -> str:
    """Where an execution runs or ran: worker, host and process, as far as they are known."""
    found = [_("worker %(name)s") % {"name": execution.worker}] if execution.worker else []
    if execution.host:
        found.append(_("host %(name)s") % {"name": execution.host})
    if execution.pid is not None:
        found.append(_("process %(pid)s") % {"pid": execution.pid})
    return ", ".join(found)


def listening(queue_name: str, listeners: int | None) -> str:
    """How many workers listen on a queue (`presence.listeners`); empty if that is not known."""
    if listeners is None:
        return ""
    if listeners == 0:
        return _("No worker listens on queue %(queue)s.") % {"queue": queue_name}
    text = ngettext("%(n)s worker listens on queue %(queue)s.", "%(n)s workers listen on queue %(queue)s.", listeners)
    return text % {"n": number(listeners), "queue": queue_name}


def dead(proof: str) -> str:
    """What the proof that an owner is dead (`presence.death`) means."""
    return _("it is dead (%(proof)s), and recovery will put the job back on its queue") % {"proof": _(proof)}


def place(step: StepRecord) -> str:
    """The step, and its cursor if it has one."""
    if step.cursor_json is None or step.kind != StepRecord.Kind.STEP:
        return _("step %(step)s") % {"step": step.name}
    return _("step %(step)s at cursor %(cursor)s") % {"step": step.name, "cursor": shorten(step.cursor_json)}


def request(row: Continuation, now: dt.datetime | None = None) -> str:
    """Who asked for the last change, when and why; empty if nobody did."""
    if row.requested_at is None:
        return ""
    facts = {"by": row.request_by or _("somebody"), "ago": ago(row.requested_at, now), "reason": row.request_reason}
    if row.request_reason:
        return _("asked by %(by)s %(ago)s: %(reason)s") % facts
    return _("asked by %(by)s %(ago)s") % facts


def is_limited(row: Continuation) -> bool:
    """Whether `max_resumptions` or `max_crashes` stopped it."""
    return row.error_class.endswith((".ResumeLimitError", ".CrashLimitError"))


def error_line(row: Continuation | Execution) -> str:
    """Class without its module and first line of the error: `KeyError: 'sku'`."""
    name = row.error_class.rpartition(".")[2]
    first = next(iter(row.error_message.strip().splitlines()), "")
    return shorten(f"{name}: {first}" if first else name)


def in_short(row: Continuation, step: StepRecord | None = None, now: dt.datetime | None = None) -> str:
    """The fact that matters most in this status, for a cell of a table."""
    if row.status == Status.RUNNING:
        return "" if step is None else _how_far(step)
    if row.status in (Status.FAILED, Status.DISCARDED) or (row.status == Status.PAUSED and is_limited(row)):
        return error_line(row)
    if row.status == Status.SUCCEEDED:
        return _how_it_went(row)
    if lies_ahead(row.run_after, now) and row.run_after is not None:
        wait = until(row.run_after, now)
        return f"{row.waiting_for}, {wait}" if row.waiting_for else wait
    if row.status in CLAIMABLE:
        return row.waiting_for or _("queue %(queue)s") % {"queue": row.queue_name}
    facts = {"by": row.request_by or _("somebody"), "reason": row.request_reason}
    return (_("by %(by)s: %(reason)s") if row.request_reason else _("by %(by)s")) % facts


def _how_far(step: StepRecord) -> str:
    share = percent(step)
    return ", ".join(filter(None, [progress(step) if share is None else f"{share} %", left(step)]))


def _how_it_went(row: Continuation) -> str:
    if row.follow_up_failed_at is not None:
        return _("on_success failed")
    if row.started_at is None or row.finished_at is None:
        return ""
    return _("took %(time)s") % {"time": duration(row.finished_at - row.started_at)}
