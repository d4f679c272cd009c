"""Steps that are coroutine functions: the engine runs them."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from continuations import ContinuableJob, Step, attribute
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
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
