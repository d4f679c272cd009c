"""What a worker does once, so that the processes that it forks need not, each for its small job."""

from __future__ import annotations

# What a horse runs: imported here, it is there after a fork.
from typing import TYPE_CHECKING

from . import execution, liveness, runner, shortcuts, statements
from .conf import database

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["execution", "prepare", "runner"]


def prepare(connection: Redis) -> None:
    """Make what is the same in all of them. Opens no connection, which they would inherit."""
    _name_driver(connection)
    liveness.host()
    liveness.boot_id()
    alias = database()
    # Elsewhere Django asks the server what it is before it says what types are called.
    if shortcuts.are_there(alias):
        shortcuts.prepare(alias)
        statements.prepare(alias)


def _name_driver(connection: Redis) -> None:
    """Look up the version of redis-py, which its connections tell the server: each of them would, in its metadata."""
    options = connection.connection_pool.connection_kwargs
    if options.keys() & {"driver_info", "lib_name", "lib_version"}:
        return
    try:
        from redis.driver_info import DriverInfo
    except ImportError:
        # An older release, which does not look it up in this way.
        return
    options["driver_info"] = DriverInfo()
