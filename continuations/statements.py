"""The hot statements of an execution, as text made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Field

from .models import Continuation, StepRecord
from .records import PassedStep

if TYPE_CHECKING:
    import uuid

    from django.db.backends.base.base import BaseDatabaseWrapper

# Backends whose UPDATE returns columns: there a beat learns of requests without a second statement.
RETURNING = frozenset({"postgresql", "sqlite"})


class Statements:
    """The hot statements of one execution, as text that is made once for each.

    Drivers get numbers and texts as they are: what a field would make of them, they are. Parameters have names, since
    SQLite's take Django half the time of those that are counted.
    """

    # What a step begins with. Columns that are in neither are NULL.
    _BEGUN = ("id", "position", "name", "kind", "cursor_json", "attributes_json")
    _AS_ALWAYS = ("status", "processed", "busy_seconds", "advanced", "sequence")
    _BEAT = ("cursor_json", "attributes_json", "processed", "total", "busy_seconds", "advanced", "heartbeat_at")
    # What is needed of a step in progress beside what is needed of all. It does not ask when that began.
    _RUNNING = ("id", "processed", "total", "busy_seconds", "advanced", "sequence")

    def __init__(self, connection: BaseDatabaseWrapper, continuation: uuid.UUID, execution: uuid.UUID) -> None:
        self.returns = connection.vendor in RETURNING
        self._connection = connection
        quote = connection.ops.quote_name
        self._quote = quote
        self._fields: dict[str, Field[Any, Any]] = {field.attname: field for field in StepRecord._meta.concrete_fields}
        self._id, self._moment = self._fields["id"], self._fields["heartbeat_at"]
        # Parameters of all of them.
        self._owner = {
            "continuation_id": self._prepared(self._id, continuation),
            "execution": self._prepared(self._id, execution),
        }
        self._steps = quote(StepRecord._meta.db_table)
        self._continuations = quote(Continuation._meta.db_table)
        status = f"{quote('status')} FROM {self._continuations} WHERE {quote('id')} = %(continuation_id)s"
        self._returning = f" RETURNING (SELECT {status})" if self.returns else ""
        beat = {name: f"%({name})s" for name in self._BEAT}
        self._beat_text = self._make_update(beat)
        ended = {"status": "%(status)s", "result_json": "%(result_json)s", "finished_at": "%(heartbeat_at)s"}
        self._completed_text = self._make_update(beat | ended)
        self._insert_text = self._make_insert()

    def update(self, record: StepRecord, ended: StepRecord.Status | None = None) -> tuple[str, dict[str, Any]]:
        """One UPDATE by primary key, owner and sequence number. `ended`: the status it ends with now, if it does."""
        params = {
            **self._owner,
            "id": self._prepared(self._id, record.pk),
            "sequence": record.sequence,
            "cursor_json": record.cursor_json,
            "attributes_json": record.attributes_json,
            "processed": record.processed,
            "total": record.total,
            "busy_seconds": record.busy_seconds,
            "advanced": record.advanced,
            "heartbeat_at": self._prepared(self._moment, record.heartbeat_at),
        }
        if ended is None:
            return self._beat_text, params
        params["status"], params["result_json"] = ended.value, record.result_json
        return self._completed_text, params

    def insert(self, record: StepRecord) -> tuple[str, dict[str, Any]]:
        """One INSERT of a step that begins.

        It reads the continuation's row under lock: a subquery without one sees a stale owner.
        """
        params = {
            **self._owner,
            "id": self._prepared(self._id, record.pk),
            "position": record.position,
            "name": record.name,
            "kind": record.kind,
            "cursor_json": record.cursor_json,
            "attributes_json": record.attributes_json,
            "now": self._prepared(self._moment, record.started_at),
        }
        return self._insert_text, params

    def select(self) -> tuple[str, dict[str, Any]]:
        """One SELECT of all steps in order: the columns of a `PassedStep`, then what `running` takes."""
        columns = [self._column(name) for name in PassedStep._fields]
        # For the one that needs them. As NULL they cost next to nothing for the others.
        is_running = f"{self._column('status')} = {_literal(StepRecord.Status.RUNNING.value)}"
        columns += [f"CASE WHEN {is_running} THEN {self._column(name)} END" for name in self._RUNNING]
        where = f"{self._column('continuation_id')} = %(continuation_id)s"
        order = self._column("position")
        text = f"SELECT {', '.join(columns)} FROM {self._steps} WHERE {where} ORDER BY {order}"  # noqa: S608
        return text, self._owner

    def running(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """What `select` gives beyond the columns of a `PassedStep`, by name."""
        return {name: self._fields[name].to_python(value) for name, value in zip(self._RUNNING, values, strict=True)}

    def _prepared(self, field: Field[Any, Any], value: Any) -> Any:
        """A value of the field's own type in the form that the database wants."""
        return field.get_db_prep_value(value, self._connection, prepared=True)

    def _make_update(self, values: dict[str, str]) -> str:
        sequence = self._column("sequence")
        assignments = ", ".join(f"{self._column(name)} = {value}" for name, value in values.items())
        where = " AND ".join(f"{self._column(name)} = %({name})s" for name in ("id", "execution", "sequence"))
        return (
            f"UPDATE {self._steps} SET {assignments}, {sequence} = {sequence} + 1 "  # noqa: S608
            f"WHERE {where}{self._returning}"
        )

    def _make_insert(self) -> str:
        values = {name: self._parameter(name) for name in (*self._BEGUN, "continuation_id", "execution")}
        values |= {name: self._parameter(name, "now") for name in ("started_at", "heartbeat_at")}
        values |= {name: _literal(self._fields[name].get_default()) for name in self._AS_ALWAYS}
        columns = ", ".join(map(self._column, values))
        lock = " FOR UPDATE" if self._connection.features.has_select_for_update else ""
        quote = self._quote
        return (
            f"INSERT INTO {self._steps} ({columns}) SELECT {', '.join(values.values())} "  # noqa: S608
            f"FROM {self._continuations} "
            f"WHERE {quote('id')} = %(continuation_id)s AND {quote('owner')} = %(execution)s{lock}{self._returning}"
        )

    def _parameter(self, column: str, name: str = "") -> str:
        # PostgreSQL cannot guess the type of a parameter in a SELECT list.
        cast = f"::{self._fields[column].db_type(self._connection)}" if self._connection.vendor == "postgresql" else ""
        return f"%({name or column})s{cast}"

    def _column(self, name: str) -> str:
        return self._quote(self._fields[name].column or "")


def _literal(value: Any) -> str:
    """A default of ours in SQL: a number, a word or a truth."""
    return f"'{value}'" if isinstance(value, str) else str(value).upper()
