"""The hot statements of an execution, as text made once."""

from __future__ import annotations

from operator import attrgetter
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

    Drivers get numbers and texts as they are: what a field would make of them, they are.
    """

    # What a step begins with. Columns that are in neither are NULL.
    _BEGUN = ("id", "position", "name", "kind", "cursor_json", "attributes_json", "started_at", "heartbeat_at")
    _AS_ALWAYS = ("status", "processed", "busy_seconds", "advanced", "sequence")
    _BEAT = ("cursor_json", "attributes_json", "processed", "total", "busy_seconds", "advanced", "heartbeat_at")
    _COMPLETED = (*_BEAT, "finished_at", "status", "result_json")
    # What is needed of a step in progress beside what is needed of all. It does not ask when that began.
    _RUNNING = ("id", "processed", "total", "busy_seconds", "advanced", "sequence")

    _begun_of = staticmethod(attrgetter(*_BEGUN))
    _beat_of = staticmethod(attrgetter(*_BEAT))

    def __init__(self, connection: BaseDatabaseWrapper, continuation: uuid.UUID, execution: uuid.UUID) -> None:
        self.returns = connection.vendor in RETURNING
        self._connection = connection
        quote = connection.ops.quote_name
        self._quote = quote
        self._fields: dict[str, Field[Any, Any]] = {field.attname: field for field in StepRecord._meta.concrete_fields}
        self._id, self._moment = self._fields["id"], self._fields["heartbeat_at"]
        self._continuation, self._execution = (self._prepared(self._id, each) for each in (continuation, execution))
        # Of the statement that it is read back with.
        self._returned = [self._continuation] if self.returns else []
        self._steps = quote(StepRecord._meta.db_table)
        self._continuations = quote(Continuation._meta.db_table)
        status = f"{quote('status')} FROM {self._continuations} WHERE {quote('id')} = %s"
        self._returning = f" RETURNING (SELECT {status})" if self.returns else ""
        self._beat_text = self._make_update(self._BEAT)
        self._completed_text = self._make_update(self._COMPLETED)
        self._insert_text = self._make_insert()

    def update(self, record: StepRecord, ended: StepRecord.Status | None = None) -> tuple[str, list[Any]]:
        """One UPDATE by primary key, owner and sequence number. `ended`: the status it ends with now, if it does."""
        *values, moment = self._beat_of(record)
        now = self._prepared(self._moment, moment)
        fence = (record.sequence + 1, self._prepared(self._id, record.pk), self._execution, record.sequence)
        if ended is None:
            return self._beat_text, [*values, now, *fence, *self._returned]
        return self._completed_text, [*values, now, now, ended.value, record.result_json, *fence, *self._returned]

    def insert(self, record: StepRecord) -> tuple[str, list[Any]]:
        """One INSERT of a step that begins.

        It reads the continuation's row under lock: a subquery without one sees a stale owner.
        """
        key, *values, moment, _ = self._begun_of(record)
        now = self._prepared(self._moment, moment)
        owner = (self._continuation, self._execution)
        params = [self._prepared(self._id, key), *values, now, now, *owner, *owner, *self._returned]
        return self._insert_text, params

    def select(self) -> tuple[str, list[Any]]:
        """One SELECT of all steps in order: the columns of a `PassedStep`, then what `running` takes."""
        columns = [self._column(name) for name in PassedStep._fields]
        # For the one that needs them. As NULL they cost next to nothing for the others.
        is_running = f"{self._column('status')} = %s"
        columns += [f"CASE WHEN {is_running} THEN {self._column(name)} END" for name in self._RUNNING]
        where, order = f"{self._column('continuation_id')} = %s", self._column("position")
        text = f"SELECT {', '.join(columns)} FROM {self._steps} WHERE {where} ORDER BY {order}"  # noqa: S608
        return text, [StepRecord.Status.RUNNING.value] * len(self._RUNNING) + [self._continuation]

    def running(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """What `select` gives beyond the columns of a `PassedStep`, by name."""
        return {name: self._fields[name].to_python(value) for name, value in zip(self._RUNNING, values, strict=True)}

    def _prepared(self, field: Field[Any, Any], value: Any) -> Any:
        """A value of the field's own type in the form that the database wants."""
        return field.get_db_prep_value(value, self._connection, prepared=True)

    def _make_update(self, names: tuple[str, ...]) -> str:
        columns = [self._column(name) for name in (*names, "sequence")]
        assignments = ", ".join(f"{column} = %s" for column in columns)
        where = " AND ".join(f"{self._column(name)} = %s" for name in ("id", "execution", "sequence"))
        return f"UPDATE {self._steps} SET {assignments} WHERE {where}{self._returning}"  # noqa: S608

    def _make_insert(self) -> str:
        given = (*self._BEGUN, "continuation_id", "execution")
        columns = ", ".join(self._column(name) for name in (*given, *self._AS_ALWAYS))
        values = [self._placeholder(self._fields[name]) for name in given]
        values += [_literal(self._fields[name].get_default()) for name in self._AS_ALWAYS]
        lock = " FOR UPDATE" if self._connection.features.has_select_for_update else ""
        quote = self._quote
        return (
            f"INSERT INTO {self._steps} ({columns}) SELECT {', '.join(values)} FROM {self._continuations} "  # noqa: S608
            f"WHERE {quote('id')} = %s AND {quote('owner')} = %s{lock}{self._returning}"
        )

    def _placeholder(self, field: Field[Any, Any]) -> str:
        # PostgreSQL cannot guess the type of a parameter in a SELECT list.
        if self._connection.vendor == "postgresql":
            return f"%s::{field.db_type(self._connection)}"
        return "%s"

    def _column(self, name: str) -> str:
        return self._quote(self._fields[name].column or "")


def _literal(value: Any) -> str:
    """A default of ours in SQL: a number, a word or a truth."""
    return f"'{value}'" if isinstance(value, str) else str(value).upper()
