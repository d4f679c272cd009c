"""What nearly every job does, in one statement each: be claimed for the first time, and succeed.

Where the row is not as they expect they change nothing and say so; the way round then finds out what is the matter.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import connections

from . import prepared
from .columns import NOT_AWAITED, RETURNING, Columns, columns_of, mark_stored, need_not_wait
from .isolation import atomic
from .models import Continuation, Execution
from .prepared import Prepared
from .transitions import Status

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


# What a first claim changes, in this order.
_CLAIMED = ("status", "owner", "executions", "run_after", "check_after", "waiting_for", "started_at")
# What differs from execution to execution as it begins; all else is its columns' default.
_BEGUN = (
    "id",
    "continuation_id",
    "number",
    "worker",
    "host",
    "pid",
    "boot",
    "rq_job_id",
    "rq_execution_id",
    "lease",
    "database_session",
    "started_at",
)
# Columns of a row that nobody but its owner writes: what is known to be there need not be written again.
_OWNERS = frozenset(
    {"attempts_json", "crashes", "error_class", "error_message", "error_traceback", "errors", "result_json"}
)


def are_there(alias: str) -> bool:
    """Whether the database can do it."""
    return connections[alias].vendor in RETURNING


def prepare(alias: str) -> None:
    """Make the texts now."""
    texts = _texts(alias)
    if connections[alias].vendor == "postgresql":
        _both("claim", texts.claim_at_once, texts.record)


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
    values = executions.values(execution, _BEGUN, connection)
    # Nothing has been done yet that a server which crashes could make undone.
    change = texts.claim_at_once if need_not_wait(connection) else texts.claim
    found = _execute(connection, "claim", change, params, texts.record, values)
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
    found = row.__dict__
    changes = {name: value for name, value in changes.items() if name not in _OWNERS or found[name] != value}
    params = [rows.value(name, value, connection) for name, value in changes.items()]
    params += [rows.value("id", row.pk, connection), rows.value("owner", execution.pk, connection)]
    written = executions.values(execution, (*changed, "id"), connection)
    return _execute(connection, "end", texts.end(tuple(changes)), params, texts.note(changed), written) is not None


def _execute(
    connection: BaseDatabaseWrapper, purpose: str, change: str, params: list[Any], then: str, values: list[Any]
) -> tuple[Any, ...] | None:
    """Run `change`, which returns the row that it has changed, `then` the other statement, both or neither."""
    if connection.vendor == "postgresql":
        # One round trip, which needs no transaction around it.
        with connection.cursor() as cursor:
            prepared.execute(connection, cursor, _both(purpose, change, then), [*params, *values])
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found
    with atomic(connection.alias), connection.cursor() as cursor:
        cursor.execute(change, params)
        found = cursor.fetchone()
        if found is not None:
            cursor.execute(then, values)
        return found


@functools.cache
def _both(purpose: str, change: str, then: str) -> Prepared:
    text = f"WITH changed AS ({change}), noted AS ({then}) SELECT * FROM changed"  # noqa: S608 - texts of our own
    return Prepared(purpose, text)


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
        # The status in a form for which there is no index: see `unchanged` of the querysets.
        claim = (
            f"UPDATE {rows.table} SET {rows.assigned(_CLAIMED)} WHERE {rows['id']} = %s "  # noqa: S608
            f"AND {rows['delivery']} = %s AND {rows['status']} || '' = %s AND {rows['executions']} = 0"
        )
        returning = f" RETURNING {rows.listed()}"
        self.claim = claim + returning
        self.claim_at_once = f"{claim} AND {NOT_AWAITED}{returning}"
        values = {name: executions.typed(name) for name in _BEGUN} | executions.literal_defaults(without=_BEGUN)
        self.record = (
            f"INSERT INTO {executions.table} ({executions.listed(values)}) "
            f"SELECT {', '.join(values.values())}{self._source}"
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
