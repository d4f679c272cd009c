"""Whether a page would look different now, found out in one query."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Exists, Max, OuterRef, QuerySet, Subquery, Sum
from django.utils import timezone
from django.utils.translation import get_language

from ..querysets import SILENCE
from ..records import Event, Execution, StepRecord
from ..transitions import OWNED
from .family import Family
from .verdict import QUIET

if TYPE_CHECKING:
    from ..querysets import ContinuationQuerySet

# Columns that the page shows and that change without a step being written.
COLUMNS = (
    "status",
    "owner",
    "delivery",
    "queue_name",
    "executions",
    "reason",
    "run_after",
    "waiting_for",
    "requested_at",
    "finished_at",
    "follow_up_failed_at",
)
COUNTS = ("moves", "steps_met", "executions_ended", "events_sent")


def watched(rows: ContinuationQuerySet) -> Any:
    """`rows` with what tells whether their pages would look different, and no more."""
    steps = StepRecord.objects.using(rows.db)
    return rows.only("created_at", *COLUMNS).annotate(
        # Every write of a step raises its sequence number.
        moves=_of_all(steps, Sum("sequence")),
        steps_met=_of_all(steps, Count("pk")),
        executions_ended=_of_all(Execution.objects.using(rows.db).exclude(finished_at=None), Count("pk")),
        events_sent=_of_all(Event.objects.using(rows.db), Count("pk")),
        last_beat=_of_all(steps.filter(status=StepRecord.Status.RUNNING), Max("heartbeat_at")),
        has_children=Exists(rows.model.objects.using(rows.db).filter(parent=OuterRef("pk"))),
    )


def etag(row: Any, who: Any) -> str:
    """Of the page of `row`, which came from `watched`, for somebody of whom `who` tells what they see."""
    now = timezone.now()
    facts = [
        *(getattr(row, name) for name in (*COLUMNS, *COUNTS)),
        *(
            row.status in OWNED and row.last_beat is not None and row.last_beat < now - long
            for long in (QUIET, SILENCE)
        ),
        row.force_after is not None and row.force_after <= now,
        Family(row).facts if row.has_children else [],
        who,
        get_language(),
    ]
    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


def _of_all(rows: QuerySet[Any], total: Any) -> Subquery:
    """An aggregate over what belongs to the continuation."""
    grouped = rows.filter(continuation=OuterRef("pk")).order_by().values("continuation")
    return Subquery(grouped.annotate(total=total).values("total"))
