"""A database that is away for a while, and statements of ours that lost a race."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from django.db import Error, InterfaceError, OperationalError, connections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

# What drivers raise for a lost connection, a deadlock, a serialization failure, a lock that was not to be had.
TROUBLE = (OperationalError, InterfaceError)
# Seconds between the tries of one statement of ours: enough for a fast restart, short enough for a shutdown.
PAUSES = (0.05, 0.1, 0.3, 0.8, 2.0)


def is_away(connection: BaseDatabaseWrapper) -> bool:
    """Whether the connection is of no use any more, so that the error was not about what was asked."""
    if connection.connection is None:
        return True
    try:
        return not connection.is_usable()
    except Error:
        return True


def reconnect(alias: str) -> bool:
    """Close what is left of the connection and open another. False: the database is still away."""
    connection = connections[alias]
    try:
        connection.close()
        connection.ensure_connection()
    except Error:
        return False
    return True


def insistently(alias: str, statement: Callable[[], T], pause: Callable[[float], object] = time.sleep) -> T:
    """Run a statement of ours again after a deadlock, or on a new connection. It must know its own success.

    Inside a transaction nothing can be repeated: the error goes to whoever opened it.
    """
    connection = connections[alias]
    for seconds in PAUSES:
        if connection.in_atomic_block:
            break
        try:
            return statement()
        except TROUBLE:
            if is_away(connection):
                reconnect(alias)
            pause(seconds)
    return statement()
