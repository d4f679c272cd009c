"""What a worker does once, so that the processes that it forks need not, each for its small job."""

from __future__ import annotations

# What a horse runs: imported here, it is there after a fork.
from . import execution, liveness, shortcuts
from .conf import database

__all__ = ["execution", "prepare"]


def prepare() -> None:
    """Make what is the same in all of them. Opens no connection, which they would inherit."""
    liveness.host()
    liveness.boot_id()
    shortcuts.prepare(database())
