"""A source within each item of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from reprlib import repr as abridged
from typing import Any, Generic, TypeVar

from .walking import GAP, Source, as_source, is_gap

A = TypeVar("A")
B = TypeVar("B")

_EXAMPLE = "nested(Account.objects.all(), lambda account: account.orders.all())"


def nested(outer: Source[A] | Iterable[A], inner: Callable[[A], Source[B] | Iterable[B]]) -> Nested[A, B]:
    """For each item of `outer`, the items of `inner(item)`, as pairs of both.

        for account, order in step.iterate(nested(Account.objects.all(), lambda account: account.orders.all())):
            order.archive(account.folder)

    `outer`, and what `inner` returns, are whatever `step.iterate` takes. `nested` in `nested` goes deeper:
    `nested(nested(accounts, orders_of), lambda pair: lines_of(pair[1]))` gives items `((account, order), line)`.

    The cursor is `(before, (item, inner))`: the cursor of `outer` before its item in hand, the one after it, which
    tells what item that is, and the cursor of its inner source. It moves with each pair, and past an item with nothing
    inside to `(after,)`. When the job is resumed, the walk goes on from `before`, and the same item goes on at `inner`.
    If that item is gone, the next one begins at its own start. If others have come in before it, they are visited
    first, and its place stays at the end of the cursor until it is met again.

    Progress counts pairs, or as much as the inner source says of its item. There is no `total`, since that would be a
    query for each item; `step.progress(total=…)` sets one.

    Raises `TypeError` for arguments that cannot be walked, and while walking for an `inner` that returns such.
    """
    if not callable(inner):
        raise TypeError(
            f"nested() takes a function that gives what is inside an item, got {abridged(inner)}. Write {_EXAMPLE}."
        )
    return Nested(as_source(outer), inner)


class Nested(Generic[A, B]):
    """What `nested()` returns."""

    def __init__(self, outer: Source[A], inner: Callable[[A], Source[B] | Iterable[B]]) -> None:
        self._outer = outer
        self._inner = inner
        # Of the inner source in hand.
        self._size: Callable[[B], int] | None = None
        self._key: Callable[[Any], Any] | None = None

    def after(self, cursor: Any, /) -> Iterator[tuple[tuple[A, B], tuple[Any, ...]]]:
        if cursor is None:
            return self._pairs(None, [])
        if not isinstance(cursor, tuple) or not cursor or not all(map(_is_pair, cursor[1:])):
            raise TypeError(
                f"Cursor {cursor!r} is no place in a nested(): expected (before, (item, inner)), or None for the start."
            )
        return self._pairs(cursor[0], list(cursor[1:]))

    def size(self, pair: tuple[A, B]) -> int:
        return 1 if self._size is None else self._size(pair[1])

    def total(self) -> None:
        return None

    def key(self, cursor: tuple[Any, ...]) -> Any:
        """Which pair is in hand. Its cursor also tells where the walk has come from, and that may be gone."""
        item, place = cursor[1]
        return (item, place if self._key is None else self._key(place))

    def _pairs(self, before: Any, begun: list[tuple[Any, Any]]) -> Iterator[tuple[tuple[A, B], tuple[Any, ...]]]:
        key_of = getattr(self._outer, "key", None)
        for item, after in self._outer.after(before):
            if is_gap(item):
                before = after
                yield GAP, (before, *begun)
                continue
            key = after if key_of is None else key_of(after)
            begin = _taken(begun, key)
            source = self._source(item)
            self._size, self._key = getattr(source, "size", None), getattr(source, "key", None)
            is_empty = begin is None
            for each, place in source.after(begin):
                cursor = (before, (key, place), *begun)
                if is_gap(each):
                    yield GAP, cursor
                    continue
                is_empty = False
                yield (item, each), cursor
            before = after
            if is_empty:
                yield GAP, (before, *begun)

    def _source(self, item: A) -> Source[B]:
        found = self._inner(item)
        try:
            return as_source(found)
        except TypeError as error:
            raise TypeError(
                f"What nested() finds inside {abridged(item)} cannot be walked: {error} Or: {_EXAMPLE}."
            ) from None


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _taken(begun: list[tuple[Any, Any]], key: Any) -> Any:
    """The place within this item, if it was begun; it is in hand again then."""
    for index, (item, place) in enumerate(begun):
        if item == key:
            del begun[index]
            return place
    return None
