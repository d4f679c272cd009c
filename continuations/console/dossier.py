"""What `continuations show` knows of one continuation: so many queries, however long its history is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Count, Model, QuerySet

from .. import masking, presence
from ..conf import database
from ..models import Continuation, Event, Execution, StepRecord
from ..transitions import CLAIMABLE, OWNED
from .selection import everything

T = TypeVar("T", bound=Model)


@dataclass(frozen=True)
class Part(Generic[T]):
    """The latest rows of a kind."""

    rows: list[T]
    # There are older ones.
    more: bool = False


@dataclass(frozen=True)
class Dossier:
    """A continuation and what belongs to it."""

    row: Continuation
    needs_attention: bool
    # First to last.
    steps: Part[StepRecord]
    # Newest first.
    executions: Part[Execution]
    # What lay before each execution's start, by its number, as far as it is known.
    waits: dict[int, dt.timedelta]
    events: Part[Event]
    children: Part[Continuation]
    children_by_status: dict[str, int]
    parent: Continuation | None
    # The execution that runs it, and what proves that it is dead.
    owner: Execution | None
    death: str | None
    # Workers registered on its queue; None: not known, or of no interest.
    listeners: int | None

    @property
    def step(self) -> StepRecord | None:
        """The step in progress."""
        last = self.steps.rows[-1] if self.steps.rows else None
        return last if last is not None and last.status == StepRecord.Status.RUNNING else None


def read(pk: Any, limit: int) -> Dossier:
    """Everything of one continuation, at most `limit` rows of each kind."""
    alias = database()
    row = Continuation.objects.using(alias).get(pk=pk)
    steps = _part(StepRecord.objects.using(alias).filter(continuation=pk).order_by("-position"), limit)
    executions = Execution.objects.using(alias).filter(continuation=pk).order_by("-number")
    runs = list(executions[: limit + 1])
    children = everything().filter(parent=pk)
    shown = _part(children.order_by("-created_at", "-pk"), limit)
    owner = None
    if row.status in OWNED and row.owner is not None:
        owner = next((each for each in runs if each.pk == row.owner), None) or executions.filter(pk=row.owner).first()
    sent = _part(Event.objects.using(alias).filter(continuation=pk).order_by("-sent_at", "-pk"), limit)
    masking.conceal(row, *steps.rows, *runs, *sent.rows)
    return Dossier(
        row=row,
        needs_attention=everything().filter(pk=pk).needing_attention().exists(),
        steps=Part(steps.rows[::-1], steps.more),
        executions=Part(runs[:limit], len(runs) > limit),
        waits=_waits(row, runs),
        events=sent,
        children=shown,
        children_by_status=_count(children) if shown.rows else {},
        parent=None if row.parent_id is None else everything().filter(pk=row.parent_id).first(),
        owner=owner,
        death=None if owner is None else presence.death(row, owner),
        listeners=presence.listeners(row.queue_name) if row.status in CLAIMABLE else None,
    )


def _part(rows: QuerySet[T], limit: int) -> Part[T]:
    found = list(rows[: limit + 1])
    return Part(found[:limit], len(found) > limit)


def _count(children: QuerySet[Continuation]) -> dict[str, int]:
    counted = children.order_by().values_list("status").annotate(n=Count("pk"))
    return dict(sorted(counted.values_list("status", "n")))


def _waits(row: Continuation, newest_first: list[Execution]) -> dict[int, dt.timedelta]:
    waits: dict[int, dt.timedelta] = {}
    ends = {execution.number: execution.finished_at for execution in newest_first}
    for execution in newest_first:
        since = row.created_at if execution.number == 1 else ends.get(execution.number - 1)
        if since is not None:
            waits[execution.number] = max(dt.timedelta(), execution.started_at - since)
    return waits
