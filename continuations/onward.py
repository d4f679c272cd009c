"""How a continuation goes on after an execution: at once, after a wait, on another queue, once it is told, or not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import upkeep
from .limits import OPTION
from .outcome import FRONT_REASONS, Decision
from .transitions import FINISHED, Status

if TYPE_CHECKING:
    from .job import ContinuableJob
    from .models import Continuation
    from .workplace import Workplace


@dataclass
class Onward:
    """What that means for the row, and for the delivery that is under way."""

    changes: dict[str, Any] = field(default_factory=dict)
    # Seconds to wait where it is, then go on with the same delivery.
    wait: float = 0.0
    at_front: bool = False
    # The next delivery has a number of its own; this one rests or ends.
    moved_on: bool = False


def onward(
    job_class: type[ContinuableJob] | None, row: Continuation, decision: Decision, place: Workplace, now: dt.datetime
) -> Onward:
    """Find out how `row`, which is locked, goes on after `decision`."""
    wait, rest = decision.wait, decision.rest
    if decision.status not in (Status.INTERRUPTED, Status.WAITING):
        return Onward({"check_after": upkeep.after_push() if decision.status in FINISHED else None})
    assert job_class is not None
    queue_name = job_class.resume_queue_name or row.queue_name
    run_after = now + dt.timedelta(seconds=wait) if wait else None
    changes: dict[str, Any] = {
        "run_after": run_after,
        "check_after": upkeep.after_push(run_after),
        "enqueued_at": now,
    }
    if rest is not None and not rest.in_place:
        changes |= {"waiting_for": rest.name, "check_after": rest.check_after(run_after)}
    elif queue_name == row.queue_name and _stays(row, decision, place):
        return Onward(changes, wait=wait, at_front=decision.reason in FRONT_REASONS)
    changes |= {"delivery": row.delivery + 1, "queue_name": queue_name}
    return Onward(changes, moved_on=True)


def _stays(row: Continuation, decision: Decision, place: Workplace) -> bool:
    """Whether it goes on with the same delivery."""
    if decision.wait:
        sleeps = decision.rest is None or place.sleeps
        return sleeps and place.waits_in_place(decision.wait, row.queue_name)
    # What RQ puts back on its queue keeps the slot of its limit; to make room it must come as another delivery.
    is_limited = bool(place.rq_job_id) and OPTION in row.rq_options_json
    return not is_limited or decision.reason in FRONT_REASONS
