"""Somebody else at the same database: a thread with a connection of its own, held where a test wants it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from django.db import connection, connections

from continuations.ends import Outcome
from continuations.execution import execute
from continuations.models import Continuation
from tests.shapes import Bench

T = TypeVar("T")

# Seconds until a test gives up on what should come at once.
PATIENCE = 30.0

# How a transaction gets its row: SQLite locks the whole database as it begins, and what PostgreSQL does in one
# statement waits for the row there.
LOCKS = r"FOR (NO KEY )?UPDATE|^BEGIN|^WITH changed"
# How a change of a continuation is written, once its row is locked, or as it is.
WRITES = r"^(WITH changed AS \()?UPDATE .continuations_continuation."


class Other(Generic[T]):
    """Does `act` as soon as the block is entered, up to a statement that matches `until`, and the rest later.

    `stop` is False: it does not stop there, and the test knows that it is about to do it. `armed` is False: it only
    looks out for the statement once `arm` was called. The block ends when `act` has.
    """

    def __init__(self, act: Callable[[], T], *, until: str, stop: bool = True, armed: bool = True) -> None:
        self._act = act
        self._until = re.compile(until)
        self._armed = armed
        self._there, self._go = threading.Event(), threading.Event()
        if not stop:
            self._go.set()
        self._error: BaseException | None = None
        self._result: list[T] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Let it come to the statement."""
        self._thread.start()
        assert self._there.wait(PATIENCE), "it did not come to the statement"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._go.set()
        if kind is None:
            self.join()

    def arm(self) -> None:
        """From now on, look out for the statement."""
        self._armed = True

    def join(self) -> T:
        """Let it do the rest, wait for its end, and give what it returned. Raises what it raised."""
        self._go.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._result[0] if self._result else None  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            with connection.execute_wrapper(self._statement):
                self._result.append(self._act())
        except BaseException as error:
            self._error = error
        finally:
            self._there.set()
            connections.close_all()

    def _statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._armed and self._until.search(sql):
            self._armed = False
            self._there.set()
            self._go.wait(PATIENCE)
        return execute(sql, params, many, context)


class AboutToEnd(Bench):
    """Calls `meanwhile` when `perform` has ended, and the outcome is not yet decided."""

    def __init__(self, meanwhile: Callable[[], object], **options: Any) -> None:
        super().__init__(**options)
        self._meanwhile = meanwhile

    def disarm(self) -> None:
        self._meanwhile()


def run(continuation: Continuation, place: Bench | None = None) -> Outcome:
    """One delivery of the current number, by a worker to whom all others are dead."""
    delivery = Continuation.objects.get(pk=continuation.pk).delivery
    return execute(continuation.pk, delivery, place or Bench())


def ending(
    continuation: Continuation, *, until: str, stop: bool = True, first: Callable[[], object] = lambda: None
) -> Other[Outcome]:
    """An execution in another thread, up to a statement of its end. Before that begins, it does `first`."""

    def end() -> None:
        first()
        other.arm()

    other: Other[Outcome] = Other(lambda: run(continuation, AboutToEnd(end)), until=until, stop=stop, armed=False)
    return other
