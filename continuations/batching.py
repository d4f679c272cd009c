"""The items of a source in lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from .walking import GAP, Source, as_source, is_gap

T = TypeVar("T")


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


class Batches(Generic[T]):
    """What `batches()` returns."""

    def __init__(self, source: Source[T], limit: int) -> None:
        self._source = source
        self._limit = limit
        # How much the list in hand counts, and which item it ends with.
        self._counted = 0
        self._key: Any = None

    def after(self, cursor: Any, /) -> Iterator[tuple[list[T], Any]]:
        return self._lists(self._source.after(cursor))

    def size(self, items: list[T]) -> int:
        return self._counted

    def total(self) -> int | None:
        total = getattr(self._source, "total", None)
        return None if total is None else cast("int | None", total())

    def key(self, cursor: Any) -> Any:
        """Which list is in hand: see `Nested.key`."""
        return self._key

    def _lists(self, rows: Iterator[tuple[T, Any]]) -> Iterator[tuple[list[T], Any]]:
        size, key = getattr(self._source, "size", None), getattr(self._source, "key", None)
        items: list[T] = []
        counted, end = 0, None
        for item, end in rows:
            if is_gap(item):
                if not items:
                    yield GAP, end
                continue
            items.append(item)
            counted += 1 if size is None else size(item)
            self._key = end if key is None else key(end)
            if len(items) == self._limit:
                self._counted = counted
                yield items, end
                items, counted = [], 0
        if items:
            self._counted = counted
            yield items, end
