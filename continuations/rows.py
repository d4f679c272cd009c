"""The turns of `step.iterate`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import coroutines
from .errors import CheckpointError
from .walking import GAP

if TYPE_CHECKING:
    from .step import Step

T = TypeVar("T")

# No item: none is in hand, or none came.
NOTHING: Any = object()


class Rows(Generic[T]):
    """The items of a source from the step's cursor on."""

    def __init__(self, step: Step, source: Any) -> None:
        self._step = step
        self._source = source

    def __iter__(self) -> Iterator[T]:
        step = self._step
        step.refuse_in_event_loop("`for` over step.iterate()", "async for")
        if step._walk is not None:
            raise self._nested()
        step._walk = self
        # A turn may happen a million times a second: nothing is set in vain, and a quiet end of one is here in line.
        size, is_quiet, nothing = getattr(self._source, "size", None), step._is_quiet, NOTHING
        step._lazy_total = getattr(self._source, "total", None)
        step._after = NOTHING
        try:
            for item, after in self._source.after(step.cursor):
                step._after = after
                if item is GAP:
                    self._pass_gap()
                    continue
                if size is not None:
                    step._size = size(item)
                    step._check_count(step._size, "the source's size() gave")
                yield item
                if step._walk is not self:
                    raise self._nested()
                if step._after is not nothing and is_quiet():
                    step._cursor, step._after = after, nothing
                    step._processed += step._size
                    step.unsaved = True
                else:
                    step._finish_turn()
        finally:
            if step._walk is self:
                step._walk, step._after, step._size, step._turn_done = None, NOTHING, 1, False

    def _pass_gap(self) -> None:
        """A turn without an item, which counts nothing."""
        self._step._size = 0
        self._step._finish_turn()
        self._step._size = 1

    def _nested(self) -> CheckpointError:
        return CheckpointError(
            f"step {self._step.name!r}: iterate() inside a turn of iterate(): a step has one cursor; "
            "walk the inner items in a plain loop, or both with nested() of continuations.sources"
        )

    def __aiter__(self) -> AsyncIterator[T]:
        return _AsyncRows(iter(self))


class _AsyncRows(Generic[T]):
    """One turn at a time, in the job's thread. No generator: it would end its walk some time after a `break`."""

    def __init__(self, rows: Iterator[T]) -> None:
        self._rows = rows

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        item = await coroutines.call(next, self._rows, NOTHING)
        if item is NOTHING:
            raise StopAsyncIteration
        return item
