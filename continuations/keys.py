"""Keys: one unfinished continuation at most has each. The unique `active_key` decides; NULL once ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, OperationalError, connections, transaction

from .errors import KeyConflictError, storable

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .models import Continuation
    from .querysets import ContinuationQuerySet

# What the column holds.
LENGTH = 200
# Times that a key is found taken by one that has ended when it is looked for, before giving up.
ATTEMPTS = 5

_SERIALIZATION_FAILURE = "40001"


def check_key(key: Any, *, subject: str) -> None:
    """Raise `TypeError` or `ValueError` for a key that cannot be one."""
    if not isinstance(key, str):
        raise TypeError(f"{subject}: key={key!r:.100}: expected a str")
    if not key or len(key) > LENGTH:
        raise ValueError(f"{subject}: key={key!r:.100}: expected 1 to {LENGTH} characters, got {len(key)}")
    if storable(key) != key:
        raise ValueError(f"{subject}: key={key!r:.100}: has characters that databases cannot store")


def insert_or_find(row: Continuation, alias: str) -> Continuation | None:
    """Insert a row with a key, in a savepoint of its own; or return the unfinished continuation that has the key.

    Waits for a transaction that has just inserted the same key. Raises `KeyConflictError` if the caller's transaction
    cannot see who has it.
    """
    return _take(row, alias, lambda: row.save(using=alias, force_insert=True))


def take_key(row: Continuation) -> None:
    """Give a row that had ended its key again, in the transaction that lets it go on; nothing to do without a key.

    Raises `KeyConflictError`, with nothing written, if another unfinished continuation has it by now.
    """
    if row.key is None:
        return
    alias = row._state.db or "default"
    rows = type(row).objects.using(alias).filter(pk=row.pk)
    holder = _take(row, alias, lambda: rows.update(active_key=row.key))
    if holder is not None and holder.pk != row.pk:
        raise KeyConflictError(
            f"{row}: {holder}, which is {holder.status}, has its key {row.key!r} now: wait until that one has ended, "
            "or cancel it"
        )
    row.active_key = row.key


def _take(row: Continuation, alias: str, write: Callable[[], object]) -> Continuation | None:
    """Run `write`, which takes the row's key, or return who has it. Locks that one no longer than it must."""
    connection = connections[alias]
    sees_latest = _sees_latest(connection)
    problem: Exception | None = None
    for _ in range(ATTEMPTS):
        # Most often the key is free, or has been taken long ago: a conflict is an error in the server's log, and
        # leaves a lock behind on MySQL.
        holder: Continuation | None = _holders(row, alias).first() if sees_latest else None
        if holder is not None:
            return holder
        try:
            with transaction.atomic(using=alias):
                write()
            return None
        except IntegrityError as error:
            problem = error
        except OperationalError as error:
            if not _is_serialization_failure(error):
                raise
            raise _unseen(row) from error
        holder = None if sees_latest else _read_locking(row, alias)
        if holder is not None:
            return holder
    raise _unseen(row) from problem


def _holders(row: Continuation, alias: str) -> ContinuationQuerySet:
    return type(row).objects.using(alias).filter(active_key=row.key)


def _read_locking(row: Continuation, alias: str) -> Continuation | None:
    """Who has the key now, read past the transaction's snapshot where the database can."""
    holders = _holders(row, alias)
    if connections[alias].vendor == "mysql":
        # Shared, as is the lock that the conflict has left: two that wait for each other's would be a deadlock.
        sql, params = holders.query.sql_with_params()
        return next(iter(holders.raw(f"{sql} LOCK IN SHARE MODE", params)), None)
    try:
        with transaction.atomic(using=alias):
            holder: Continuation | None = holders.select_for_update(no_key=True).first()
            # PostgreSQL gives the lock back with the savepoint.
            transaction.set_rollback(True, using=alias)
    except OperationalError as error:
        if not _is_serialization_failure(error):
            raise
        raise _unseen(row) from error
    return holder


def _sees_latest(connection: BaseDatabaseWrapper) -> bool:
    """Whether a plain read sees all that is committed by now. In a transaction that keeps to a snapshot it does not."""
    if not connection.in_atomic_block or connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute(_ISOLATION[connection.vendor, getattr(connection, "mysql_is_mariadb", False)])
        level = str(cursor.fetchone()[0])
    return level.lower().replace("-", " ") in {"read committed", "read uncommitted"}


_ISOLATION = {
    ("postgresql", False): "SHOW transaction_isolation",
    ("mysql", False): "SELECT @@transaction_isolation",
    ("mysql", True): "SELECT @@tx_isolation",
}


def _is_serialization_failure(error: Exception) -> bool:
    cause = error.__cause__
    return _SERIALIZATION_FAILURE in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None))


def _unseen(row: Continuation) -> KeyConflictError:
    return KeyConflictError(
        f"{row.job_name}: an unfinished continuation that this transaction cannot see has the key {row.key!r}: run the "
        "transaction again"
    )
