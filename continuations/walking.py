"""What a source is, and how what `step.iterate` is given becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import count, islice
from os import PathLike
from reprlib import repr as abridged
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager

from .keyset import keyset

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
ModelT = TypeVar("ModelT", bound=Model)

_PATH_LIKE = (str, bytes, bytearray, memoryview, PathLike)

# Iterable, some of them, but never what was meant. A class may be iterable too: an enum is.
_UNWALKABLE = (*_PATH_LIKE, set, frozenset, type)


class _Gap:
    def __repr__(self) -> str:
        return "GAP"


# What a source gives in place of an item where there is none, so that the cursor moves all the same.
GAP: Any = _Gap()


def is_gap(item: object) -> bool:
    """Whether there is no item here."""
    return item is GAP


class Source(Protocol[T_co]):
    """Anything with a method `after`. Write your own for what the sources here do not cover:

        class Countdown:
            def after(self, cursor):
                for left in range(10 if cursor is None else cursor - 1, 0, -1):
                    yield left, left

    `after(cursor)` gives the items beyond that cursor, each with the cursor that stands after it; None is the start.
    A cursor is any value that can be serialised. The source must give the same items in the same order whenever it is
    asked, and hold no transaction while the job works on an item. A cursor that it cannot make sense of is a
    `TypeError`: the code has changed, or a person has set it.

    A source that passes by a lot between two items gives `GAP, cursor` now and then: nothing reaches the job, but the
    cursor moves, and the job may stop there.

    A source may also have `size(item) -> int`, how much of `total` an item counts for (default 1), asked before the
    next item is, and `total() -> int | None`, how much there is in all (None: unknown), asked at most once per step.
    """

    def after(self, cursor: Any, /) -> Iterator[tuple[T_co, Any]]: ...


@overload
def as_source(value: QuerySet[Any, T]) -> Source[T]: ...
@overload
def as_source(value: BaseManager[ModelT]) -> Source[ModelT]: ...
@overload
def as_source(value: Source[T]) -> Source[T]: ...
@overload
def as_source(value: Iterable[T]) -> Source[T]: ...
def as_source(value: Any) -> Source[Any]:
    """What `step.iterate(value)` walks.

        as_source(["a", "b"]).after(1)     # gives ("b", 2)

    A queryset or manager is walked by primary key (see `keyset`), anything else with a method `after` is a source
    already, and any other iterable is walked by index: the cursor is the number of items done. Resuming a sequence
    starts at that index; of another iterable the items done are made again and dropped. Either must give the same
    items in the same order on each execution. A dict gives its keys.

    Raises `TypeError` for what has no order that survives (a set), for a string, a path, a class and what cannot be
    iterated; the message shows a correct call.
    """
    # Before `after`, which is a natural name for a method of a queryset.
    if isinstance(value, QuerySet | BaseManager):
        return keyset(value)
    if not isinstance(value, type) and callable(getattr(value, "after", None)):
        return cast(Source[Any], value)
    if isinstance(value, _UNWALKABLE) or not isinstance(value, Iterable):
        raise TypeError(f"step.iterate() expected a queryset, an iterable or a source, got {_complaint(value)}")
    return Items(value)


class Items(Generic[T]):
    """An iterable walked by index."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items

    def after(self, cursor: Any, /) -> Iterator[tuple[T, int]]:
        done = 0 if cursor is None else cursor
        if type(done) is not int or done < 0:
            kind = type(self._items).__name__
            raise TypeError(f"Cursor {cursor!r} is no place in a {kind}: expected the number of items done, or None.")
        if isinstance(self._items, Sequence):
            return self._from(self._items, done)
        return zip(islice(self._items, done, None), count(done + 1), strict=False)

    def total(self) -> int | None:
        return len(self._items) if isinstance(self._items, Sized) else None

    @staticmethod
    def _from(items: Sequence[T], index: int) -> Iterator[tuple[T, int]]:
        # Not range(len(items)): a list may grow or shrink meanwhile, as in a for loop.
        while index < len(items):
            item = items[index]
            index += 1
            yield item, index


def _complaint(value: object) -> str:
    got = abridged(value)
    if isinstance(value, _PATH_LIKE):
        return f"{got}: did you mean csv_rows(path) or lines(path)?"
    if isinstance(value, set | frozenset):
        return f"the set {got}, whose order does not survive a restart. Write step.iterate(sorted(items))."
    if isinstance(value, type) and issubclass(value, Model):
        return f"the class {value.__name__}. Write step.iterate({value.__name__}.objects.all())."
    if isinstance(value, type):
        return f"the class {value.__name__}. Write step.iterate([…]), or make an instance of it."
    if callable(value):
        return f"{got}. Did you mean to call it? Write step.iterate(rows())."
    return f"{got}. Write step.iterate(Order.objects.all()) or step.iterate([…])."
