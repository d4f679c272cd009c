"""Steps that are coroutine functions: the engine runs them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from rq.timeouts import JobTimeoutException

from continuations import CheckpointError, ContinuableJob, Interrupt, Step, attribute
from continuations.sources import batches
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
    stopping_when,
)
from tests.shop.models import Applied, Product

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


class Fetches(ContinuableJob):
    def perform(self) -> str:
        answer = self.step(self.fetch)
        self.step("plain", lambda: did.append(answer))
        return answer

    async def fetch(self) -> str:
        await asyncio.sleep(0)
        did.append("fetched")
        return "answer"


def test_a_coroutine_function_is_run_and_its_result_kept() -> None:
    with interrupt_after(Fetches, "fetch"):
        continuation = run_until_finished(Fetches.enqueue())
    assert continuation.result == "answer"
    assert did == ["fetched", "answer"]


class WalksAsync(ContinuableJob):
    seen = attribute(default=0)

    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b", "c"]):
            await asyncio.sleep(0)
            self.seen += 1
            did.append((item, step.cursor))


def test_async_for_walks_and_moves_the_cursor() -> None:
    record = run_until_finished(WalksAsync.enqueue()).steps.get()
    assert did == [("a", None), ("b", 1), ("c", 2)]
    assert (record.cursor, record.processed, record.total) == (3, 3, 3)


@pytest.mark.parametrize("cursor", [1, 2, 3])
def test_async_for_goes_on_after_an_interruption(cursor: int) -> None:
    """C4"""
    with interrupt_during(WalksAsync, "walk", cursor):
        continuation = run_until_finished(WalksAsync.enqueue())
    assert [item for item, _ in did] == ["a", "b", "c"]
    assert continuation.executions == 2
    assert continuation.steps.get().attributes_json == '{"seen":3}'


def test_async_for_goes_on_after_a_crash() -> None:
    with crash_during(WalksAsync, "walk", 1):
        continuation = WalksAsync.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert [item for item, _ in did] == ["a", "b", "c"]


class WalksNothing(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for _ in step.iterate([]):
            did.append("item")


def test_async_for_over_nothing_does_nothing() -> None:
    assert run_until_finished(WalksNothing.enqueue()).status == "succeeded"
    assert did == []


class WalksRows(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for product in step.iterate(Product.objects.all()):
            await Applied.objects.acreate(item=product.name)


def test_async_for_walks_querysets_and_the_database_may_be_used() -> None:
    Product.objects.bulk_create(Product(name=name) for name in "abc")
    first = Product.objects.order_by("pk").first()
    assert first is not None
    with interrupt_during(WalksRows, "walk", first.pk):
        run_until_finished(WalksRows.enqueue())
    assert list(Applied.objects.order_by("pk").values_list("item", flat=True)) == ["a", "b", "c"]


class BreaksOut(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b", "c"]):
            if item == "b":
                break
        did.append(step.cursor)
        async for item in step.iterate(["a", "b", "c"]):
            did.append(item)


def test_breaking_out_of_async_for_leaves_the_item_in_hand_undone() -> None:
    """C4"""
    run_until_finished(BreaksOut.enqueue())
    assert did == [1, "b", "c"]


class FailsInWalk(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b"]):
            if item == "b" and self.executions == 1:
                raise ValueError
            did.append(item)


def test_an_error_in_async_for_comes_back_to_the_same_item() -> None:
    """E3, C4"""
    continuation = FailsInWalk.enqueue()
    run_enqueued()
    assert continuation.steps.get().cursor == 1
    run_until_finished(continuation)
    assert did == ["a", "b"]


class Checkpoints(ContinuableJob):
    def perform(self) -> None:
        self.step(self.wait)

    async def wait(self, step: Step) -> None:
        did.append(step.resumed)
        if not step.resumed:
            await step.acheckpoint()
            did.append("not reached")


def test_acheckpoint_is_a_checkpoint() -> None:
    """C1"""
    with interrupt_during(Checkpoints, "wait"):
        continuation = Checkpoints.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert did == [False, True]


class GoesOn(ContinuableJob):
    def perform(self) -> None:
        self.step(self.wait)

    async def wait(self, step: Step) -> None:
        await step.acheckpoint()
        did.append("went on")


def test_acheckpoint_goes_on_when_there_is_no_reason_to_stop() -> None:
    """C1"""
    run_until_finished(GoesOn.enqueue())
    assert did == ["went on"]


class Moves(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> None:
        self.step(self.count, start=0)

    async def count(self, step: Step) -> None:
        while step.cursor < 3:
            step.advance()
            await step.acheckpoint()
            did.append(step.cursor)


def test_a_coroutine_may_move_the_cursor_itself() -> None:
    """C4: `set` and `advance` are plain calls; where the database may not be asked, the next `acheckpoint` asks."""
    with interrupt_during(Moves, "count", 2):
        continuation = run_until_finished(Moves.enqueue())
    assert did == [1, 3]
    assert continuation.steps.get().cursor == 3


class Partial(ContinuableJob):
    def perform(self) -> Any:
        return self.step("partial", functools.partial(self.fetch, 5))

    async def fetch(self, number: int, step: Step) -> tuple[int, str]:
        return number, step.name


def test_a_partial_of_a_coroutine_function_is_one_too() -> None:
    assert run_until_finished(Partial.enqueue()).result == (5, "partial")


class Decorated(ContinuableJob):
    def perform(self) -> Any:
        @self.step("block", start=4)
        async def block(step: Step) -> int:
            await asyncio.sleep(0)
            return int(step.cursor)

        return block


def test_a_coroutine_function_may_be_decorated() -> None:
    assert run_until_finished(Decorated.enqueue()).result == 4


class AtomicAsync(ContinuableJob):
    def perform(self) -> None:
        self.step("publish", self.publish, atomic=True)

    async def publish(self) -> None:
        await Applied.objects.acreate(item="x")
        if self.executions == 1:
            raise KeyboardInterrupt


def test_an_atomic_step_may_be_a_coroutine_function() -> None:
    """C6"""
    AtomicAsync.enqueue()
    with pytest.raises(Exception, match="was ended by KeyboardInterrupt"):
        run_enqueued()
    assert not Applied.objects.exists()


class AtomicAsyncDone(ContinuableJob):
    def perform(self) -> Any:
        return self.step("publish", self.publish, atomic=True)

    async def publish(self) -> bool:
        await Applied.objects.acreate(item="x")
        return await sync_to_async(lambda: transaction.get_connection().in_atomic_block)()


def test_what_a_coroutine_calls_in_an_atomic_step_is_in_its_transaction() -> None:
    """C6"""
    assert run_until_finished(AtomicAsyncDone.enqueue()).result is True
    assert Applied.objects.count() == 1


# Bodies that are no coroutine functions, and give a coroutine


class Gives(ContinuableJob):
    def perform(self, given: str) -> Any:
        return self.step("fetch", getattr(self, given)())

    def a_lambda(self) -> Any:
        return lambda: self.fetch(4)

    def a_lambda_with_step(self) -> Any:
        return lambda step: self.fetch(len(step.name))

    def an_object(self) -> Any:
        return Fetcher()

    async def fetch(self, number: int) -> int:
        await asyncio.sleep(0)
        return number + 1


class Fetcher:
    async def __call__(self, step: Step) -> int:
        await step.acheckpoint()
        return len(step.name)


@pytest.mark.parametrize(("given", "result"), [("a_lambda", 5), ("a_lambda_with_step", 6), ("an_object", 5)])
def test_whatever_gives_a_coroutine_is_run(given: str, result: int) -> None:
    assert run_until_finished(Gives.enqueue(given)).result == result


# C5: blocks


class Books(ContinuableJob):
    """Work on an item and its cursor in one transaction."""

    checkpoint_interval = 3600
    count = attribute(default=0)

    def perform(self) -> int:
        self.step(self.walk)
        return self.count

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b", "c"]):
            async with step.atomic():
                await Applied.objects.acreate(item=item)
                self.count += 1
            did.append((item, step.cursor))


def applied() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


def test_a_block_of_a_coroutine_moves_the_cursor_past_the_item() -> None:
    """C5"""
    continuation = run_until_finished(Books.enqueue())
    assert did == [("a", 1), ("b", 2), ("c", 3)]
    assert applied() == ["a", "b", "c"]
    assert (continuation.result, continuation.steps.get().processed) == (3, 3)


@pytest.mark.parametrize("cursor", [1, 2, 3])
@pytest.mark.parametrize("disturb", [interrupt_during, crash_during])
def test_a_checkpoint_follows_a_block_of_a_coroutine_and_nothing_is_repeated(disturb: Any, cursor: int) -> None:
    """C5, C6"""
    with disturb(Books, "walk", cursor):
        continuation = Books.enqueue()
        run_enqueued()
    assert len(applied()) == cursor
    run_until_finished(continuation)
    assert applied() == ["a", "b", "c"]


class BooksAndFails(ContinuableJob):
    seen = attribute(default=list)

    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b"]):
            try:
                async with step.atomic():
                    await Applied.objects.acreate(item="never")
                    self.seen.append("never")
                    raise ValueError
            except ValueError:
                did.append((step.cursor, list(self.seen)))
            async with step.atomic():
                await Applied.objects.acreate(item=item)
                self.seen.append(item)


def test_an_error_in_a_block_of_a_coroutine_rolls_it_back_and_all_that_moved_with_it() -> None:
    """C5"""
    run_until_finished(BooksAndFails.enqueue())
    assert did == [(None, []), (1, ["a"])]
    assert applied() == ["a", "b"]


class BooksTwice(ContinuableJob):
    def perform(self, way: str) -> None:
        self.step(getattr(self, way))

    async def twice_in_a_turn(self, step: Step) -> None:
        async for _ in step.iterate(["a"]):
            async with step.atomic():
                pass
            async with step.atomic():
                pass

    async def in_one_another(self, step: Step) -> None:
        async with step.atomic(), step.atomic():
            pass


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("twice_in_a_turn", r"a second step\.atomic\(\)"),
        ("in_one_another", r"step\.atomic\(\) inside step\.atomic\(\)"),
    ],
)
def test_a_block_of_a_coroutine_is_refused_where_another_would_be(way: str, message: str) -> None:
    """C5"""
    BooksTwice.enqueue(way)
    with pytest.raises(CheckpointError, match=message):
        run_enqueued()


class BreaksThenBooks(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b", "c"]):
            if item == "b":
                break
        async with step.atomic():
            await Applied.objects.acreate(item="after")
        did.append(step.cursor)


def test_a_block_after_a_break_does_not_move_past_the_item_left_undone() -> None:
    """C4, C5"""
    run_until_finished(BreaksThenBooks.enqueue())
    assert did == [1]


class FailsThenBooks(BreaksThenBooks):
    async def walk(self, step: Step) -> None:
        try:
            async for item in step.iterate(["a", "b", "c"]):
                if item == "b":
                    raise ValueError
        except ValueError:
            async with step.atomic():
                await Applied.objects.acreate(item="after")
        did.append(step.cursor)


def test_a_block_after_an_error_in_a_walk_does_not_move_past_the_item_either() -> None:
    """C4, C5"""
    run_until_finished(FailsThenBooks.enqueue())
    assert did == [1]


class GivesUpInBlock(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b"]):
            try:
                async with asyncio.timeout(0.01 if item == "b" else None), step.atomic():
                    await Applied.objects.acreate(item=item)
                    await asyncio.sleep(0 if item == "a" else 60)
            except TimeoutError:
                did.append((step.cursor, step.in_own_block))
                async with step.atomic():
                    await Applied.objects.acreate(item="late")


def test_a_block_that_is_cancelled_is_rolled_back() -> None:
    """C5"""
    run_until_finished(GivesUpInBlock.enqueue())
    assert did == [(1, False)]
    assert applied() == ["a", "late"]


class CancelledOnTheWay(ContinuableJob):
    """Cancelled while the job's thread is about to begin or to end the block."""

    def perform(self, turns: int) -> None:
        self.turns = turns
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        task = asyncio.ensure_future(self.book(step))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        did.append((task.cancelled(), step.in_own_block))
        await step.acheckpoint()

    async def book(self, step: Step) -> None:
        async with step.atomic():
            await Applied.objects.acreate(item="x")


