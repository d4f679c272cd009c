"""Slots of RQ's concurrency limits that nobody gives back, because the worker died that would have."""

from __future__ import annotations

import uuid

from .identifiers import PREFIX, parse_token
from .limits import Limit
from .models import Continuation
from .transitions import FINISHED, Status

# In these no delivery runs, or will run before another is pushed.
_IDLE = FINISHED | {Status.PAUSED}


def free_lost_slots(limit: Limit, alias: str) -> None:
    """Free the slots that no delivery needs any more, and let those in that wait for them.

    Of deliveries of continuations only the current one of a continuation that has not ended needs its slot; recovery
    sees to that one if it is lost. RQ itself knows of the rest, and looks every ten minutes.
    """
    held = {job_id: found for job_id in limit.registry.get_allowed_job_ids() if (found := _delivery(job_id))}
    rows = Continuation.objects.using(alias).filter(pk__in={pk for pk, _ in held.values()}).exclude(status__in=_IDLE)
    current = set(rows.values_list("pk", "delivery")) if held else set()
    for job_id, delivery in held.items():
        if delivery not in current:
            limit.release(job_id)
    limit.registry.cleanup()


def _delivery(rq_job_id: str) -> tuple[uuid.UUID, int] | None:
    """The continuation and the number that an RQ job id stands for, if it does."""
    if not rq_job_id.startswith(PREFIX):
        return None
    try:
        return parse_token(rq_job_id.removeprefix(PREFIX))
    except ValueError:
        return None
