"""One continuation that recovery looks at: what is the matter with it, and what is done about that."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, connections, transaction
from django.utils import timezone
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.utils import as_text

from . import signals, upkeep
from .delivery import backend
from .family import after_end, cancel_children, children_of_this_run, waits_for_children, wake_parent
from .identifiers import rq_job_id
from .isolation import atomic
from .limits import Limit
from .liveness import LEASE, any_alive, proof_of_death, worker_will_tell
from .models import Continuation, Execution, StepRecord
from .outages import is_away
from .sessions import end_session
from .takeover import steps_are_free, take_steps
from .transitions import CLAIMABLE, FINISHED, OWNED, Status

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from rq import Queue

    from .servers import Servers

logger = logging.getLogger("continuations")

# Seconds to wait for a parent's row that somebody else keeps locked.
PATIENCE = 1.0
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


class Patient:
    """One continuation, and what Redis knows of it."""

    def __init__(
        self,
        row: Continuation,
        queue: Queue,
        owners: dict[uuid.UUID, Execution],
        servers: Servers,
        seconds: float,
    ) -> None:
        self._row = row
        self._queue = queue
        self._owners = owners
        self._connection = queue.connection
        self._servers = servers
        # For what may take long.
        self._seconds = seconds
        self._alias = row._state.db or "default"
        # A worker has taken its delivery and not claimed it yet: a matter of milliseconds, if it lives.
        self.is_taken = False
        # Nothing will have to be done with it any more.
        self.is_settled = False
        # Its delivery waits for a slot of this limit.
        self.in_line: Limit | None = None

    def treat(self, *, dry_run: bool) -> Recovered | None:
        """Do what is to be done; None if nothing is, or not just now."""
        try:
            return self._treat(dry_run=dry_run)
        except OperationalError as error:
            if is_away(connections[self._alias]):
                raise
            # Somebody deadlocked with us, or changed the row at the same time: next time.
            logger.warning("%s: not recovered (%s)", self._row, error)
            self.is_taken = True
            return None

    def _treat(self, *, dry_run: bool) -> Recovered | None:
        row = self._row
        if row.status in OWNED:
            return self._treat_owned(dry_run=dry_run)
        if row.is_told_only:
            return self._treat_waiting(dry_run=dry_run)
        if row.status in CLAIMABLE:
            why = self._why_undelivered()
            return None if why is None else self._redeliver(why, dry_run=dry_run)
        if row.status == Status.CANCELLED and not dry_run and cancel_children(row, seconds=self._seconds):
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
        return self._servers.remembers(self._connection)

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
        with atomic(self._alias):
            row = self._lock()
            if row is None:
                return None
            self._push(row, None, status=Status.ENQUEUED, run_after=None)
        return found

    def _take_over(self, owner: Execution, why: str, *, dry_run: bool) -> Recovered | None:
        if dry_run:
            return Recovered(self._row, "taken over", why)
        with atomic(self._alias):
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

    def _was_stopped(self, owner: Execution) -> bool:
        """RQ's stop command ended its process: for RQ the job has ended, and no retry follows."""
        status = self._connection.hget(Job.key_for(owner.rq_job_id), "status") if owner.rq_job_id else None
        return status is not None and as_text(status) == JobStatus.STOPPED

    def _settle(self, row: Continuation, changes: dict[str, Any]) -> None:
        if changes["status"] == Status.CANCELLED:
            changes |= {"finished_at": timezone.now(), "active_key": None, "check_after": timezone.now()}
        Continuation.objects.using(self._alias).filter(pk=row.pk).update(owner=None, **changes)
        row.status = changes["status"]
        after_end(row, patience=PATIENCE, seconds=self._seconds)

    def _report(self, *, dry_run: bool) -> Recovered:
        """RQ has not been told of the end: let the anchor tell."""
        if not dry_run:
            backend().push_anchor(self._row)
            look_again(self._alias, [self._row.pk], timezone.now(), upkeep.again())
        return Recovered(self._row, "its end reported", "RQ has not been told of it")

    def _lock(self) -> Continuation | None:
        """The row, locked, if it is still as it was read and nobody else holds it."""
        row = self._row
        locked: Continuation | None = (
            Continuation.objects.using(self._alias).unchanged(row, "delivery", "owner").free().first()
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


def look_again(alias: str, pks: list[Any], now: dt.datetime, again: dt.datetime | None) -> None:
    """When to look next at those that were found where they belong. What somebody keeps locked stays due."""
    rows = Continuation.objects.using(alias)
    with atomic(alias):
        free = list(rows.filter(pk__in=pks).free().values_list("pk", flat=True))
        rows.filter(pk__in=free, check_after__lte=now).update(check_after=again)
