"""Database sessions: leaving none to a process that is forked; whose they are, and how to end one of a dead process."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# The number may belong to somebody else by now: only a session that is older than the execution, and idle, is ended.
_END = {
    "postgresql": (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start <= %s "
        "AND datname = current_database() AND state LIKE 'idle in transaction%%'"
    ),
    "mysql": (
        "SELECT id FROM information_schema.processlist WHERE id = %s AND %s IS NOT NULL "
        "AND db = DATABASE() AND command = 'Sleep'"
    ),
}
# Clocks of the worker and of the database may differ by so much.
CLOCK_SKEW = dt.timedelta(minutes=1)


def close_all() -> None:
    """Close all connections of this thread, and Django's pools of them, which would be shared after a fork."""
    connections.close_all()
    for connection in connections.all(initialized_only=True):
        # A connection that was closed lies open in its pool.
        if hasattr(connection, "close_pool"):
            connection.close_pool()


def session_of(connection: BaseDatabaseWrapper) -> str:
    """The server's number for this connection; empty where sessions are not a server's."""
    connection.ensure_connection()
    driver: Any = connection.connection
    if connection.vendor == "postgresql":
        return str(driver.info.backend_pid)
    return str(driver.thread_id()) if connection.vendor == "mysql" else ""


def end_session(connection: BaseDatabaseWrapper, session: str, started_at: dt.datetime) -> bool:
    """End `session` if it existed when the execution started and idles in a transaction. False: it was not ended."""
    statement = _END.get(connection.vendor)
    if statement is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(statement, [int(session), started_at + CLOCK_SKEW])
        found = cursor.fetchone()
        if found and connection.vendor == "mysql":
            cursor.execute("KILL %s", [int(session)])
        return bool(found and found[0])
