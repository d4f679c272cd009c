"""Transactions that a job opens by itself: which are open, how they ended, and getting rid of those left open."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from django.db import connections, transaction

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class Ended(Enum):
    """How a block ended, as far as Django knows: a savepoint rolled back by hand shows only in what is stored."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"


class Blocks:
    """The atomic blocks of one execution, on all aliases. Those a test case or a caller opened before do not count."""

    def __init__(self, alias: str) -> None:
        self.own = connections[alias]
        # Work in a transaction on another alias may still be rolled back: no cursor is stored ahead of it.
        self.others = [connections[other] for other in connections if other != alias]
        self._all = (self.own, *self.others)
        self._outer: dict[str, int] = {}
        # One for each block in which the cursor moved, until it has ended.
        self._marks: list[_Mark] = []
        self.note_outer()

    @property
    def any_open(self) -> bool:
        """Some alias is in a transaction, whoever opened it. Cheap; `open_alias` tells whether it counts."""
        if self.own.in_atomic_block:
            return True
        return any(connection.in_atomic_block for connection in self.others) if self.others else False

    @property
    def own_is_open(self) -> bool:
        """Our alias is in a transaction, whoever opened it."""
        return self.own.in_atomic_block

    def open_alias(self) -> str | None:
        """Alias on which a transaction is open that was opened after `perform` began; ours comes first."""
        for connection in self._all:
            if connection.in_atomic_block and self._counts(connection):
                return connection.alias
        return None

    def note_outer(self) -> None:
        """Remember which transactions are open as `perform` begins."""
        self._outer = {each.alias: _depth(each) for each in self._all}

    def mark(self, *, own: bool) -> None:
        """The cursor moves: where a block is open, it has to come back with it. `own`: on our alias, too."""
        for connection in self._all if own else self.others:
            if self._counts(connection):
                self._mark(connection)

    @property
    def any_marked(self) -> bool:
        """The cursor moved in a block that may have ended since."""
        return bool(self._marks)

    def ended(self) -> Ended | None:
        """Whether a marked block has ended since this was last asked, and how; a rollback outweighs."""
        if not self._marks:
            return None
        gone = [mark for mark in self._marks if not mark.is_open]
        self._marks = [mark for mark in self._marks if mark.is_open]
        if any(not mark.committed for mark in gone):
            return Ended.ROLLED_BACK
        return Ended.COMMITTED if gone else None

    def abandon(self) -> list[str]:
        """Roll back transactions that `perform` opened and left open; their aliases.

        Nothing that is written inside one is written. Django offers no way out of a block from outside, so the
        connection is closed and its books are reset; under a test case's transaction that is impossible, and left.
        """
        left = [connection for connection in self._all if self._counts(connection)]
        for connection in left:
            if self._outer.get(connection.alias, 0) == 0:
                connection.savepoint_ids.clear()
                connection.run_on_commit.clear()
                connection.in_atomic_block = connection.needs_rollback = False
                connection.close()
        return [connection.alias for connection in left]

    def _counts(self, connection: BaseDatabaseWrapper) -> bool:
        return connection.in_atomic_block and _depth(connection) > self._outer.get(connection.alias, 0)

    def _mark(self, connection: BaseDatabaseWrapper) -> None:
        savepoints = set(connection.savepoint_ids)
        if any(mark.connection is connection and mark.savepoints == savepoints for mark in self._marks):
            return
        mark = _Mark(connection, savepoints)
        self._marks.append(mark)
        transaction.on_commit(mark, using=connection.alias)


class _Mark:
    """Tells how the block it was left in has ended.

    Django runs what was registered for a commit when it happens, and drops it on a rollback, of savepoints too.
    """

    def __init__(self, connection: BaseDatabaseWrapper, savepoints: set[str]) -> None:
        self.connection = connection
        self.savepoints = savepoints
        self.committed = False

    @property
    def is_open(self) -> bool:
        """The block has neither committed nor been rolled back."""
        return any(entry[1] is self for entry in self.connection.run_on_commit)

    def __call__(self) -> None:
        self.committed = True


def _depth(connection: BaseDatabaseWrapper) -> int:
    """How many atomic blocks are open, savepoints included."""
    return len(connection.savepoint_ids) + int(connection.in_atomic_block)
