"""Coroutines in jobs, which are synchronous: how they are run, and how they call what needs the job's thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import AsyncToSync, async_to_sync, sync_to_async

P = ParamSpec("P")
R = TypeVar("R")

# Seconds between two times that the thread that waits is woken. Python runs handlers of signals there. A signal that
# comes just as it falls asleep, or that the kernel gives to another thread, does not wake it.
WAKING = 0.5

# Holds signals back, calls what it is given when it does, and gives what lets them through.
Defer = Callable[[Callable[[], object]], AbstractContextManager[Callable[[], None]]]


def in_event_loop() -> bool:
    """Whether this thread is between two awaits of a coroutine, where the database cannot be used."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run(coroutine: Coroutine[Any, Any, R], defer: Defer | None = None) -> R:
    """Run a coroutine to its end in a loop of its own, in a thread of its own, and return its result.

    This thread, which has the database connection, serves what it calls by `sync_to_async` meanwhile. What a signal
    raises here (RQ's time-out, a shutdown, Ctrl-C) cancels the coroutine where it awaits, and comes out once that has
    ended: nothing of it goes on behind the job's back. `defer` keeps signals from raising in the machinery between the
    two threads, where it would be lost. A coroutine that ends in a cancellation of its own raises
    `concurrent.futures.CancelledError`, an `Exception` like any other.
    """
    running = _Running(coroutine)
    try:
        with (defer or _never)(running.on_held) as running.let_through:
            result: R = async_to_sync(running.main)()
    except asyncio.CancelledError as error:
        if running.raised is not None:
            raise running.raised from None
        raise CancelledError("the coroutine was cancelled, or awaited something that was") from error
    except BaseException:
        running.end()
        raise
    if running.raised is not None:
        raise running.raised
    return result


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


@contextlib.contextmanager
def _never(_: Callable[[], object]) -> Iterator[Callable[[], None]]:
    yield lambda: None


def _nothing() -> None:
    """What the thread that waits is woken by."""


class _Running:
    """A coroutine on its way, as the thread sees it that waits for it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        # Lets through in the thread that waits what signals were held back.
        self.let_through: Callable[[], None] = lambda: None
        # What that raised.
        self.raised: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._context = contextvars.Context()
        # What serves the calls that come back to the thread that waits.
        self._executor: Any = None
        self._ended: Future[None] = Future()
        self._woken: Future[None] | None = None
        self._has_held = False
        self._letting_through: set[asyncio.Task[None]] = set()

    async def main(self) -> Any:
        self._task, self._context = asyncio.current_task(), contextvars.copy_context()
        self._executor = getattr(AsyncToSync.executors, "current", None)
        self._loop = asyncio.get_running_loop()
        if self._has_held:
            self._begin_letting_through()
        self._wake()
        try:
            return await self._coroutine
        finally:
            self._ended.set_result(None)

    def on_held(self) -> None:
        """Called by a handler in the thread that waits, in the middle of anything."""
        self._has_held = True
        if self._loop is not None:
            # The loop may have ended just now, and the hold is about to.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._begin_letting_through, context=self._context)

    def end(self) -> None:
        """Let it end, if it has not."""
        if self._loop is None or self._task is None:
            self._coroutine.close()
        elif not self._ended.done():
            self._loop.call_soon_threadsafe(self._task.cancel)
            if self._executor is not None:
                # It may have to roll back, in this thread.
                self._executor.run_until_future(self._ended)
            self._ended.result()

    def _wake(self) -> None:
        """Give the thread that waits nothing to do, and do so again."""
        if self._executor is None or self._loop is None or self._ended.done():
            return
        if self._woken is None or self._woken.done():
            self._woken = self._executor.submit(_nothing)
        self._loop.call_later(WAKING, self._wake)

    def _begin_letting_through(self) -> None:
        if self._ended.done():
            # The loop closes and would not see a new task through; the thread that waits lets it through itself.
            return
        task = asyncio.ensure_future(self._let_through())
        self._letting_through.add(task)
        task.add_done_callback(self._letting_through.discard)

    async def _let_through(self) -> None:
        try:
            await sync_to_async(self.let_through)()
        except BaseException as error:  # noqa: BLE001 - it comes out of `run`
            self.raised = self.raised or error
            if self._task is not None:
                self._task.cancel()
