"""How an execution comes to own a continuation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.utils import timezone

from . import shortcuts, upkeep
from .columns import made
from .conf import database, require_autocommit
from .family import after_end
from .identifiers import uuid7
from .isolation import atomic
from .liveness import boot_id, host
from .models import Continuation, Execution, StepRecord
from .outages import TROUBLE, is_away, reconnect
from .sessions import session_of
from .signals import cancelled, emit_on_commit, paused
from .takeover import Inheritance, last_step, take_steps
from .transitions import FINISHED, OWNED, Status

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from .workplace import Workplace

# Reads that lose a race against another change of the row, before giving up for this delivery.
ATTEMPTS = 5
# A delivery may come this many seconds early: schedulers count in whole seconds.
EARLY = 1.0


class Refusal(Enum):
    """Why a delivery does not run."""

    GONE = "the continuation was deleted"
    ENDED = "the continuation has ended"
    STALE = "another delivery is the current one, or the continuation is paused"
    OWNED = "another execution is alive"
    EARLY = "the continuation rests until later"
    SUPERSEDED = "another execution took over while this one ran"


@dataclass
class Claim:
    """A continuation that now belongs to `execution`, or the refusal with what was read."""

    continuation: Continuation | None
    execution: Execution | None = None
    refusal: Refusal | None = None
    # It waited until a time, which has come.
    rest_is_over: bool = False
    # What earlier executions came to, if any did: see `last_step`.
    last: StepRecord | None = None


def claim(pk: uuid.UUID, delivery: int, place: Workplace) -> Claim:
    """Make the continuation this execution's own, in a commit of its own, or say why not.

    Starts are counted here, so that one that dies at once is counted too. A row that is owned is taken over only when
    there is proof that its owner is dead.
    """
    alias = database()
    require_autocommit(alias)
    # One id for all tries: a claim whose answer was lost is recognised by it.
    execution_id = uuid7()
    if not place.comes_again and shortcuts.are_there(alias):
        execution = _execution(execution_id, pk, 1, place, alias)
        if (row := _claim_first(execution, delivery, alias)) is not None:
            return Claim(row, execution)
    return _claim(pk, delivery, place, execution_id, alias)


def _claim_first(execution: Execution, delivery: int, alias: str) -> Continuation | None:
    try:
        row = shortcuts.claim_first(execution, delivery, alias)
    except TROUBLE:
        if is_away(connections[alias]) and not reconnect(alias):
            raise
        return None
    if row is not None:
        execution.continuation = row
    return row


def _claim(pk: uuid.UUID, delivery: int, place: Workplace, execution_id: uuid.UUID, alias: str) -> Claim:
    row: Continuation | None = None
    for _ in range(ATTEMPTS):
        row = Continuation.objects.using(alias).filter(pk=pk).first()
        if row is None:
            return Claim(None, refusal=Refusal.GONE)
        if row.owner == execution_id:
            return Claim(row, Execution.objects.using(alias).get(pk=execution_id), last=last_step(row))
        if (refusal := _refuse(row, delivery, place)) is not None:
            return Claim(row, refusal=refusal)
        rest_is_over = row.status == Status.WAITING and row.reason == "waiting" and row.run_after is not None
        owner = None
        if row.status in OWNED:
            owner = Execution.objects.using(alias).filter(id=row.owner).first() if row.owner else None
            if owner is not None and not place.is_dead(owner):
                return Claim(row, refusal=Refusal.OWNED)
        execution = _execution(execution_id, pk, row.executions + 1, place, alias)
        try:
            taken = _take(row, owner, execution)
        except TROUBLE:
            # A deadlock or a serialization failure is another try, and so is a new connection.
            if is_away(connections[alias]) and not reconnect(alias):
                raise
            continue
        if taken is not None:
            taken.rest_is_over = rest_is_over
            return taken
    return Claim(row, refusal=Refusal.OWNED)


def _refuse(row: Continuation, delivery: int, place: Workplace) -> Refusal | None:
    if row.status in FINISHED:
        return Refusal.ENDED
    if row.delivery != delivery or row.status == Status.PAUSED:
        return Refusal.STALE
    early = row.status == Status.WAITING and row.run_after is not None and _seconds_until(row.run_after) > EARLY
    return Refusal.EARLY if early and not place.runs_early else None


def _seconds_until(moment: dt.datetime) -> float:
    return (moment - timezone.now()).total_seconds()


def _execution(pk: uuid.UUID, continuation: uuid.UUID, number: int, place: Workplace, alias: str) -> Execution:
    return made(
        Execution,
        id=pk,
        continuation_id=continuation,
        number=number,
        worker=place.worker[:255],
        host=host(),
        pid=os.getpid(),
        boot=boot_id(),
        rq_job_id=place.rq_job_id,
        rq_execution_id=place.rq_execution_id,
        lease=place.lease,
        database_session=session_of(connections[alias]),
        started_at=timezone.now(),
    )


def _take(row: Continuation, owner: Execution | None, execution: Execution) -> Claim | None:
    """One transaction: the row, the step in progress, the execution. None: the row changed since it was read."""
    alias, now = row._state.db or "default", execution.started_at
    execution.continuation = row
    with atomic(alias):
        changes = _changes(row, execution, now)
        if not Continuation.objects.using(alias).unchanged(row, "delivery", "executions").update(**changes):
            return None
        for name, value in changes.items():
            setattr(row, name, value)
        left = take_steps(row, owner, row.owner) if row.executions > 1 or owner is not None else None
        if left is not None:
            left.bury()
        if row.status != Status.RUNNING:
            # A request met a dead owner: it is fulfilled, and nobody runs.
            after_end(row)
            if row.status == Status.PAUSED:
                emit_on_commit(paused, row)
            else:
                emit_on_commit(cancelled, row, execution=None)
            return None
        if left is not None:
            _follow(row, left, execution)
        execution.save(using=alias, force_insert=True)
    return Claim(row, execution, last=None if left is None else left.last)


def _changes(row: Continuation, execution: Execution, now: dt.datetime) -> dict[str, Any]:
    if row.status == Status.PAUSING:
        return {"status": Status.PAUSED, "owner": None, "reason": "paused"}
    if row.status == Status.CANCELLING:
        ended = {"finished_at": now, "active_key": None, "check_after": upkeep.after_push()}
        return {"status": Status.CANCELLED, "owner": None, "reason": "cancelled", **ended}
    return {
        "status": Status.RUNNING,
        "owner": execution.pk,
        "executions": row.executions + 1,
        "started_at": row.started_at or now,
        "run_after": None,
        "check_after": None,
        "waiting_for": "",
    }


def _follow(row: Continuation, left: Inheritance, execution: Execution) -> None:
    """Count what the executions before this one have left."""
    execution.completed_before = left.completed
    execution.cursor_before_json = left.cursor_json
    changes = left.crash_counts()
    if left.has_progress:
        changes["resumptions"] = row.resumptions + 1
    for name, value in changes.items():
        setattr(row, name, value)
    if changes:
        Continuation.objects.using(row._state.db).filter(pk=row.pk).update(**changes)
