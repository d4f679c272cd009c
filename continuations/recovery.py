"""Finding what was lost, and putting it back: deliveries Redis forgot, owners that died, rests that are over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, OperationalError, connections, transaction
from django.utils import timezone
from django_rq.settings import get_queues_map
from redis.exceptions import LockError, RedisError
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.utils import as_text

from . import signals, upkeep
from .conf import database
from .delivery import backend, queue_named
from .family import after_end, cancel_children, children_of_this_run, waits_for_children, wake_parent
from .identifiers import rq_job_id
from .limits import Limit
from .liveness import LEASE, any_alive, proof_of_death, remembers_since, worker_will_tell
from .models import Continuation, Execution, StepRecord
from .sessions import end_session
from .signals import emit
from .slots import free_lost_slots
from .takeover import steps_are_free, take_steps
from .transitions import CLAIMABLE, FINISHED, OWNED, Status

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from rq import Queue

logger = logging.getLogger("continuations")

# Deliveries looked for in one run; what is left is the oldest of the next.
LIMIT = 200
LOCK_KEY = "continuations:recovery"
# Seconds after which the lock of a recovery that died is free; one that lives renews it between two continuations.
LOCK_TIMEOUT = 5.0
# Seconds between two runs that pass by, at an enqueue or the start of an execution.
PASSING_INTERVAL = 10
PASSING_KEY = "continuations:recovery:passed"
# Seconds for which a dead owner may keep a row locked before its database session is ended.
SESSION_GRACE = 30.0


@dataclass(frozen=True)
class Recovered:
    """What was done with one continuation, and why."""

    continuation: Continuation
    action: str
    why: str

    def __str__(self) -> str:
        return f"{self.continuation}: {self.action}, because {self.why}"


def recover(*, limit: int = LIMIT, dry_run: bool = False) -> list[Recovered]:
    """Look at what is due to be looked at, and put back what was lost. One at a time: a second run returns at once.

    First at every continuation that an execution owns, then at `limit` others, those due the longest. Never waits for
    a row that somebody else holds. If Redis does not answer, nothing is known and nothing is done.
    """
    queues = get_queues_map()
    if not queues:
        return []
    try:
        lock = queue_named(sorted(queues)[0]).connection.lock(LOCK_KEY, timeout=LOCK_TIMEOUT, blocking=False)
        with lock:
            return _recover(limit=limit, dry_run=dry_run, keep=lock.reacquire)
    except LockError:
        return []
    except (RedisError, OSError) as error:
        logger.warning("recovery: Redis does not answer (%s); nothing is known", error)
        return []


def recover_in_passing(connection: Any) -> None:
    """A run now and then, from whoever comes by, so that nothing has to be configured. Never raises."""
    try:
        if connection.set(PASSING_KEY, 1, nx=True, ex=PASSING_INTERVAL):
            recover()
    except (RedisError, OSError, DatabaseError) as error:
        logger.warning("recovery in passing: %s", error)


def _recover(*, limit: int, dry_run: bool, keep: Callable[[], object]) -> list[Recovered]:
    alias = database()
    now = timezone.now()
    rows, owners = _due(alias, now, limit)
    recovered: list[Recovered] = []
    waiting: list[Any] = []
    taken: list[Any] = []
    settled: list[Any] = []
    limits: dict[tuple[str, int], Limit] = {}
    remembered: dict[int, float] = {}
    for row in rows:
        if row.queue_name not in get_queues_map():
            logger.warning("%s waits on queue %r, which is not in RQ_QUEUES", row, row.queue_name)
            continue
        keep()
        patient = _Patient(row, queue_named(row.queue_name), owners, remembered)
        found = patient.treat(dry_run=dry_run)
        if found is not None:
            logger.info("%s%s", "would have: " if dry_run else "", found)
            recovered.append(found)
            if not dry_run:
                emit(signals.recovered, found.continuation, action=found.action, why=found.why)
        elif row.status not in OWNED:
            if (line := patient.in_line) is not None:
                limits[line.key, id(line.connection)] = line
            (taken if patient.is_taken else settled if patient.is_settled else waiting).append(row.pk)
    for pks, again in ((waiting, upkeep.again()), (taken, upkeep.soon()), (settled, None)):
        if pks and not dry_run:
            _look_again(alias, pks, now, again)
    for line in () if dry_run else limits.values():
        keep()
        free_lost_slots(line, alias)
    return recovered


def _look_again(alias: str, pks: list[Any], now: dt.datetime, again: dt.datetime | None) -> None:
    """When to look next at those that were found where they belong. What somebody keeps locked stays due."""
    rows = Continuation.objects.using(alias)
    with transaction.atomic(using=alias):
        free = list(rows.filter(pk__in=pks).free().values_list("pk", flat=True))
        rows.filter(pk__in=free, check_after__lte=now).update(check_after=again)


def _due(alias: str, now: dt.datetime, limit: int) -> tuple[list[Continuation], dict[uuid.UUID, Execution]]:
    """What to look at: what executions own, with those executions, and then what waits.

    Two queries: however many deliveries are due, every owner is looked at, and the other way round.
    """
    rows = Continuation.objects.using(alias).defer("result_json", "error_traceback", "arguments_json")
    owned = list(rows.filter(status__in=OWNED))
    waiting = rows.exclude(status__in=OWNED).filter(check_after__lte=now).order_by("check_after")[:limit]
    owners = Execution.objects.using(alias).in_bulk([row.owner for row in owned if row.owner]) if owned else {}
    return [*owned, *waiting], owners


class _Patient:
    """One continuation, and what Redis knows of it."""

    def __init__(
        self, row: Continuation, queue: Queue, owners: dict[uuid.UUID, Execution], remembered: dict[int, float]
    ) -> None:
        self._row = row
        self._queue = queue
        self._owners = owners
        self._connection = queue.connection
        self._remembered = remembered
        self._alias = row._state.db or "default"
        # A worker has taken its delivery and not claimed it yet: a matter of milliseconds, if it lives.
        self.is_taken = False
        # Nothing will have to be done with it any more.
        self.is_settled = False
        # Its delivery waits for a slot of this limit.
        self.in_line: Limit | None = None

    def treat(self, *, dry_run: bool) -> Recovered | None:
        """Do what is to be done; None if nothing is."""
        row = self._row
        if row.status in OWNED:
            return self._treat_owned(dry_run=dry_run)
        if row.is_told_only:
            return self._treat_waiting(dry_run=dry_run)
        if row.status in CLAIMABLE:
            why = self._why_undelivered()
            return None if why is None else self._redeliver(why, dry_run=dry_run)
        if row.status == Status.CANCELLED and not dry_run and cancel_children(row):
            return Recovered(row, "its children cancelled", "it was cancelled")
        if row.status in FINISHED and row.anchor_open:
            return self._report(dry_run=dry_run)
        self.is_settled = True
        return None

    def _treat_waiting(self, *, dry_run: bool) -> Recovered | None:
        """The child that ended last may have died before it could say so."""
        row = self._row
        if not waits_for_children(row) or children_of_this_run(row).active().exists():
            return None
        if dry_run or wake_parent(Continuation, self._alias, row.pk, patience=0):
            return Recovered(row, "woken", "all its children have ended")
        return None

    def _treat_owned(self, *, dry_run: bool) -> Recovered | None:
        owner = self._owners.get(self._row.owner) if self._row.owner else None
        if owner is None:
            return None
        why = proof_of_death(owner, self._connection, self._remembers())
        if why is not None and worker_will_tell(owner, self._connection):
            return None
        return None if why is None else self._take_over(owner, why, dry_run=dry_run)

    def _remembers(self) -> float:
        key = id(self._connection)
        if key not in self._remembered:
            self._remembered[key] = remembers_since(self._connection)
        return self._remembered[key]

    def _why_undelivered(self) -> str | None:
        row, queue = self._row, self._queue
        job_id = rq_job_id(row.pk, row.delivery)
        limit = Limit.of(row, self._connection)
        # One moment: a job that is let in leaves the line for the queue.
        with self._connection.pipeline() as pipeline:
            pipeline.hget(Job.key_for(job_id), "status")
            pipeline.lpos(queue.key, job_id)
            pipeline.zscore(queue.scheduled_job_registry.key, job_id)
            pipeline.zrange(ExecutionRegistry.key_template.format(job_id), 0, -1)
            if limit is not None:
                pipeline.zscore(limit.registry.rate_limited_key, job_id)
            status, position, scheduled, executions, *in_line = pipeline.execute()
        if position is not None:
            return None
        if limit is not None and in_line[0] is not None:
            self.in_line = limit
            return None
        if status is None:
            return "its RQ job is gone"
        if as_text(status) == JobStatus.DEFERRED:
            return None
        if any_alive(job_id, map(as_text, executions), self._connection, self._remembers()):
            self.is_taken = True
            return None
        if scheduled is not None:
            return self._why_overdue(float(scheduled))
        return "its RQ job is in no queue"

    def _why_overdue(self, scheduled: float) -> str | None:
        due = self._row.run_after
        if due is not None and due > timezone.now():
            return None
        if due is None and scheduled > timezone.now().timestamp():
            return "its RQ job lies at rest"
        return "it is due, and no scheduler came"

    def _redeliver(self, why: str, *, dry_run: bool) -> Recovered | None:
        found = Recovered(self._row, "delivered again", why)
        if dry_run:
            return found
        with transaction.atomic(using=self._alias):
            row = self._lock()
            if row is None:
                return None
            self._push(row, None, status=Status.ENQUEUED, run_after=None)
        return found

    def _take_over(self, owner: Execution, why: str, *, dry_run: bool) -> Recovered | None:
        if dry_run:
            return Recovered(self._row, "taken over", why)
        try:
            with transaction.atomic(using=self._alias):
                row = self._lock()
                if row is None:
                    return None
                if not steps_are_free(row):
                    return self._end_session(owner, why)
                left = take_steps(row, owner, None)
                left.bury()
                counts = left.crash_counts()
                if self._was_stopped(owner):
                    # Of the anchor's end RQ knows.
                    open_ = row.anchor_open and row.delivery != 0
                    self._settle(row, {"status": Status.CANCELLED, "reason": "cancelled", "anchor_open": open_})
                    signals.emit_on_commit(signals.cancelled, row, execution=None)
                    return Recovered(row, "cancelled", "RQ was told to stop its job")
                if row.status == Status.RUNNING:
                    self._push(row, owner, status=Status.INTERRUPTED, **counts)
                    return Recovered(row, "taken over", why)
                paused = row.status == Status.PAUSING
                if paused:
                    signals.emit_on_commit(signals.paused, row)
                else:
                    signals.emit_on_commit(signals.cancelled, row, execution=None)
                self._settle(row, counts | {"status": Status.PAUSED if paused else Status.CANCELLED})
                return Recovered(row, "paused" if paused else "cancelled", f"that was asked, and {why}")
        except OperationalError as error:
            # Somebody holds the row or deadlocked with us: next time.
            logger.warning("%s: not taken over (%s)", self._row, error)
            return None

    def _was_stopped(self, owner: Execution) -> bool:
        """RQ's stop command ended its process: for RQ the job has ended, and no retry follows."""
        status = self._connection.hget(Job.key_for(owner.rq_job_id), "status") if owner.rq_job_id else None
        return status is not None and as_text(status) == JobStatus.STOPPED

    def _settle(self, row: Continuation, changes: dict[str, Any]) -> None:
        if changes["status"] == Status.CANCELLED:
            changes |= {"finished_at": timezone.now(), "active_key": None, "check_after": timezone.now()}
        Continuation.objects.using(self._alias).filter(pk=row.pk).update(owner=None, **changes)
        row.status = changes["status"]
        after_end(row)

    def _report(self, *, dry_run: bool) -> Recovered:
        """RQ has not been told of the end: let the anchor tell."""
        if not dry_run:
            backend().push_anchor(self._row)
            _look_again(self._alias, [self._row.pk], timezone.now(), upkeep.again())
        return Recovered(self._row, "its end reported", "RQ has not been told of it")

    def _lock(self) -> Continuation | None:
        """The row, locked, if it is still as it was read and nobody else holds it."""
        row = self._row
        locked: Continuation | None = (
            Continuation.objects.using(self._alias)
            .filter(pk=row.pk, status=row.status, delivery=row.delivery, owner=row.owner)
            .free()
            .first()
        )
        return locked

    def _push(self, row: Continuation, dead: Execution | None, **changes: Any) -> None:
        """Make the row claimable under the next number, and push that in place of the old one on commit."""
        old = row.delivery
        changes |= {"owner": None, "delivery": old + 1, "enqueued_at": timezone.now()}
        changes["check_after"] = upkeep.after_push()
        Continuation.objects.using(self._alias).filter(pk=row.pk).update(**changes)
        for name, value in changes.items():
            setattr(row, name, value)
        transaction.on_commit(lambda: backend().replace(row, old, dead), using=self._alias, robust=True)

    def _end_session(self, owner: Execution, why: str) -> Recovered | None:
        """The dead owner's transaction still holds the step. After a while end its session, if the server agrees."""
        logger.warning("%s: %s, but its database session is in a transaction", self._row, why)
        step = StepRecord.objects.using(self._alias).filter(continuation=self._row, execution=owner.pk).first()
        silent = timezone.now() - (owner.started_at if step is None else step.heartbeat_at)
        if silent.total_seconds() < LEASE + SESSION_GRACE or not owner.database_session:
            return None
        ended = end_session(connections[self._alias], owner.database_session, owner.started_at)
        return Recovered(self._row, "database session ended", f"it is in a transaction, and {why}") if ended else None
