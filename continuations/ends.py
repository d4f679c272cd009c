"""The end of an execution: what is written to the row, what RQ is told, and who else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from . import signals
from .errors import fields_of, traceback_of
from .onward import onward
from .transitions import FINISHED, Status

if TYPE_CHECKING:
    from .claim import Refusal
    from .job import ContinuableJob
    from .models import Continuation, Execution
    from .outcome import Decision
    from .step import Step
    from .workplace import Workplace

ENDS = {
    Status.SUCCEEDED: signals.succeeded,
    Status.FAILED: signals.failed,
    Status.DISCARDED: signals.discarded,
    Status.CANCELLED: signals.cancelled,
}


@dataclass(frozen=True)
class Outcome:
    """What the runner tells RQ."""

    continuation: Continuation | None
    # None: this delivery did not run, or lost the continuation while it did.
    status: Status | None = None
    refusal: Refusal | None = None
    error: BaseException | None = None
    # Seconds to wait where it is, then go on with the same delivery.
    wait: float = 0.0
    # The next delivery has been pushed under a number of its own; this one rests or ends.
    moved_on: bool = False
    at_front: bool = False
    # KeyboardInterrupt or SystemExit that ended the job: a caller wants it to go on its way.
    stop: BaseException | None = None


def changes_of(
    job_class: type[ContinuableJob] | None,
    row: Continuation,
    decision: Decision,
    result_json: str | None,
    place: Workplace,
) -> tuple[Outcome, dict[str, Any]]:
    """What RQ is told once it is written, and what is written to the row."""
    now = timezone.now()
    changes: dict[str, Any] = {
        **decision.changes,
        "status": decision.status.value,
        "reason": decision.reason,
        "owner": None,
    }
    if decision.status in FINISHED:
        changes |= {"finished_at": now, "active_key": None}
    if decision.status == Status.SUCCEEDED:
        changes["result_json"] = result_json
    changes |= fields_of(decision.error) | {
        "error_traceback": "" if decision.error is None else traceback_of(decision.error)
    }
    goes_on = onward(job_class, row, decision, place, now)
    changes |= goes_on.changes
    if decision.status in FINISHED and row.delivery == 0:
        changes |= {"anchor_open": False}
        if decision.status != Status.CANCELLED:
            changes["check_after"] = None
    outcome = Outcome(
        row,
        decision.status,
        error=decision.error,
        wait=goes_on.wait,
        moved_on=goes_on.moved_on,
        at_front=goes_on.at_front,
    )
    return outcome, changes


def tell(row: Continuation, execution: Execution, decision: Decision, step: Step | None) -> None:
    """Tell listeners, the log among them, how it ended. `step`: the one in progress."""
    facts: dict[str, Any] = {"execution": execution}
    if decision.status not in (Status.SUCCEEDED, Status.CANCELLED):
        facts |= {"step": None, "cursor": None} if step is None else {"step": step.name, "cursor": step.cursor}
    if decision.status in ENDS:
        if decision.error is not None:
            facts["error"] = decision.error
        signals.emit(ENDS[decision.status], row, **facts)
        return
    signals.emit(signals.interrupted, row, **facts, reason=decision.reason, error=decision.error, wait=decision.wait)
    if decision.status == Status.PAUSED:
        signals.emit(signals.paused, row)


def fill(row: Continuation | Execution, changes: dict[str, Any]) -> None:
    """Put onto a row in memory what has been, or will be, written."""
    for name, value in changes.items():
        setattr(row, name, value)
