"""What a worker does once, so that the processes that it forks need not, each for its small job."""

from __future__ import annotations

# What a horse runs: imported here, it is there after a fork.
from . import execution, liveness, shortcuts, statements
from .conf import database

__all__ = ["execution", "prepare"]


def prepare() -> None:
    """Make what is the same in all of them. Opens no connection, which they would inherit."""
    liveness.host()
    liveness.boot_id()
    alias = database()
    # Elsewhere Django asks the server what it is before it says what types are called.
    if shortcuts.are_there(alias):
        shortcuts.prepare(alias)
        statements.prepare(alias)
