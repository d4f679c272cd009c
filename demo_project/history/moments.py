"""Moving what has just happened into the past."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.utils import timezone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from continuations.models import Continuation

# What has happened to a continuation and to what belongs to it. Moments that lie ahead stay where they are.
HAPPENED = {
    "continuation": ("created_at", "enqueued_at", "started_at", "finished_at", "requested_at", "follow_up_failed_at"),
    "steprecord": ("started_at", "heartbeat_at", "finished_at"),
    "execution": ("started_at", "finished_at"),
    "event": ("sent_at",),
}


def move(row: Continuation, *, ago: dt.timedelta, lasted: dt.timedelta) -> None:
    """Let all of it have begun so long `ago`, and have `lasted` so long. The proportions are kept."""
    belongings: list[Any] = [row, *row.steps.all(), *row.execution_records.all(), *row.events.all()]
    first = min(moment for each in belongings for _, moment in _moments(each))
    last = max(moment for each in belongings for _, moment in _moments(each))
    factor = lasted / max(last - first, dt.timedelta(microseconds=1))
    begin = timezone.now() - ago
    for each in belongings:
        changes: dict[str, Any] = {name: begin + (moment - first) * factor for name, moment in _moments(each)}
        if hasattr(each, "busy_seconds"):
            changes["busy_seconds"] = each.busy_seconds * factor
        type(each)._default_manager.filter(pk=each.pk).update(**changes)
    row.refresh_from_db()


def _moments(each: Any) -> Iterator[tuple[str, dt.datetime]]:
    for name in HAPPENED[each._meta.model_name]:
        if (moment := getattr(each, name)) is not None:
            yield name, moment
