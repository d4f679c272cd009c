"""What `step.iterate` walks: sources, which give each item with the cursor after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import count, islice
from os import PathLike
from reprlib import repr as abridged
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager

from .files import CsvFormat, CsvRows, Lines, csv_rows, lines
from .keyset import Keyset, keyset

__all__ = [
    "Batches",
    "CsvFormat",
    "CsvRows",
    "Items",
    "Keyset",
    "Lines",
    "Source",
    "as_source",
    "batches",
    "csv_rows",
    "keyset",
    "lines",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
ModelT = TypeVar("ModelT", bound=Model)

_PATH_LIKE = (str, bytes, bytearray, memoryview, PathLike)

# Iterable, some of them, but never what was meant. A class may be iterable too: an enum is.
_UNWALKABLE = (*_PATH_LIKE, set, frozenset, type)


class Source(Protocol[T_co]):
    """Anything with a method `after`. Write your own for what the sources here do not cover:

        class Countdown:
            def after(self, cursor):
                for left in range(10 if cursor is None else cursor - 1, 0, -1):
                    yield left, left

    `after(cursor)` gives the items beyond that cursor, each with the cursor that stands after it; None is the start.
    A cursor is any value that can be serialised. The source must give the same items in the same order whenever it is
    asked, and hold no transaction while the job works on an item.

    A source may also have `size(item) -> int`, how much of `total` an item counts for (default 1), and
    `total() -> int | None`, how much there is in all (None: unknown). `total` is asked at most once per step.
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


def batches(source: Source[T] | Iterable[T], size: int) -> Batches[T]:
    """The items of a source in lists of `size`; the last may be shorter.

        for orders in step.iterate(batches(Order.objects.all(), 500)):
            with step.atomic():
                Invoice.objects.bulk_create(Invoice(order=order) for order in orders)

    `source` is whatever `step.iterate` takes. The cursor is that of the last item in the list and moves once per list,
    so a list is repeated as a whole or not at all. Progress counts items, not lists.

    Raises `TypeError` or `ValueError` for a size that is not a positive int.
    """
    if type(size) is not int:
        raise TypeError(f"The size of a batch must be an int, got {size!r}. Write batches(Order.objects.all(), 500).")
    if size < 1:
        raise ValueError(f"The size of a batch must be 1 or more, got {size}. Write batches(Order.objects.all(), 500).")
    return Batches(as_source(source), size)


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


class Batches(Generic[T]):
    """What `batches()` returns."""

    def __init__(self, source: Source[T], limit: int) -> None:
        self._source = source
        self._limit = limit

    def after(self, cursor: Any, /) -> Iterator[tuple[list[T], Any]]:
        return self._lists(self._source.after(cursor))

    def size(self, items: list[T]) -> int:
        size = getattr(self._source, "size", None)
        return len(items) if size is None else sum(size(item) for item in items)

    def total(self) -> int | None:
        total = getattr(self._source, "total", None)
        return None if total is None else cast("int | None", total())

    def _lists(self, rows: Iterator[tuple[T, Any]]) -> Iterator[tuple[list[T], Any]]:
        while chunk := list(islice(rows, self._limit)):
            yield [item for item, _ in chunk], chunk[-1][1]


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
