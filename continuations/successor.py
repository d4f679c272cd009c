"""What comes after a cursor: `advance()` asks here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeVar

from .errors import UnadvanceableCursorError

T = TypeVar("T")


@singledispatch
def successor(cursor: Any) -> Any:
    """The value after `cursor`: int + 1, date + 1 day, and whatever was registered.

    Teach it a type with `register`, a decorator::

        @continuations.successor.register(Version)
        def _(version): return version.next_minor()
    """
    raise UnadvanceableCursorError(
        f"a cursor of type {type(cursor).__name__} ({cursor!r}) has no successor; "
        "expected an int or a date, or a type registered with @continuations.successor.register"
    )


@successor.register
def _int(cursor: int) -> int:
    return cursor + 1


@successor.register
def _bool(cursor: bool) -> Any:
    raise UnadvanceableCursorError(f"a bool ({cursor!r}) has no successor; expected an int or a date")


@successor.register
def _none(cursor: None) -> Any:
    raise UnadvanceableCursorError(
        "advance() found no cursor to advance from: give the step `start=0`, or call `advance(from_=...)`"
    )


@successor.register
def _date(cursor: dt.date) -> dt.date:
    return cursor + dt.timedelta(days=1)


@successor.register
def _datetime(cursor: dt.datetime) -> Any:
    raise UnadvanceableCursorError(
        f"a datetime ({cursor!r}) has no successor; use a date, or call `step.set(...)` with the next one"
    )


def register(kind: type[T]) -> Callable[[Callable[[T], T]], Callable[[T], T]]:
    """Decorator: the decorated function gives the successor of a `kind`."""

    def decorator(function: Callable[[T], T]) -> Callable[[T], T]:
        successor.register(kind, function)
        return function

    return decorator
