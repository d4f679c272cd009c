"""The two hot statements of an execution, as text made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import DateTimeField, Field, ForeignKey, UUIDField

from .models import Continuation, StepRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

# Backends whose UPDATE returns columns: there a beat learns of requests without a second statement.
RETURNING = frozenset({"postgresql", "sqlite"})
# Fields whose values databases want in different forms.
ADAPTED = (DateTimeField, ForeignKey, UUIDField)


class Statements:
    """The two hot statements, as text that is made once for each execution."""

    _BEAT = ("cursor_json", "attributes_json", "processed", "total", "busy_seconds", "advanced", "heartbeat_at")
    _COMPLETED = (*_BEAT, "status", "result_json", "finished_at")

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.returns = connection.vendor in RETURNING
        self._connection = connection
        quote = connection.ops.quote_name
        self._quote = quote
        self._fields: dict[str, Field[Any, Any]] = {field.attname: field for field in StepRecord._meta.concrete_fields}
        self._adapted = {name: field for name, field in self._fields.items() if isinstance(field, ADAPTED)}
        self._steps = quote(StepRecord._meta.db_table)
        self._continuations = quote(Continuation._meta.db_table)
        status = f"{quote('status')} FROM {self._continuations} WHERE {quote('id')} = %s"
        self._returning = f" RETURNING (SELECT {status})" if self.returns else ""
        self._updates = {False: self._update_text(self._BEAT), True: self._update_text(self._COMPLETED)}
        self._insert_text = self._make_insert()

    def update(self, record: StepRecord, ended: StepRecord.Status | None = None) -> tuple[str, list[Any]]:
        """One UPDATE by primary key, owner and sequence number. `ended`: the status it ends with, if it does."""
        names = self._BEAT if ended is None else self._COMPLETED
        params = self._values(record, names)
        if ended is not None:
            params[names.index("status")] = ended.value
        params += [record.sequence + 1, *self._values(record, ("id", "execution")), record.sequence]
        if self.returns:
            params += self._values(record, ("continuation_id",))
        return self._updates[ended is not None], params

    def insert(self, record: StepRecord) -> tuple[str, list[Any]]:
        """One INSERT that reads the continuation's row under lock: a subquery without one sees a stale owner."""
        params = [*self._values(record, self._fields), *self._values(record, ("continuation_id", "execution"))]
        if self.returns:
            params += self._values(record, ("continuation_id",))
        return self._insert_text, params

    def _values(self, record: StepRecord, names: Iterable[str]) -> list[Any]:
        """What the driver gets. Numbers and texts go as they are: what a field would make of them, they are."""
        adapted, connection = self._adapted, self._connection
        return [
            adapted[name].get_db_prep_save(getattr(record, name), connection)
            if name in adapted
            else getattr(record, name)
            for name in names
        ]

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
