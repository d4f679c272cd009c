"""Transactions of our own, which look at what others have committed by then, whatever the project's level is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@contextlib.contextmanager
def atomic(alias: str) -> Iterator[None]:
    """`transaction.atomic`; at READ COMMITTED, unless it is inside a transaction that had begun before."""
    connection = connections[alias]
    begins = not connection.in_atomic_block
    with transaction.atomic(using=alias):
        if begins and _keeps_a_snapshot(connection):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield


def _keeps_a_snapshot(connection: BaseDatabaseWrapper) -> bool:
    """Whether its transactions see what was committed when they first looked, and perhaps had to wait for a lock.

    As `DATABASES` says; without a word of it Django takes READ COMMITTED on MySQL, and PostgreSQL by itself.
    """
    level: Any = getattr(connection, "isolation_level", None)
    if connection.vendor == "mysql":
        return level is None or level.startswith(("repeatable", "serializable"))
    # As psycopg counts them: REPEATABLE READ and SERIALIZABLE.
    return connection.vendor == "postgresql" and level is not None and level >= 3
