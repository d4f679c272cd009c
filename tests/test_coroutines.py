"""How coroutines are run to their end, and how they call what needs the thread that waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from continuations.coroutines import call, in_event_loop, run
from continuations.shutdown import Signals

# What happened, in order.
did: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


class Gate:
    """A function that is under way until it is told to go on."""

    def __init__(self, then: Callable[[], Any]) -> None:
        self.started, self.opened, self.then = threading.Event(), threading.Event(), then

    def __call__(self) -> Any:
        self.started.set()
        assert self.opened.wait(30)
        return self.then()

    async def cancel_and_open(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task was still waiting when the gate opened."""
        assert await asyncio.to_thread(self.started.wait, 30)
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        waited = not task.done()
        self.opened.set()
        await asyncio.wait([task])
        return waited


def test_a_coroutine_runs_in_another_thread_and_calls_come_back_to_this_one() -> None:
    async def body() -> tuple[int, int]:
        return threading.get_ident(), await call(threading.get_ident)

    there, here = run(body())

    assert here == threading.get_ident() != there


def test_only_between_two_awaits_is_in_the_event_loop() -> None:
    async def body() -> tuple[bool, bool]:
        return in_event_loop(), await call(in_event_loop)

    assert (in_event_loop(), *run(body())) == (False, True, False)


def test_an_error_comes_out() -> None:
    async def body() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(body())


def test_an_error_of_a_call_comes_out() -> None:
    async def body() -> None:
        await call(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run(body())


def test_a_coroutine_may_run_inside_a_call_and_shares_the_loop() -> None:
    async def inner() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def outer() -> bool:
        return await call(lambda: run(inner())) is asyncio.get_running_loop()

    assert run(outer())


def test_a_cancelled_call_waits_for_what_it_called() -> None:
    """It is in the middle of something, a commit perhaps."""
    gate = Gate(lambda: did.append("done"))

    async def body() -> None:
        task = asyncio.ensure_future(call(gate))
        assert await gate.cancel_and_open(task)
        assert task.cancelled()
        assert did == ["done"]

    run(body())


def test_a_cancelled_call_tells_the_error_of_what_it_called() -> None:
    gate = Gate(lambda: int("x"))

    async def body() -> None:
        task = asyncio.ensure_future(call(gate))
        assert await gate.cancel_and_open(task)
        assert isinstance(task.exception(), ValueError)

    run(body())


# --- signals


class Alarm(BaseException):
    """What a signal raises."""


@pytest.fixture
def signals() -> Iterator[Signals]:
    """As an execution has them. SIGALRM raises, and SIGTERM says what it would do."""

    def raises(*_: Any) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, raises), signal.signal(signal.SIGTERM, lambda *_: did.append("told"))
    with Signals(lambda: did.append("noted")) as signals:
        yield signals
    signal.signal(signal.SIGALRM, before[0])
    signal.signal(signal.SIGTERM, before[1])


def ring(signum: int = signal.SIGALRM) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signum)


def test_what_a_signal_raises_comes_out_once_the_coroutine_has_cleaned_up(signals: Signals) -> None:
    async def body() -> None:
        try:
            ring()
            await asyncio.sleep(60)
        finally:
            await sync_to_async(did.append)("cleaned up here")

    with pytest.raises(Alarm):
        run(body(), signals.defer)
    assert did == ["cleaned up here"]


def test_what_a_signal_raises_is_not_lost_between_the_two_threads(signals: Signals) -> None:
    """Raised in the middle of a future's bookkeeping, it would be logged there, and the loop would never wake up."""
    for turn in range(300):

        async def body(turn: int = turn) -> None:
            for _ in range(turn % 7):
                await call(int)
            ring()
            for _ in range(10):
                await call(int)
            await asyncio.sleep(60)

        with pytest.raises(Alarm):
            run(body(), signals.defer)


def test_a_signal_that_raises_nothing_leaves_the_coroutine_alone(signals: Signals) -> None:
    async def body() -> str:
        ring(signal.SIGTERM)
        while "told" not in did:
            await asyncio.sleep(0.001)
        return "done"

    assert run(body(), signals.defer) == "done"
    assert did == ["noted", "told"]


