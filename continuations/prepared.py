"""Statements that PostgreSQL keeps parsed and planned: with short ones that is more than half of the work.

By `PREPARE` and `EXECUTE`, which go through Django's cursors as all else does. Drivers prepare in the protocol instead,
but Django binds on the client's side, and switches that off.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError

from .outages import state_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

logger = logging.getLogger("continuations")

# Uses on one connection before a statement is prepared there, as in drivers: most horses run a few statements once.
THRESHOLD = 5
# The session has no such statement; it has one of that name already; or the columns of a table have changed since. What
# fails so has done nothing.
_REFUSED = frozenset({"26000", "42P05", "0A000"})

_PLACE = re.compile(r"%(?:\((\w+)\))?s")


class Prepared:
    """A statement, the text of which is the same at each use. Its name tells what for, also in the server's log."""

    def __init__(self, purpose: str, sql: str) -> None:
        self.sql = sql
        self.name = f"continuations_{purpose}_{hashlib.sha256(sql.encode()).hexdigest()[:8]}"
        # Parameters by name have one place each, however often they are used.
        places: dict[str, str] = {}

        def place(found: re.Match[str]) -> str:
            given = found[0] if found[1] else f"%s {len(places)}"
            return places.setdefault(given, f"${len(places) + 1}")

        text = _PLACE.sub(place, sql)
        self.prepare = f"PREPARE {self.name} AS {text}"
        self.execute = f"EXECUTE {self.name} ({', '.join(given.partition(' ')[0] for given in places)})"


# For each connection of a driver: how often each statement was used there.
_uses: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
# Aliases where one was refused: behind a pooler, sessions change from one statement to the next.
_plain: set[str] = set()


def execute(
    connection: BaseDatabaseWrapper,
    cursor: CursorWrapper,
    statement: Prepared,
    params: Mapping[str, Any] | Sequence[Any],
) -> None:
    """Execute it: as prepared if it was used often enough on this connection, and nothing speaks against that.

    Never inside a transaction, which would be lost with a statement that is refused.
    """
    if not _may_prepare(connection):
        cursor.execute(statement.sql, params)
        return
    uses = _uses.setdefault(connection.connection, {})
    used = uses.get(statement.name, 0)
    if used < THRESHOLD:
        uses[statement.name] = used + 1
        cursor.execute(statement.sql, params)
        return
    try:
        if used == THRESHOLD:
            cursor.execute(statement.prepare)
            uses[statement.name] = used + 1
        cursor.execute(statement.execute, params)
    except DatabaseError as error:
        if state_of(error) not in _REFUSED:
            raise
        _plain.add(connection.alias)
        logger.info(
            "database %r refused a prepared statement (%s), so none is used there from now on. If it is behind a "
            "pooler of connections, DISABLE_SERVER_SIDE_CURSORS in DATABASES says so from the beginning",
            connection.alias,
            error,
        )
        cursor.execute(statement.sql, params)


def _may_prepare(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql" or connection.in_atomic_block or connection.alias in _plain:
        return False
    # Django's own setting for poolers that give each transaction another session.
    return not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
