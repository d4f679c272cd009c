"""The hot statements of an execution, as text made once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from django.db import connections

from .columns import NOT_AWAITED, RETURNING, columns_of, need_not_wait
from .models import Continuation, StepRecord
from .prepared import Prepared
from .records import PassedStep

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from django.db.backends.base.base import BaseDatabaseWrapper

# What differs from step to step as it begins, and what is the same moment; all else is its columns' default.
_BEGUN = ("id", "position", "name", "kind", "cursor_json", "attributes_json", "continuation_id", "execution")
_NOW = ("started_at", "heartbeat_at")
# What a beat writes.
BEAT = ("cursor_json", "attributes_json", "processed", "total", "busy_seconds", "advanced", "heartbeat_at")


class Statements:
    """The hot statements of one execution, with what they need.

    Drivers get numbers and texts as they are: what a field would make of them, they are. Parameters have names, since
    SQLite's take Django half the time of those that are counted.
    """

    def __init__(self, connection: BaseDatabaseWrapper, continuation: uuid.UUID, execution: uuid.UUID) -> None:
        self.returns = connection.vendor in RETURNING
        self._connection = connection
        self._texts = _texts(connection.alias)
        # What was made last: parameters of a step, and a time in the database's form. The next beat wants the same.
        self._step: tuple[Any, dict[str, Any]] = None, {}
        self._last_moment: tuple[Any, Any] = None, None
        # Parameters of all of them.
        self._owner = {
            "continuation_id": self._prepared("id", continuation),
            "execution": self._prepared("id", execution),
        }

    def update(
        self, record: StepRecord, ended: StepRecord.Status | None = None, *, want_status: bool = True
    ) -> tuple[Prepared, dict[str, Any]]:
        """One UPDATE by primary key, owner and sequence number. `ended`: the status it ends with now, if it does.

        `want_status`: it returns the status of the continuation, where the database returns anything.
        """
        params = {
            **self._of(record),
            "sequence": record.sequence,
            "cursor_json": record.cursor_json,
            "attributes_json": record.attributes_json,
            "processed": record.processed,
            "total": record.total,
            "busy_seconds": record.busy_seconds,
            "advanced": record.advanced,
            "heartbeat_at": self._moment(record.heartbeat_at),
        }
        if ended is None:
            return self._texts.beat if want_status else self._texts.moved, params
        params["status"], params["result_json"] = ended.value, record.result_json
        return self._texts.completed, params

    def insert(self, record: StepRecord) -> tuple[Prepared, dict[str, Any]]:
        """One INSERT of a step that begins.

        It reads the continuation's row under lock: a subquery without one sees a stale owner. Nothing has been done in
        the step yet, so nobody waits for the disk.
        """
        params = {
            **self._owner,
            "id": self._prepared("id", record.pk),
            "position": record.position,
            "name": record.name,
            "kind": record.kind,
            "cursor_json": record.cursor_json,
            "attributes_json": record.attributes_json,
            "now": self._prepared("started_at", record.started_at),
        }
        texts = self._texts
        return texts.insert_at_once if need_not_wait(self._connection) else texts.insert, params

    def select(self) -> tuple[str, dict[str, Any]]:
        """One SELECT of all steps in order, with the columns of a `PassedStep`."""
        return self._texts.select, self._owner

    def _of(self, record: StepRecord) -> dict[str, Any]:
        """Parameters that are the same for each write of a step."""
        known, params = self._step
        if known != record.id:
            _, params = self._step = record.id, {**self._owner, "id": self._prepared("id", record.id)}
        return params

    def _moment(self, moment: dt.datetime) -> Any:
        """A time of now. The same one may come a hundred times in a row."""
        if moment is not self._last_moment[0]:
            self._last_moment = moment, self._prepared("heartbeat_at", moment)
        return self._last_moment[1]

    def _prepared(self, name: str, value: Any) -> Any:
        """A value of a column's own type in the form that the database wants."""
        return self._texts.steps.prepared(name, value, self._connection)


class _Texts:
    def __init__(self, alias: str) -> None:
        connection = connections[alias]
        self.steps = columns_of(StepRecord, alias)
        self._rows = columns_of(Continuation, alias)
        self._mine = f"{self._rows['id']} = %(continuation_id)s"
        self._lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
        status = f"SELECT {self._rows['status']} FROM {self._rows.table} WHERE {self._mine}"  # noqa: S608
        self._returns = connection.vendor in RETURNING
        beat = {name: f"%({name})s" for name in BEAT}
        ended = {"status": "%(status)s", "result_json": "%(result_json)s", "finished_at": "%(heartbeat_at)s"}
        self.beat = Prepared("beat", self._make_update(beat, f"({status})"))
        self.moved = Prepared("step_moved", self._make_update(beat, "1"))
        self.completed = Prepared("step_completed", self._make_update(beat | ended, f"({status})"))
        self.insert = Prepared("step_begun", self._make_insert())
        self.insert_at_once = Prepared("step_begun", self._make_insert(f" AND {NOT_AWAITED}"))
        self.select = self._make_select()

    def _make_update(self, values: dict[str, str], returning: str) -> str:
        steps = self.steps
        assignments = ", ".join(f"{steps[name]} = {value}" for name, value in values.items())
        where = " AND ".join(f"{steps[name]} = %({name})s" for name in ("id", "execution", "sequence"))
        return (
            f"UPDATE {steps.table} SET {assignments}, {steps['sequence']} = {steps['sequence']} + 1 "  # noqa: S608
            f"WHERE {where}{self._answer(returning)}"
        )

    def _make_insert(self, condition: str = "") -> str:
        steps, rows = self.steps, self._rows
        values = {name: steps.typed(name, f"%({name})s") for name in _BEGUN}
        values |= {name: steps.typed(name, "%(now)s") for name in _NOW}
        values |= steps.literal_defaults(without=values)
        return (
            f"INSERT INTO {steps.table} ({steps.listed(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
            f"FROM {rows.table} WHERE {self._mine} AND {rows['owner']} = %(execution)s{condition}{self._lock}"
            f"{self._answer('1')}"
        )

    def _answer(self, returning: str) -> str:
        return f" RETURNING {returning}" if self._returns else ""

    def _make_select(self) -> str:
        steps = self.steps
        where = f"{steps['continuation_id']} = %(continuation_id)s"
        return (
            f"SELECT {steps.listed(PassedStep._fields)} FROM {steps.table} "  # noqa: S608
            f"WHERE {where} ORDER BY {steps['position']}"
        )


@functools.cache
def _texts(alias: str) -> _Texts:
    return _Texts(alias)


def prepare(alias: str) -> None:
    """Make the texts now."""
    _texts(alias)
