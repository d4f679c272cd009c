"""Parents and children: what the end of one means for the others.

Each continuation is locked in a transaction of its own, so nobody ever waits for one while holding another. What is
lost between two of them is found by recovery.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from . import log
from .errors import BusyError, TransitionError
from .isolation import atomic
from .records import PassedStep, StepRecord
from .transitions import FINISHED, Status

if TYPE_CHECKING:
    import uuid

    from .models import Continuation
    from .querysets import ContinuationQuerySet

# Children cancelled between two looks of recovery, which goes on with the rest.
LIMIT = 1000
# Seconds for which an end waits for its parent's row. A parent that parks holds it for milliseconds; whoever holds it
# for longer keeps no worker waiting, and recovery wakes the parent.
PATIENCE = 10.0


def after_end(row: Continuation, *, patience: float = PATIENCE, seconds: float | None = None) -> None:
    """Call in the transaction in which `row` may have ended: on commit, its parent and its children learn of it.

    `patience` and `seconds`: how long that may take at most, as in `wake_parent` and `cancel_children`.
    """
    alias = row._state.db or "default"
    if row.status not in FINISHED:
        return
    if row.parent_id is not None:
        parent_id = row.parent_id
        transaction.on_commit(
            lambda: wake_parent(type(row), alias, parent_id, patience=patience), using=alias, robust=True
        )
    if row.status == Status.CANCELLED:
        transaction.on_commit(lambda: cancel_children(row, seconds=seconds), using=alias, robust=True)


def wake_parent(model: type[Continuation], alias: str, pk: uuid.UUID, *, patience: float = PATIENCE) -> bool:
    """Put a parent that waits for children back on its queue, if all of them have ended.

    False: it does not wait, or is kept locked by somebody else, and recovery looks again.
    """
    with atomic(alias):
        try:
            # By primary key alone: a condition on the status would pass by a parent that is parking just now.
            parent = model.objects.using(alias).lock(pk, patience=patience)
        except (BusyError, model.DoesNotExist):
            return False
        if parent.status != Status.WAITING or not waits_for_children(parent):
            return False
        if children_of_this_run(parent).active().exists():
            return False
        parent.redeliver()
        return True


def waits_for_children(row: Continuation) -> bool:
    """Whether the step in progress is a `wait_for_children`."""
    if not row.waiting_for:
        return False
    running = row.steps.using(row._state.db).filter(status=StepRecord.Status.RUNNING)
    return running.filter(kind=StepRecord.Kind.CHILDREN).exists()


def children_of_this_run(row: Continuation, *, before: PassedStep | StepRecord | None = None) -> ContinuationQuerySet:
    """Children, oldest first, without those of hooks, of steps that were reset since, and of steps not `before` one."""
    steps = StepRecord.objects.using(row._state.db).filter(continuation=row)
    if before is not None:
        steps = steps.filter(position__lt=before.position)
    children = type(row).objects.using(row._state.db).filter(parent=row)
    return children.filter(Q(parent_step=None) | Q(parent_step__in=steps.values("pk"))).order_by("created_at", "pk")


def cancel_children(row: Continuation, *, seconds: float | None = None) -> int:
    """Cancel the unfinished children of a cancelled continuation; how many there were that nobody had asked yet.

    `seconds`: stop after so many, and leave the rest to recovery.
    """
    children = type(row).objects.using(row._state.db).filter(parent=row).exclude(status__in=FINISHED)
    return _cancel(children, by=row.request_by, reason=f"its parent {row} was cancelled", seconds=seconds)


def cancel_strays(row: Continuation) -> int:
    """Cancel unfinished children that were enqueued in a step that was reset since."""
    alias = row._state.db
    steps = StepRecord.objects.using(alias).filter(continuation=row).values("pk")
    strays = type(row).objects.using(alias).filter(parent=row).exclude(status__in=FINISHED)
    # What hooks have enqueued follows up what has happened.
    strays = strays.exclude(parent_step=None).exclude(parent_step=row.pk).exclude(parent_step__in=steps)
    return _cancel(strays, by=row.request_by, reason=f"{row} runs again from before it")


def _cancel(children: ContinuationQuerySet, *, by: str, reason: str, seconds: float | None = None) -> int:
    found, end = 0, math.inf if seconds is None else time.monotonic() + seconds
    for child in children.exclude(status=Status.CANCELLING).order_by("created_at", "pk")[:LIMIT]:
        # One at least, however long it took to find them: every run gets on.
        if found and time.monotonic() >= end:
            break
        found += 1
        try:
            child.cancel(by=by, reason=reason)
        except (TransitionError, child.DoesNotExist):
            # It has ended meanwhile.
            continue
        except BusyError as error:
            log.warning(child, f"not cancelled with its parent yet ({error})")
    return found
