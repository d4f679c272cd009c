"""What an execution achieves, written down: the only writer of a row that an execution owns.

Every write carries the execution's id and the sequence number it expects. One that matches nothing was superseded,
or comes after a block that was rolled back; `_examine` tells which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import Field
from django.utils import timezone

from . import attributes, log
from .errors import CheckpointError, SerializationError
from .models import Continuation, StepRecord

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .job import ContinuableJob
    from .step import Step

# Backends whose UPDATE returns columns: there a beat learns of requests without a second statement.
RETURNING = frozenset({"postgresql", "sqlite"})


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
        # A movement of this execution has been written.
        self.has_moved = False
        # The step that runs now.
        self.step: Step | None = None
        self._connection = connections[self.alias]
        # Blocks that were open before perform began (a test case's, a caller's) do not count.
        self._outer: dict[str, int] = {}
        self.note_outer_blocks()
        # One for each block of the user's that we wrote in, until it has ended.
        self._marks: list[_Mark] = []
        # A commit of our own failed so that only the stored row knows what is stored.
        self._doubtful = False
        # Status read by the write that completed the last step; good for one boundary.
        self._status: str | None = None
        self._sql = _Statements(self._connection)

    def load(self) -> list[StepRecord]:
        """The stored steps in order."""
        return list(StepRecord.objects.using(self.alias).filter(continuation=self.continuation).order_by("position"))

    @property
    def in_block(self) -> bool:
        """A transaction is open on our alias, whoever opened it. Cheap; `block_is_open` tells whether it counts."""
        return self._connection.in_atomic_block

    @property
    def first_movement_waits(self) -> bool:
        """Nothing of this execution is stored yet, and something could be: a crash a moment later should find it."""
        return not self.has_moved and self.step is not None and self.step.unsaved

    def block_is_open(self) -> bool:
        """A transaction that was opened after `perform` began is open on our alias."""
        return self._connection.in_atomic_block and _depth(self._connection) > self._outer.get(self.alias, 0)

    def note_outer_blocks(self) -> None:
        """Remember which transactions are open as `perform` begins."""
        self._outer = {each.alias: _depth(each) for each in connections.all(initialized_only=True)}

    def abandon_blocks(self) -> list[str]:
        """Roll back transactions that `perform` opened and left open; their aliases.

        Nothing that is written inside one is written. Django offers no way out of a block from outside, so the
        connection is closed and its books are reset; under a test case's transaction that is impossible, and left.
        """
        left: list[str] = []
        for connection in connections.all(initialized_only=True):
            outer = self._outer.get(connection.alias, 0)
            if _depth(connection) <= outer:
                continue
            left.append(connection.alias)
            if outer == 0:
                connection.savepoint_ids.clear()
                connection.run_on_commit.clear()
                connection.in_atomic_block = connection.needs_rollback = False
                connection.close()
        return left

    def start(self, record: StepRecord) -> bool:
        """Store a new step in progress. False: superseded."""
        record.execution = self.execution
        record.started_at = record.heartbeat_at = timezone.now()
        record.attributes_json = attributes.dump(self.job)
        return self._execute(*self._sql.insert(record), want_status=False) is not None

    def replace(self, old: StepRecord, new: StepRecord) -> bool:
        """Let `new` take the place of a step in progress that never advanced. False: superseded."""
        new.pk, new.execution, new.sequence = old.pk, self.execution, old.sequence + 1
        new.started_at = new.heartbeat_at = timezone.now()
        new.attributes_json = attributes.dump(self.job)
        names = (
            "name",
            "cursor_json",
            "attributes_json",
            "processed",
            "total",
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

    def write_inside_block(self) -> None:
        """Write the step's movement in the transaction the user opened, so that they commit together."""
        step = self.step
        if step is None or step.in_own_block or not step.unsaved_in_block:
            return
        self._mark_block()
        self._write(step, want_status=False)

    def write_in_own_block(self, step: Step) -> bool:
        """Write the step's movement in the transaction of `step.atomic()`. False: superseded."""
        return self._write(step, want_status=False) is not None

    def write_last(self, step: Step) -> bool:
        """Write where the step stands as the execution ends. False: superseded."""
        return self._write(step, want_status=False) is not None

    def complete(self, step: Step, result_json: str | None) -> bool:
        """Mark the step completed. False: superseded."""
        record = step.record
        record.result_json = result_json
        record.finished_at = timezone.now()
        self._status = self._write(step, completed=True)
        if self._status is None:
            return False
        record.status = StepRecord.Status.COMPLETED
        return True

    def settle(self, step: Step) -> None:
        """If a block in which we wrote was rolled back, make the step what is stored."""
        if not self._marks and not self._doubtful:
            return
        registered = [entry[1] for entry in self._connection.run_on_commit]
        open_marks = [mark for mark in self._marks if mark in registered]
        rolled_back = any(not mark.committed and mark not in open_marks for mark in self._marks)
        self._marks = open_marks
        if not rolled_back and not self._doubtful:
            return
        stored = StepRecord.objects.using(self.alias).get(pk=step.record.pk)
        self._doubtful = False
        if stored.execution == self.execution and stored.sequence != step.record.sequence:
            step.restore(stored)

    def doubt(self) -> None:
        """A commit failed in a way that leaves open what is stored: read it before the cursor is used again."""
        self._doubtful = True

    def _mark_block(self) -> None:
        """Leave a mark that tells how the open block ended.

        Django runs what was registered for a commit when it happens, and drops it on a rollback, of savepoints too.
        """
        savepoints = set(self._connection.savepoint_ids)
        if any(mark.savepoints == savepoints for mark in self._marks):
            return
        mark = _Mark(savepoints)
        self._marks.append(mark)
        transaction.on_commit(mark, using=self.alias)

    def check(self, step: Step) -> None:
        """Raise `SerializationError` if the cursor or an attribute was changed in place to what cannot be stored.

        The step becomes what is stored then, so that an outcome can be written with it.
        """
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

    def _write(self, step: Step, *, completed: bool = False, want_status: bool = True) -> str | None:
        record = step.record
        step.fill_record()
        record.attributes_json = attributes.dump(self.job)
        record.heartbeat_at = timezone.now()
        status = self._execute(*self._sql.update(record, completed=completed), want_status=want_status)
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

    def _execute(self, sql: str, params: list[Any], *, want_status: bool) -> str | None:
        """Run a fenced write. None: it matched no row; else the continuation's status, or "" if nobody wants it."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            if self._sql.returns:
                row = cursor.fetchone()
                return None if row is None else str(row[0])
            if cursor.rowcount != 1:
                return None
        return self._read_status() if want_status else ""

    def _read_status(self) -> str | None:
        return (
            Continuation.objects.using(self.alias)
            .filter(pk=self.continuation.pk, owner=self.execution)
            .values_list("status", flat=True)
            .first()
        )


class _Mark:
    """Stands among the functions that Django calls on commit."""

    def __init__(self, savepoints: set[str]) -> None:
        self.savepoints = savepoints
        self.committed = False

    def __call__(self) -> None:
        self.committed = True


class _Statements:
    """The two hot statements, as text that is made once for each execution."""

    _BEAT = ("cursor_json", "attributes_json", "processed", "total", "advanced", "heartbeat_at")
    _COMPLETED = (*_BEAT, "status", "result_json", "finished_at")

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.returns = connection.vendor in RETURNING
        self._connection = connection
        quote = connection.ops.quote_name
        self._quote = quote
        self._fields: dict[str, Field[Any, Any]] = {field.attname: field for field in StepRecord._meta.concrete_fields}
        self._steps = quote(StepRecord._meta.db_table)
        self._continuations = quote(Continuation._meta.db_table)
        status = f"{quote('status')} FROM {self._continuations} WHERE {quote('id')} = %s"
        self._returning = f" RETURNING (SELECT {status})" if self.returns else ""
        self._updates = {False: self._update_text(self._BEAT), True: self._update_text(self._COMPLETED)}
        self._insert_text = self._make_insert()

    def update(self, record: StepRecord, *, completed: bool) -> tuple[str, list[Any]]:
        """One UPDATE by primary key, owner and sequence number."""
        names = self._COMPLETED if completed else self._BEAT
        changes = {"status": StepRecord.Status.COMPLETED.value} if completed else {}
        params = [self._value(name, changes.get(name, getattr(record, name))) for name in names]
        params += [
            record.sequence + 1,
            self._value("id", record.pk),
            self._value("execution", record.execution),
            record.sequence,
        ]
        if self.returns:
            params.append(self._value("continuation_id", record.continuation_id))
        return self._updates[completed], params

    def insert(self, record: StepRecord) -> tuple[str, list[Any]]:
        """One INSERT that reads the continuation's row under lock: a subquery without one sees a stale owner."""
        params = [self._value(name, getattr(record, name)) for name in self._fields]
        continuation = self._value("continuation_id", record.continuation_id)
        params += [continuation, self._value("execution", record.execution)]
        if self.returns:
            params.append(continuation)
        return self._insert_text, params

    def _value(self, name: str, value: Any) -> Any:
        return self._fields[name].get_db_prep_save(value, self._connection)

    def _update_text(self, names: tuple[str, ...]) -> str:
        columns = [self._column(name) for name in (*names, "sequence")]
        assignments = ", ".join(f"{column} = %s" for column in columns)
        where = " AND ".join(f"{self._column(name)} = %s" for name in ("id", "execution", "sequence"))
        return f"UPDATE {self._steps} SET {assignments} WHERE {where}{self._returning}"  # noqa: S608

    def _make_insert(self) -> str:
        columns = ", ".join(self._column(name) for name in self._fields)
        values = ", ".join(self._placeholder(field) for field in self._fields.values())
        lock = " FOR UPDATE" if self._connection.features.has_select_for_update else ""
        quote = self._quote
        return (
            f"INSERT INTO {self._steps} ({columns}) SELECT {values} FROM {self._continuations} "  # noqa: S608
            f"WHERE {quote('id')} = %s AND {quote('owner')} = %s{lock}{self._returning}"
        )

    def _placeholder(self, field: Field[Any, Any]) -> str:
        # PostgreSQL cannot guess the type of a parameter in a SELECT list.
        if self._connection.vendor == "postgresql":
            return f"%s::{field.db_type(self._connection)}"
        return "%s"

    def _column(self, name: str) -> str:
        return self._quote(self._fields[name].column or "")


def _depth(connection: BaseDatabaseWrapper) -> int:
    """How many atomic blocks are open, savepoints included."""
    return len(connection.savepoint_ids) + int(connection.in_atomic_block)