@pytest.mark.parametrize("turns", range(12))
def test_a_block_that_is_cancelled_anywhere_is_closed(turns: int) -> None:
    """C5"""
    assert run_until_finished(CancelledOnTheWay.enqueue(turns)).status == "succeeded"
    assert [in_block for _, in_block in did] == [False]
    assert len(applied()) <= 1


class SyncInAsync(ContinuableJob):
    """What a coroutine writes as if it were a plain step."""

    def perform(self, way: str) -> None:
        self.step(getattr(self, way))

    async def block(self, step: Step) -> None:
        with step.atomic():
            pass

    async def walk(self, step: Step) -> None:
        for _ in step.iterate([1, 2]):
            pass

    async def step_checkpoint(self, step: Step) -> None:
        step.checkpoint()

    async def job_checkpoint(self, step: Step) -> None:
        self.checkpoint()


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("block", "`with step.atomic\\(\\)` in a coroutine; write `async with step.atomic\\(\\):`"),
        ("walk", "`for` over step.iterate\\(\\) in a coroutine; write `async for`"),
        ("step_checkpoint", "step.checkpoint\\(\\) in a coroutine; write `await step.acheckpoint\\(\\)`"),
        ("job_checkpoint", "step.checkpoint\\(\\) in a coroutine; write `await step.acheckpoint\\(\\)`"),
    ],
)
def test_what_could_not_stop_in_a_coroutine_says_what_can(way: str, message: str) -> None:
    """C1: it would be a checkpoint that never looks."""
    SyncInAsync.enqueue(way)
    with pytest.raises(CheckpointError, match=message):
        run_enqueued()


