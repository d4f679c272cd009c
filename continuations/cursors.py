"""One of Django's cursors for the many short statements of an execution: each is made anew otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper


class Cursor:
    """A cursor that is kept until Django has another connection of the driver's, or somebody wants its queries logged.

    What is read from it has to be read to its end. Whoever closes the connection closes the cursor with it.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._cursor: CursorWrapper
        # The driver's, and whether somebody wanted its queries, when the cursor was made.
        self._made_for: Any = None
        self._logged = False

    def __enter__(self) -> CursorWrapper:
        connection = self._connection
        made_for = self._made_for
        if made_for is None or connection.connection is not made_for or connection.force_debug_cursor != self._logged:
            self.close()
            # Django looks after the connection as it does for each cursor.
            self._cursor = connection.cursor()
            self._made_for, self._logged = connection.connection, connection.force_debug_cursor
        return self._cursor

    def __exit__(self, kind: type[BaseException] | None, *args: object) -> None:
        if kind is not None:
            self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._made_for is not None:
            self._made_for = None
            # As at the end of a `with`: on a connection that is lost, to close it is an error of the driver's own.
            self._cursor.__exit__(None, None, None)
