"""Deleting continuations that ended long ago: in small transactions, by an index, without loading what is deleted."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from redis.exceptions import RedisError

from .conf import database, settings
from .delivery import backend
from .models import Continuation
from .moments import as_ours
from .querysets import ContinuationQuerySet
from .transitions import FINISHED, Status

logger = logging.getLogger("continuations")

# Those that nobody needs to look at. Failed ones are deleted only when they are named.
STATES = (Status.SUCCEEDED, Status.DISCARDED, Status.CANCELLED)
# Continuations deleted in one transaction. From 200 on MariaDB guesses how many rows a list of keys finds, and guesses
# wrong enough to read the whole table (eq_range_index_dive_limit).
BATCH = 100
# Seconds between two looks of the workers for what RETENTION says is too old, and while there is more of it.
INTERVAL = 300
INTERVAL_WHILE_BUSY = 2
KEY = "continuations:retention"

Cutoffs = Mapping[Status, dt.datetime]


def cutoffs(older_than: dt.timedelta | dt.datetime, states: Iterable[str] | None = None) -> Cutoffs:
    """The moment before which continuations must have ended, for each status. Raises `ValueError` and `TypeError`."""
    chosen = [Status(state) for state in (STATES if states is None else states)]
    if unfinished := [state.value for state in chosen if state not in FINISHED]:
        raise ValueError(f"prune is for ended continuations, not for {', '.join(unfinished)}")
    if isinstance(older_than, dt.timedelta):
        older_than = timezone.now() - older_than
    if isinstance(older_than, dt.datetime):
        with contextlib.suppress(ValueError):
            return dict.fromkeys(chosen, as_ours(older_than))
    raise TypeError(f"older_than={older_than!r}: expected a timedelta or an aware datetime")


def configured_cutoffs() -> Cutoffs | None:
    """What the setting RETENTION says."""
    retention = settings().retention
    if retention is None or isinstance(retention, dt.timedelta):
        return None if retention is None else cutoffs(retention)
    now = timezone.now()
    return {Status(state): now - period for state, period in retention.items()}


def prunable(rows: ContinuationQuerySet, before: Cutoffs, status: Status | None = None) -> ContinuationQuerySet:
    """Those of `rows` (of one `status`) that can go.

    Kept are, however old: those whose end RQ has not been told of; those whose follow-up failed, unless failed ones
    go too; parents of unfinished children; children of a parent that is kept for being unfinished, too young or of
    another status, since a parent that is run again asks for them.
    """
    others = Continuation.objects.using(rows.db)
    kept_parent = others.filter(pk=OuterRef("parent_id")).exclude(_old(before))
    unfinished_child = others.active().filter(parent=OuterRef("pk"))
    chosen = before if status is None else {status: before[status]}
    rows = rows.filter(_old(chosen, with_failures=Status.FAILED in before))
    return rows.filter(~Exists(kept_parent), ~Exists(unfinished_child))


def _old(before: Cutoffs, *, with_failures: bool | None = None) -> Q:
    condition = Q(pk__in=[])
    for status, moment in before.items():
        # Nothing has ended before it was made, and when it was made is what the index knows.
        condition |= Q(status=status, created_at__lt=moment, finished_at__lt=moment)
    if not (Status.FAILED in before if with_failures is None else with_failures):
        condition &= Q(follow_up_failed_at=None)
    return condition & Q(anchor_open=False)


def prune(rows: ContinuationQuerySet, before: Cutoffs, *, batch: int = BATCH) -> Iterator[int]:
    """Delete those of `rows` that can go, oldest first, and say after each transaction how many went in it.

    What somebody else keeps locked is passed over.
    """
    rows = rows.using(database())
    for status in before:
        candidates = prunable(rows, before, status).order_by("created_at", "pk")
        # From where the last batch ended: what was passed over and what is no more is not looked at again.
        page = candidates
        while chosen := list(page.values_list("created_at", "pk")[:batch]):
            yield _delete(candidates.filter(pk__in=[pk for _, pk in chosen]))
            created_at, pk = chosen[-1]
            rest = Q(created_at__gt=created_at) | Q(created_at=created_at, pk__gt=pk)
            page = candidates.filter(rest, created_at__gte=created_at)


def _delete(candidates: ContinuationQuerySet) -> int:
    alias = candidates.db
    with transaction.atomic(using=alias):
        # Asked again under the lock: somebody may have let one of them run again.
        skip = connections[alias].features.has_select_for_update_skip_locked
        locked = candidates.order_by().select_for_update(skip_locked=skip)
        doomed = list(locked.only("pk", "queue_name", "delivery"))
        # Not the objects: Django's collector then asks for primary keys alone, and for what refers to them not even
        # that. Foreign keys of the project do what their on_delete says.
        pks = [row.pk for row in doomed]
        Continuation.objects.using(alias).filter(pk__in=pks).only("pk").delete()
        transaction.on_commit(lambda: _forget(doomed), using=alias, robust=True)
    return len(doomed)


def _forget(rows: list[Continuation]) -> None:
    try:
        backend().forget(rows)
    except (RedisError, OSError) as error:
        logger.warning("RQ keeps its jobs of %s pruned continuations until they expire (%s)", len(rows), error)


def prune_in_passing(connection: Any) -> int:
    """What the setting RETENTION asks for, one batch at most, and only now and then. How many went."""
    if settings().retention is None or not connection.set(KEY, 1, nx=True, ex=INTERVAL):
        return 0
    pruned = next(filter(None, prune(Continuation.objects.all(), configured_cutoffs() or {})), 0)
    if pruned:
        logger.info("%s continuations pruned, as RETENTION says", pruned)
        connection.expire(KEY, INTERVAL_WHILE_BUSY)
    return pruned