class InThread(ContinuableJob):
    """A coroutine may leave a part to a plain function, where all is as in a plain step."""

    checkpoint_interval = 0

    def perform(self) -> None:
        self.step(self.count, start=0)

    async def count(self, step: Step) -> None:
        while step.cursor < 3:
            await sync_to_async(self.book)(step)
            await step.acheckpoint()

    def book(self, step: Step) -> None:
        with transaction.atomic():
            Applied.objects.create(item=str(step.cursor))
            step.advance()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("disturb", [interrupt_during, crash_during])
@pytest.mark.parametrize("cursor", [1, 2, 3])
def test_a_transaction_in_the_jobs_thread_takes_the_cursor_with_it(disturb: Any, cursor: int) -> None:
    """C5"""
    with disturb(InThread, "count", cursor):
        continuation = InThread.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert applied() == ["0", "1", "2"]


class InThreadWithoutLooking(InThread):
    async def count(self, step: Step) -> None:
        await sync_to_async(self.book)(step)
        step.advance()


@pytest.mark.django_db(transaction=True)
def test_a_cursor_that_may_have_been_rolled_back_is_not_used_before_that_is_known() -> None:
    """C5: only the database can tell, and between two awaits it cannot be asked."""
    InThreadWithoutLooking.enqueue()
    with pytest.raises(
        CheckpointError, match=r"a coroutine cannot look how; write `await step.acheckpoint\(\)` before"
    ):
        run_enqueued()


