"""A job class with options for one enqueueing: what `using(...)` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from .job import ContinuableJob
    from .models import Continuation

P = ParamSpec("P")


class Performs(Protocol[P]):
    """A job class, seen through the parameters of its `perform`."""

    def perform(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...


class Configured(Generic[P]):
    """A job class with options for one enqueueing. It can be kept, and used again."""

    def __init__(self, job_class: type[ContinuableJob], options: Mapping[str, Any]) -> None:
        self._job_class = job_class
        self._options = options

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Continuation:
        """Like `ContinuableJob.enqueue`, with the options.

        With a `key` that an unfinished continuation has, returns that one and enqueues nothing. Raises
        `KeyConflictError` inside a transaction whose snapshot is older than that one.
        """
        from . import enqueueing

        return enqueueing.enqueue(self._job_class, enqueueing.Options(**self._options), args, kwargs)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Continuation:
        """Like `ContinuableJob.aenqueue`, with the options."""
        return await sync_to_async(self.enqueue)(*args, **kwargs)

    def enqueue_many(self, calls: Iterable[tuple[Any, ...]]) -> list[Continuation]:
        """Like `ContinuableJob.enqueue_many`, with the options, but for a `key`: that is a `ValueError`."""
        from . import enqueueing

        return enqueueing.enqueue_many(self._job_class, enqueueing.Options(**self._options), calls)

    async def aenqueue_many(self, calls: Iterable[tuple[Any, ...]]) -> list[Continuation]:
        """Like `ContinuableJob.aenqueue_many`, with the options."""
        return await sync_to_async(self.enqueue_many)(calls)
