"""A database that is away for a while, and statements of ours that lost a race."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error, InterfaceError, OperationalError, connections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

# What drivers raise for a lost connection, a deadlock, a serialization failure, a lock that was not to be had.
TROUBLE = (OperationalError, InterfaceError)
# Seconds between the tries of one statement of ours: enough for a fast restart, short enough for a shutdown.
PAUSES = (0.05, 0.1, 0.3, 0.8, 2.0)
# What a server says as it ends a session: PostgreSQL's states (08 is a class of them), numbers of MySQL and MariaDB.
_STATES = ("08", "25P03", "57P01", "57P02", "57P03", "57P05")
_NUMBERS = frozenset({1053, 1927, 4031})
# MySQL's client library counts its own errors from here on; all but a few are about the connection.
_CLIENT_NUMBERS = range(2000, 3000)


def is_away(connection: BaseDatabaseWrapper) -> bool:
    """Whether the connection is of no use any more, so that the error was not about what was asked.

    Then the next statement opens another: on what is left, closing a cursor would raise an error of the driver's own.
    """
    if connection.connection is None:
        return True
    with contextlib.suppress(Error):
        if connection.is_usable():
            return False
    if not connection.in_atomic_block:
        with contextlib.suppress(Error):
            connection.close()
    return True


def tells_of_a_loss(error: BaseException) -> bool:
    """Whether a database error says that a connection was lost. By now there may be another one."""
    cause: Any = error.__cause__ or error
    if hasattr(cause, "sqlstate") or hasattr(cause, "pgcode"):
        state = state_of(error)
        # The driver itself found out, and there was nobody to give a state.
        return state is None or state.startswith(_STATES)
    number = cause.args[0] if cause.args else None
    return number in _NUMBERS or number in _CLIENT_NUMBERS


def state_of(error: BaseException) -> str | None:
    """PostgreSQL's state of a database error, if it gave one."""
    cause: Any = error.__cause__ or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def reconnect(alias: str) -> bool:
    """Close what is left of the connection and open another. False: the database is still away."""
    connection = connections[alias]
    try:
        connection.close()
        connection.ensure_connection()
    except Error:
        return False
    return True


def insistently(
    connection: BaseDatabaseWrapper, statement: Callable[[], T], pause: Callable[[float], object] = time.sleep
) -> T:
    """Run a statement of ours again after a deadlock, or on a new connection. It must know its own success.

    Inside a transaction nothing can be repeated: the error goes to whoever opened it.
    """
    for seconds in PAUSES:
        if connection.in_atomic_block:
            break
        try:
            return statement()
        except TROUBLE:
            if is_away(connection):
                reconnect(connection.alias)
            pause(seconds)
    return statement()