class InThreadRolledBack(InThread):
    async def count(self, step: Step) -> None:
        with contextlib.suppress(ValueError):
            await sync_to_async(self.book)(step)
        await step.acheckpoint()
        did.append(step.cursor)

    def book(self, step: Step) -> None:
        with transaction.atomic():
            step.advance()
            raise ValueError


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_was_rolled_back_takes_the_cursor_of_a_coroutine_back() -> None:
    """C5"""
    run_until_finished(InThreadRolledBack.enqueue())
    assert did == [0]


# C2: the question


class AsksAndEnds(ContinuableJob):
    """Ends by itself when it is told to stop."""

    checkpoint_interval = 0

    def perform(self) -> int:
        return self.step(self.count, start=0)

    async def count(self, step: Step) -> int:
        while not self.stopping() and step.cursor < 9:
            step.advance()
            await step.acheckpoint()
        return int(step.cursor)


def test_a_coroutine_may_ask_whether_to_stop() -> None:
    """C2: without a round trip, which it cannot make."""
    assert run_until_finished(AsksAndEnds.enqueue()).result == 9


class Asks(ContinuableJob):
    max_runtime = 3600

    def perform(self) -> None:
        self.step(self.ask)

    async def ask(self, step: Step) -> None:
        did.append(self.stopping())


def test_a_coroutine_learns_why_to_stop() -> None:
    """C2"""
    with stopping_when(lambda job: "enough"):
        run_until_finished(Asks.enqueue())
    assert did == ["enough"]


