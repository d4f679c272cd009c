"""What an execution achieves, written down: the only writer of a row that an execution owns.

Every write carries the execution's id and the sequence number it expects. One that matches nothing was superseded,
or comes after a block that was rolled back; `_examine` tells which.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connections
from django.utils import timezone

from . import attributes, log, prepared
from .blocks import Blocks, Ended
from .cursors import Cursor
from .errors import CheckpointError, SerializationError
from .models import Continuation, StepRecord
from .outages import TROUBLE, insistently, is_away, reconnect
from .records import PassedStep
from .statements import Statements

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from .job import ContinuableJob
    from .prepared import Prepared
    from .step import Step

# Seconds: beats that are closer together are told apart by nobody, and a database's form of a time takes long to make.
MOMENT = 0.01


class Progress:
    """Writes the steps of one execution, on the alias of its continuation."""

    def __init__(
        self, continuation: Continuation, execution: uuid.UUID, hold: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.alias: str = continuation._state.db or "default"
        self.continuation = continuation
        self.execution = execution
        # Keeps RQ's death penalty and signals from raising while a write is under way.
        self.hold = hold
        self.job: ContinuableJob
        # An error of a statement of ours, which is no error of the job.
        self.trouble: BaseException | None = None
        # A movement of this execution has been written.
        self.has_moved = False
        # The step that runs now.
        self.step: Step | None = None
        self._connection = connections[self.alias]
        self._cursor = Cursor(self._connection)
        self.blocks = Blocks(self.alias)
        # A commit of our own failed so that only the stored row knows what is stored.
        self._doubtful = False
        self._rolled_back = False
        self._step_is_lost = False
        # Status read by the write that completed the last step; good for one boundary.
        self._status: str | None = None
        # When a beat takes the time again, on the monotonic clock.
        self._next_moment = 0.0
        self._sql = Statements(self._connection, continuation.pk, execution)

    def load(self, last: StepRecord) -> list[PassedStep | StepRecord]:
        """The steps stored so far in order, in one query, where the claim has found `last` to be the last one.

        If that is in progress it is itself what ends them.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(*self._sql.select())
            passed = list(map(PassedStep._make, cursor.fetchall()))
        if last.status == StepRecord.Status.RUNNING:
            return [*passed[: last.position], last]
        return [*passed[: last.position + 1]]

    @property
    def first_movement_waits(self) -> bool:
        """Nothing of this execution is stored yet, and something could be: a crash a moment later should find it."""
        return not self.has_moved and self.step is not None and self.step.unsaved

    def start(self, record: StepRecord) -> bool:
        """Store a new step in progress. False: superseded."""
        record.execution = self.execution
        record.attributes_json = attributes.dump(self.job)
        try:
            return self._execute(*self._sql.insert(record), want_status=False) is not None
        except IntegrityError:
            # The answer to a first try was lost, and it is there already.
            return StepRecord.objects.using(self.alias).filter(pk=record.pk, execution=self.execution).exists()

    def replace(self, old: StepRecord, new: StepRecord) -> bool:
        """Let `new` take the place of a step in progress that never advanced. False: superseded."""
        new.pk, new.execution, new.sequence = old.pk, self.execution, old.sequence + 1
        new.attributes_json = attributes.dump(self.job)
        names = (
            "name",
            "kind",
            "cursor_json",
            "attributes_json",
            "processed",
            "total",
            "busy_seconds",
            "sequence",
            "started_at",
            "heartbeat_at",
        )
        changed = (
            StepRecord.objects.using(self.alias)
            .filter(pk=old.pk, execution=self.execution, sequence=old.sequence)
            .update(**{name: getattr(new, name) for name in names})
        )
        return changed == 1

    def beat(self) -> str | None:
        """Write the step in progress, if any, and return the continuation's status. None: superseded."""
        if self.step is not None and not self.step.in_own_block:
            return self._write(self.step)
        status, self._status = self._status, None
        return status or self._read_status()

    def write_inside_block(self) -> bool:
        """Write the step's movement in the transaction the user opened on our alias, so that they commit together.

        False: superseded, and the transaction must not commit.
        """
        step = self.step
        if self.blocks.open_alias() != self.alias:
            return True
        if step is None or step.in_own_block or not step.unsaved_in_block:
            return True
        return self._write(step, want_status=False) is not None

    def write_in_own_block(self, step: Step) -> bool:
        """Write the step's movement in the transaction of `step.atomic()`. False: superseded."""
        return self._write(step, want_status=False) is not None

    def write_last(self, step: Step) -> bool:
        """Write where the step stands as the execution ends. False: superseded."""
        return self._write(step, want_status=False) is not None

    def complete(
        self, step: Step, result_json: str | None, ended: StepRecord.Status = StepRecord.Status.COMPLETED
    ) -> bool:
        """Mark the step completed, or timed out. False: superseded."""
        record = step.record
        record.result_json = result_json
        self._status = self._write(step, ended)
        if self._status is None:
            return False
        record.status = ended
        return True

    def has_committed(self, step: Step, error: BaseException) -> bool:
        """Whether the commit of our own block, which gave `error` for an answer, has happened all the same."""
        if not isinstance(error, TROUBLE):
            return False
        self.trouble = error
        try:
            if is_away(self._connection) and not reconnect(self.alias):
                return False
            stored = StepRecord.objects.using(self.alias).filter(pk=step.record.pk, execution=self.execution).first()
        except TROUBLE:
            return False
        return stored is not None and stored.sequence == step.record.sequence

    @property
    def is_unsettled(self) -> bool:
        """The cursor moved in a block; how that ended, or what is stored, is looked up before it is used again."""
        return self._doubtful or self.blocks.any_marked

    def settle(self, step: Step) -> bool:
        """After a block in which the cursor moved, read what is stored before the cursor is used again.

        True: the step was behind or ahead of it, and has become what is stored.

        Savepoints that were rolled back by hand, and a transaction that the server rolled back after an error that
        was caught, are known to nobody else.
        """
        ended = self.blocks.ended()
        # Kept until the read has succeeded: the database may be away just now.
        self._rolled_back = self._rolled_back or ended is Ended.ROLLED_BACK
        self._doubtful = self._doubtful or ended is not None
        if not self._doubtful:
            return False
        if step.is_in_event_loop:
            raise CheckpointError(
                f"step {step.name!r}: a transaction in which its cursor moved has ended, and a coroutine cannot look "
                "how; write `await step.acheckpoint()` before you use the cursor again"
            )
        stored = StepRecord.objects.using(self.alias).get(pk=step.record.pk)
        is_behind = self._rolled_back or stored.sequence != step.record.sequence
        self._doubtful = self._rolled_back = False
        if stored.execution != self.execution or not is_behind:
            return False
        step.restore(stored)
        return True

    def doubt(self, *, rolled_back: bool = False) -> None:
        """A block ended in a way that leaves open what is stored: read it before the cursor is used again.

        `rolled_back`: at least it was not committed, although the cursor may have moved in it.
        """
        self._doubtful = True
        self._rolled_back = self._rolled_back or rolled_back

    def forget_lost_step(self) -> bool:
        """Let go of the step in progress if it is gone although the continuation is ours. False: it is not like that.

        A server that crashes may lose the last thing that nobody waited for: that the step had begun.
        """
        step = self.step
        if step is not None:
            is_stored = StepRecord.objects.using(self.alias).filter(pk=step.record.pk).exists()
            self._step_is_lost = not is_stored and self._read_status() is not None
            if self._step_is_lost:
                self.step = None
        return self._step_is_lost

    def check(self, step: Step) -> None:
        """Raise `SerializationError` if the cursor or an attribute was changed in place to what cannot be stored.

        The step becomes what is stored then, so that an outcome can be written with it.
        """
        self.settle(step)
        try:
            step.fill_record()
            attributes.dump(self.job)
        except SerializationError:
            step.restore(StepRecord.objects.using(self.alias).get(pk=step.record.pk))
            raise

    def complain(self, message: str) -> None:
        """A warning about the step in progress."""
        name = None if self.step is None else self.step.name
        log.warning(self.continuation, message if name is None else f"step {name!r} {message}", step=name)

    def _write(self, step: Step, ended: StepRecord.Status | None = None, *, want_status: bool = True) -> str | None:
        record = step.record
        step.fill_record()
        record.attributes_json = attributes.dump(self.job)
        now = time.monotonic()
        if ended is not None or now >= self._next_moment:
            record.heartbeat_at = timezone.now()
            self._next_moment = now + MOMENT
        if ended is not None:
            record.finished_at = record.heartbeat_at
        statement = self._sql.update(record, ended, want_status=want_status)
        status = self._execute(*statement, want_status=want_status)
        if status is None:
            status = self._examine(step)
        else:
            record.sequence += 1
        if status is not None:
            self.has_moved = self.has_moved or step.unsaved
            step.unsaved = step.unsaved_in_block = False
        return status

    def _examine(self, step: Step) -> str | None:
        """A write matched nothing: ours already, rolled back, or superseded."""
        record = step.record
        stored = StepRecord.objects.using(self.alias).filter(pk=record.pk, execution=self.execution).first()
        if stored is None:
            return None
        if stored.sequence == record.sequence + 1:
            # A commit whose answer was lost: the write that is repeated here has happened.
            record.sequence += 1
            return self._read_status()
        if stored.sequence < record.sequence:
            step.restore(stored)
            raise CheckpointError(
                f"step {step.name!r}: a transaction in which its cursor was written was rolled back without the error "
                f"leaving the block; the cursor is back at {step.cursor!r}. Let the error leave the block, or use "
                "step.atomic()"
            )
        return None

    def _execute(self, statement: Prepared, params: dict[str, Any], *, want_status: bool) -> str | None:
        """Run a fenced write. None: it matched no row; else the continuation's status, or "" if nobody wants it."""

        def run() -> str | None:
            with self._cursor as cursor:
                prepared.execute(self._connection, cursor, statement, params)
                if self._sql.returns:
                    row = cursor.fetchone()
                    return None if row is None else str(row[0])
                return "" if cursor.rowcount == 1 else None

        try:
            status = insistently(self._connection, run)
            if status == "" and want_status:
                return insistently(self._connection, self._read_status)
        except TROUBLE as error:
            self.trouble = error
            raise
        return status

    def _read_status(self) -> str | None:
        return (
            Continuation.objects.using(self.alias)
            .filter(pk=self.continuation.pk, owner=self.execution)
            .values_list("status", flat=True)
            .first()
        )
