"""What nearly every job does, in one statement each: be claimed for the first time, and succeed.

Where the row is not as they expect they change nothing and say so; the way round then finds out what is the matter.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import connections

from .columns import RETURNING, Columns, columns_of, mark_stored
from .isolation import atomic
from .models import Continuation, Execution
from .transitions import Status

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


# What a first claim changes, in this order.
_CLAIMED = ("status", "owner", "executions", "run_after", "check_after", "waiting_for", "started_at")


def are_there(alias: str) -> bool:
    """Whether the database can do it."""
    return connections[alias].vendor in RETURNING


def prepare(alias: str) -> None:
    """Make the texts now."""
    _texts(alias)


def claim_first(execution: Execution, delivery: int, alias: str) -> Continuation | None:
    """Give a continuation that was never executed to its first execution, and store that. None: it is not like that."""
    connection = connections[alias]
    texts = _texts(alias)
    rows, executions = texts.rows, texts.executions
    changes = {
        "status": Status.RUNNING.value,
        "owner": execution.pk,
        "executions": execution.number,
        "run_after": None,
        "check_after": None,
        "waiting_for": "",
        "started_at": execution.started_at,
    }
    params = [rows.value(name, changes[name], connection) for name in _CLAIMED]
    params += [rows.value("id", execution.continuation_id, connection), delivery, Status.ENQUEUED.value]
    values = executions.values(execution, executions.names, connection)
    found = _execute(connection, texts.claim, params, texts.record, values)
    if found is None:
        return None
    mark_stored(execution, alias)
    return rows.read(found, connection)


def end(row: Continuation, execution: Execution, changes: Mapping[str, Any], changed: tuple[str, ...]) -> bool:
    """Write `changes` to the row that `execution` owns, and what has `changed` on that. False: it owns it no more."""
    alias = row._state.db or "default"
    connection = connections[alias]
    texts = _texts(alias)
    rows, executions = texts.rows, texts.executions
    params = [rows.value(name, value, connection) for name, value in changes.items()]
    params += [rows.value("id", row.pk, connection), rows.value("owner", execution.pk, connection)]
    written = executions.values(execution, (*changed, "id"), connection)
    return _execute(connection, texts.end(tuple(changes)), params, texts.note(changed), written) is not None


def _execute(
    connection: BaseDatabaseWrapper, change: str, params: list[Any], then: str, values: list[Any]
) -> tuple[Any, ...] | None:
    """Run `change`, which returns the row that it has changed, `then` the other statement, both or neither."""
    if connection.vendor == "postgresql":
        # One round trip, which needs no transaction around it.
        both = f"WITH changed AS ({change}), noted AS ({then}) SELECT * FROM changed"  # noqa: S608 - texts of our own
        with connection.cursor() as cursor:
            cursor.execute(both, [*params, *values])
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found
    with atomic(connection.alias), connection.cursor() as cursor:
        cursor.execute(change, params)
        found = cursor.fetchone()
        if found is not None:
            cursor.execute(then, values)
        return found


class _Texts:
    """The statements, as text. Where both are one, the second looks whether the first has `changed` anything."""

    def __init__(self, alias: str) -> None:
        self.rows: Columns[Continuation] = columns_of(Continuation, alias)
        self.executions: Columns[Execution] = columns_of(Execution, alias)
        executions = self.executions
        are_one = connections[alias].vendor == "postgresql"
        self._source = " FROM changed" if are_one else ""
        self._condition = " AND EXISTS (SELECT 1 FROM changed)" if are_one else ""
        rows = self.rows
        self.claim = (
            f"UPDATE {rows.table} SET {rows.assigned(_CLAIMED)} "  # noqa: S608
            f"WHERE {rows['id']} = %s AND {rows['delivery']} = %s AND {rows['status']} = %s "
            f"AND {rows['executions']} = 0 RETURNING {rows.listed()}"
        )
        self.record = (
            f"INSERT INTO {executions.table} ({executions.listed()}) "
            f"SELECT {', '.join(map(executions.typed, executions.names))}{self._source}"
        )
        self.end = functools.cache(self._end)
        self.note = functools.cache(self._note)

    def _end(self, names: tuple[str, ...]) -> str:
        rows = self.rows
        return (
            f"UPDATE {rows.table} SET {rows.assigned(names)} "  # noqa: S608
            f"WHERE {rows['id']} = %s AND {rows['owner']} = %s RETURNING {rows['id']}"
        )

    def _note(self, names: tuple[str, ...]) -> str:
        executions = self.executions
        return (
            f"UPDATE {executions.table} SET {executions.assigned(names)} "  # noqa: S608
            f"WHERE {executions['id']} = %s{self._condition}"
        )


@functools.cache
def _texts(alias: str) -> _Texts:
    return _Texts(alias)