def test_a_signal_that_does_not_wake_the_thread_that_waits_is_noticed_all_the_same(signals: Signals) -> None:
    """Here another thread gets it; one that comes just as that thread falls asleep is like this."""

    async def told() -> None:
        signal.raise_signal(signal.SIGTERM)
        while "told" not in did:
            await asyncio.sleep(0.001)

    async def timed_out() -> None:
        signal.raise_signal(signal.SIGALRM)
        await asyncio.sleep(60)

    run(asyncio.wait_for(told(), 60), signals.defer)
    assert did == ["noted", "told"]
    with pytest.raises(Alarm):
        run(timed_out(), signals.defer)


def test_what_a_signal_raises_waits_for_the_call_that_is_under_way(signals: Signals) -> None:
    """It may be in the middle of our own books."""

    def under_way() -> None:
        ring()
        did.append("done")

    async def body() -> None:
        await call(under_way)
        await asyncio.sleep(60)

    with pytest.raises(Alarm):
        run(body(), signals.defer)
    assert did == ["done"]


def test_what_a_signal_raises_comes_out_also_if_the_coroutine_ends_first(signals: Signals) -> None:
    async def body() -> None:
        ring()

    with pytest.raises(Alarm):
        run(body(), signals.defer)


def test_what_a_signal_raises_before_the_coroutine_begins_is_not_forgotten(signals: Signals) -> None:
    @contextlib.contextmanager
    def defer(on_held: Callable[[], object]) -> Iterator[Callable[[], None]]:
        with signals.defer(on_held) as let_through:
            ring()
            yield let_through

    async def body() -> None:
        await asyncio.sleep(60)

    with pytest.raises(Alarm):
        run(body(), defer)


def test_what_a_signal_raises_comes_out_of_a_coroutine_inside_a_call(signals: Signals) -> None:
    async def inner() -> None:
        ring()
        await asyncio.sleep(0)
        did.append("inner")

    async def outer() -> None:
        try:
            await call(lambda: run(inner()))
            await asyncio.sleep(60)
        finally:
            did.append("outer")

    with pytest.raises(Alarm):
        run(outer(), signals.defer)
    assert did == ["inner", "outer"]


def test_a_coroutine_that_goes_on_after_it_was_cancelled_is_waited_for(signals: Signals) -> None:
    async def body() -> None:
        try:
            ring()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await call(did.append, "went on")

    with pytest.raises(Alarm):
        run(body(), signals.defer)
    assert did == ["went on"]


def test_signals_raise_as_before_once_the_coroutine_has_ended(signals: Signals) -> None:
    async def body() -> None: ...

    run(body(), signals.defer)

    with pytest.raises(Alarm):
        ring()


@pytest.mark.parametrize("turns", range(6))
def test_a_signal_that_comes_while_the_loop_closes_begins_nothing_in_it(
    turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What is begun there would be destroyed in the middle, or before it began."""
    holding: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def defer(on_held: Callable[[], object]) -> Iterator[Callable[[], None]]:
        holding.append(on_held)
        yield lambda: None

    async def left_open() -> AsyncIterator[None]:
        try:
            yield
        finally:
            # The loop ends it as it closes.
            for _ in range(turns):
                await asyncio.sleep(0)
            holding[0]()
            did.append("closing")

    async def body() -> None:
        walk = left_open()
        holding.append(walk.aclose)
        await anext(walk)

    run(body(), defer)
    holding.clear()
    gc.collect()
    assert did == ["closing"]
    assert caplog.messages == []


def test_a_signal_that_nobody_holds_back_ends_the_coroutine_too(signals: Signals) -> None:
    """A handler of the user's own."""

    async def body() -> None:
        try:
            # The thread that waits has begun to.
            await asyncio.sleep(0.2)
            ring()
            await asyncio.sleep(60)
        finally:
            did.append("cleaned up")

    with pytest.raises(Alarm):
        run(body())
    assert did == ["cleaned up"]


# --- ends


def test_a_cancellation_of_its_own_is_an_error_like_any_other() -> None:
    async def body() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError, match="was cancelled, or awaited something that was"):
        run(body())


def test_a_coroutine_that_cannot_be_run_here_is_closed() -> None:
    """Or Python would warn that it was never awaited."""

    async def inner() -> None:
        did.append("ran")

    async def outer() -> None:
        run(inner())

    with pytest.raises(RuntimeError, match="just await the async function"):
        asyncio.run(outer())
    assert did == []