# E1, E3, E6: interrupts and errors


class Swallows(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)
        self.step("next", lambda: did.append("next"))

    async def walk(self, step: Step) -> None:
        try:
            await step.acheckpoint()
        except Interrupt:
            did.append("swallowed")
        await step.acheckpoint()
        did.append("went on")


def test_an_interrupt_that_a_coroutine_swallows_is_raised_again() -> None:
    """E1"""
    with interrupt_during(Swallows, "walk"):
        Swallows.enqueue()
        run_enqueued()
    assert did == ["swallowed"]


class NestedWalks(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for _ in step.iterate([1, 2]):
            async for _ in step.iterate([1, 2]):
                pass


def test_a_walk_of_a_coroutine_inside_a_walk_is_refused() -> None:
    NestedWalks.enqueue()
    with pytest.raises(CheckpointError, match=r"iterate\(\) inside a turn of iterate\(\)"):
        run_enqueued()


class WalksBatches(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for items in step.iterate(batches(range(5), 2)):
            async with step.atomic():
                await Applied.objects.abulk_create(Applied(item=str(item)) for item in items)


def test_a_coroutine_walks_batches() -> None:
    with interrupt_during(WalksBatches, "walk", 2):
        record = run_until_finished(WalksBatches.enqueue()).steps.get()
    assert applied() == ["0", "1", "2", "3", "4"]
    assert (record.cursor, record.processed, record.total) == (5, 5, 5)


class InTasks(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b"]):
            async with step.atomic():
                await asyncio.gather(*(Applied.objects.acreate(item=f"{item}{number}") for number in range(3)))


def test_tasks_of_a_coroutine_share_its_transaction() -> None:
    with crash_during(InTasks, "walk", 1):
        continuation = InTasks.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert sorted(applied()) == ["a0", "a1", "a2", "b0", "b1", "b2"]


@pytest.fixture
def _alarm() -> Iterator[None]:
    """SIGALRM raises, as RQ's death penalty does."""

    def penalise(*_: Any) -> None:
        raise JobTimeoutException("time is up")

    before = signal.signal(signal.SIGALRM, penalise)
    yield
    signal.signal(signal.SIGALRM, before)


def ring() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)


class TimesOut(ContinuableJob):
    def perform(self, way: str) -> None:
        self.step(getattr(self, way), start=0)

    async def asleep(self, step: Step) -> None:
        await self.advance(step)
        try:
            ring()
            await asyncio.sleep(60)
            did.append("went on")
        finally:
            did.append("ended")

    async def in_block(self, step: Step) -> None:
        await self.advance(step)
        async with step.atomic():
            await Applied.objects.acreate(item="x")
            ring()
            await asyncio.sleep(60)
        did.append("went on")

    async def in_query(self, step: Step) -> None:
        await self.advance(step)
        await sync_to_async(ring)()
        await asyncio.sleep(60)
        did.append("went on")

    async def in_task(self, step: Step) -> None:
        await self.advance(step)
        await asyncio.gather(asyncio.sleep(60), sync_to_async(ring)())
        did.append("went on")

    async def advance(self, step: Step) -> None:
        step.advance()
        await step.acheckpoint()


@pytest.mark.usefixtures("_alarm")
@pytest.mark.parametrize(
    ("way", "expected"), [("asleep", ["ended"]), ("in_block", []), ("in_query", []), ("in_task", [])]
)
def test_the_death_penalty_ends_a_coroutine_before_it_interrupts_the_job(way: str, expected: list[str]) -> None:
    """E6: it would go on in its thread, behind the back of the execution that follows."""
    continuation = TimesOut.perform_now(way)
    assert (continuation.status, continuation.reason) == ("interrupted", "timeout")
    assert did == expected
    assert applied() == []
    assert continuation.steps.get().cursor == 1


class AwaitsWhatWasCancelled(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    async def walk(self, step: Step) -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task


def test_a_cancellation_that_nobody_catches_is_an_error_of_the_job() -> None:
    """E3: Python's is no `Exception`, and would look like the end of the process."""
    continuation = AwaitsWhatWasCancelled.enqueue()
    with pytest.raises(concurrent.futures.CancelledError, match="awaited something that was"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
