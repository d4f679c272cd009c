"""What is safe now: which verbs a status allows, and what would come of each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from ..models import FORCE_AFTER
from ..records import StepRecord
from ..transitions import OWNED, VERBS, Status, allows
from .facts import place

if TYPE_CHECKING:
    from ..models import Continuation


@dataclass(frozen=True)
class Choice:
    """A verb that the status allows: the name of the method of `Continuation`, and what would come of it."""

    verb: str
    consequence: str
    # What most people would do now; at most one is.
    recommended: bool = False
    # Only with `force=True`.
    force: bool = False


def safe_now(row: Continuation, step: StepRecord | None = None, now: dt.datetime | None = None) -> list[Choice]:
    """The verbs that its status allows, the recommended one first."""
    choices = [
        Choice(verb, consequence, recommended=_is_recommended(verb, row, step))
        for verb in VERBS
        if allows(verb, row.status) and (consequence := _consequence(verb, row, step))
    ]
    if can_force(row, now):
        verb = "pause" if row.status == Status.PAUSING else "cancel"
        what = _("Takes it away from its execution; what that did since its last checkpoint may be repeated.")
        choices = [each for each in choices if each.verb != verb]
        choices.append(Choice(verb, what, recommended=True, force=True))
    return sorted(choices, key=lambda choice: not choice.recommended)


def can_force(row: Continuation, now: dt.datetime | None = None) -> bool:
    """Whether it did not heed a request for so long that `force=True` takes it away from its execution."""
    if row.status not in (Status.PAUSING, Status.CANCELLING):
        return False
    waited = (now or timezone.now()) - (row.requested_at or row.created_at)
    return waited >= dt.timedelta(seconds=FORCE_AFTER)


def consequences(verb: str, *, force: bool = False) -> str:
    """What `pause`, `resume`, `cancel`, `retry`, `rerun_from` or `follow_up` keeps, repeats and loses, said of many."""
    what = {
        "pause": _("Each stops at its next checkpoint, or at once if nothing runs. Nothing is repeated or lost."),
        "resume": _("Each goes on where it stood. Nothing is repeated or lost."),
        "cancel": _("Each ends, with its unfinished children. What they did stays done."),
        "retry": _("Each goes on where it failed. What it did there since its last checkpoint is repeated."),
        "rerun_from": _(
            "Each forgets what the step and all after it returned, the events they waited for and the children they "
            "enqueued, and runs them again. What they did is not undone, so it is repeated."
        ),
        "follow_up": _("Each runs its on_success again, here and now."),
    }[verb]
    if not force:
        return what
    forced = _("What was asked before and did not stop is taken away from its execution; work since may be repeated.")
    return f"{what} {forced}"


def done(verb: str, row: Continuation) -> str:
    """What became of a row on which a verb was just used."""
    facts = {"status": row.get_status_display(), "queue": row.queue_name}
    if verb == "follow_up":
        return _("followed up")
    if row.status in (Status.PAUSING, Status.CANCELLING):
        return _("%(status)s: it stops at its next checkpoint") % facts
    if row.status == Status.RUNNING:
        return _("%(status)s: the request to pause was taken back") % facts
    if row.status == Status.ENQUEUED:
        return _("%(status)s on queue %(queue)s") % facts
    return facts["status"]


def _is_recommended(verb: str, row: Continuation, step: StepRecord | None) -> bool:
    if verb == "send":
        return _waits_for_event(row, step)
    return verb in {"retry", "follow_up"} or (verb == "resume" and row.status == Status.PAUSED)


def _consequence(verb: str, row: Continuation, step: StepRecord | None) -> str:
    """What the verb would do to this row. Empty if it could do nothing."""
    owned = row.status in OWNED
    if verb == "pause":
        return _("Stops it at its next checkpoint.") if owned else _("Keeps it from going on until it is resumed.")
    if verb == "resume":
        return _("Takes the request to pause back.") if owned else _goes_on(step)
    if verb == "cancel":
        if owned:
            return _("Ends it at its next checkpoint, and its children with it. What they did stays done.")
        return _("Ends it at once, and its children with it. What they did stays done.")
    if verb == "retry":
        return _goes_on(step)
    if verb == "rerun_from":
        return _("Forgets a step and all after it, and runs them again.") if row.executions else ""
    if verb == "set_cursor":
        return _move_on(step)
    if verb == "send":
        return _event(row, step)
    return "" if row.follow_up_failed_at is None else _("Runs its on_success again, here and now.")


def _goes_on(step: StepRecord | None) -> str:
    if step is None:
        return _("Goes on after the steps that are completed.")
    return _("Goes on in %(place)s.") % {"place": place(step)}


def _move_on(step: StepRecord | None) -> str:
    if step is None or step.kind != StepRecord.Kind.STEP:
        return ""
    return _("Moves the cursor of step %(step)s, for example past what cannot be done.") % {"step": step.name}


def _event(row: Continuation, step: StepRecord | None) -> str:
    if _waits_for_event(row, step):
        return _("Gives it event %(name)s, for which it waits.") % {"name": row.waiting_for}
    return _("Gives it an event, which is kept until it asks for it.")


def _waits_for_event(row: Continuation, step: StepRecord | None) -> bool:
    is_event = step is None or step.kind == StepRecord.Kind.EVENT
    return row.status == Status.WAITING and bool(row.waiting_for) and is_event
