"""Transactions of our own, which look at what others have committed by then, whatever the project's level is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connections, transaction

# PostgreSQL's levels that keep to a snapshot, as psycopg counts them. It is taken before the first lock is had, so that
# what another has committed while we waited would not be seen: a wake-up would be lost. MySQL takes it afterwards.
_SNAPSHOTS = frozenset({3, 4})


@contextlib.contextmanager
def atomic(alias: str) -> Iterator[None]:
    """`transaction.atomic`; at READ COMMITTED, unless it is inside a transaction that had begun before."""
    connection = connections[alias]
    begins = not connection.in_atomic_block
    with transaction.atomic(using=alias):
        if begins and getattr(connection, "isolation_level", None) in _SNAPSHOTS and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield
