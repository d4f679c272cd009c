"""`continuations list`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from .. import words
from ..models import Continuation, StepRecord
from ..querysets import ContinuationQuerySet
from . import documents
from .selection import everything, matching, short_ids
from .table import Column, lines
from .terminal import Terminal
from .times import age_of


@dataclass(frozen=True)
class Listed:
    """A continuation in a list."""

    row: Continuation
    # The one in progress.
    step: StepRecord | None
    needs_attention: bool


def run(terminal: Terminal, options: Mapping[str, Any]) -> None:
    """Show what the filters match, newest first."""
    limit = options["limit"]
    listed = read(matching(options).order_by("-created_at", "-pk"), limit + 1)
    more = len(listed) > limit
    listed = listed[:limit]
    if options["json"]:
        found = [documents.summary(each.row, each.step, needs_attention=each.needs_attention) for each in listed]
        terminal.document({"continuations": found, "more": more})
        return
    if not listed:
        terminal.note("No continuation matches.")
        return
    for line in table(listed, terminal):
        terminal.line(line)
    if more:
        terminal.note(f"There are more than {limit}: see --limit.")


def read(rows: ContinuationQuerySet, limit: int) -> list[Listed]:
    """The first of `rows`, in three queries however many there are."""
    found = list(rows[:limit])
    pks = [row.pk for row in found]
    if not pks:
        return []
    marked = set(everything().filter(pk__in=pks).needing_attention().values_list("pk", flat=True))
    running = StepRecord.objects.using(rows.db).filter(continuation__in=pks, status=StepRecord.Status.RUNNING)
    steps = {step.continuation_id: step for step in running.defer("cursor_json", "result_json", "attributes_json")}
    return [Listed(row, steps.get(row.pk), row.pk in marked) for row in found]


def table(listed: list[Listed], terminal: Terminal) -> Iterator[str]:
    """Its lines. What needs attention has a mark behind its state."""
    now = timezone.now()
    columns = [
        Column("ID"),
        Column("STATE", paint=terminal.state),
        Column("AGE", right=True),
        Column("JOB", least=8),
        Column("STEP", least=6),
        Column("NOTE", least=12),
    ]
    ids = short_ids(each.row for each in listed)
    rows = [
        [
            ids[each.row.pk],
            f"{each.row.status}{' !' if each.needs_attention else ''}",
            age_of(now - each.row.created_at),
            each.row.job_name,
            "" if each.step is None else f"{each.step.position + 1} {each.step.name}",
            words.in_short(each.row, each.step, now),
        ]
        for each in listed
    ]
    return lines(columns, rows, terminal.columns)
