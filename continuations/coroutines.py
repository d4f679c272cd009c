"""Coroutines in jobs, which are synchronous: how they are run, and how they call what needs the job's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import AsyncToSync, async_to_sync, sync_to_async

P = ParamSpec("P")
R = TypeVar("R")


def in_event_loop() -> bool:
    """Whether this thread is between two awaits of a coroutine, where the database cannot be used."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine to its end in a loop of its own, in a thread of its own, and return its result.

    This thread, which has the database connection, serves what it calls by `sync_to_async` meanwhile. What a signal
    raises here (RQ's time-out, a shutdown, Ctrl-C) cancels the coroutine, and comes out once that has ended: nothing
    of it goes on behind the job's back. One that ends in a cancellation of its own raises
    `concurrent.futures.CancelledError`, an `Exception` like any other.
    """
    running = _Running(coroutine)
    try:
        result: R = async_to_sync(running.main)()
        return result
    except asyncio.CancelledError as error:
        raise CancelledError("the coroutine was cancelled, or awaited something that was") from error
    except BaseException:
        running.end()
        raise


async def call(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Await `function(...)` in the job's thread. A cancellation waits for its end, and gives way to its error."""
    done = asyncio.ensure_future(sync_to_async(function)(*args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        if not done.cancelled():
            done.result()
        raise


class _Running:
    """A coroutine on its way, as the thread sees it that waits for it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._cancel: Callable[[], object] | None = None
        self._executor: Any = None
        self._ended: Future[None] = Future()

    async def main(self) -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        # What serves the calls that come back to the thread that waits.
        self._executor = getattr(AsyncToSync.executors, "current", None)
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await self._coroutine
        finally:
            self._ended.set_result(None)

    def end(self) -> None:
        """Let it end, if it has not."""
        if self._cancel is None:
            self._coroutine.close()
        elif not self._ended.done():
            self._cancel()
            if self._executor is not None:
                # It may have to roll back, in this thread.
                self._executor.run_until_future(self._ended)
            self._ended.result()
