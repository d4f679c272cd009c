"""Shapes of jobs, and what keeps account of them: for tests that disturb jobs everywhere.

A shape does its work in two ways. `once` writes a row of the ledger, always in a transaction with the cursor or the
step's completion: exactly once (C6). `again` is the world outside the database, which no rollback undoes: at least
once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from continuations import ContinuableJob, Step, WaitTimeout, attribute, codec, retry_on
from continuations.execution import execute
from continuations.models import Continuation
from continuations.sources import GAP, batches, nested, pages, shard, shards
from continuations.workplace import Workplace
from tests.shop.models import Applied, Product

# What each run did outside the database, in order.
did: dict[str, list[str]] = defaultdict(list)
# What each run's executions found when they began: executions, resumptions, crashes in a row.
starts: dict[str, list[tuple[int, int, int]]] = defaultdict(list)

# Errors that a shape has raised; each comes once in a run.
_raised: set[tuple[str, str]] = set()

ROWS = ("x", "y", "z")


class Shape(ContinuableJob):
    """What the shapes have in common. A shape defines `work`."""

    max_crashes = 100
    # Whether an error without progress, which a disturbance can make of one after progress, fails it (E3).
    may_fail = False

    count = attribute(default=0)
    seen = attribute(default=list)

    def perform(self, run: str) -> Any:
        self.run_name = run
        starts[run].append((self.executions, self.resumptions, self.continuation.crashes))
        return self.work()

    def work(self) -> Any:
        raise NotImplementedError

    def again(self, item: object) -> None:
        did[self.run_name].append(f"{self.current_step}: {item}")

    def once(self, item: object) -> None:
        Applied.objects.create(run=self.run_name, item=f"{self.current_step}: {item}")

    def raise_once(self, name: str) -> None:
        if (self.run_name, name) not in _raised:
            _raised.add((self.run_name, name))
            raise ConnectionError(name)


class Steps(Shape):
    """Results flow from step to step, and out."""

    def work(self) -> Any:
        first = self.step(self.first)
        second = self.step("second", lambda: self.add(first, 1))
        third = self.step("third", lambda: self.add(second, dt.timedelta(days=1)))
        return [first, second, third]

    def first(self) -> list[Any]:
        self.again("first")
        return [0]

    def add(self, items: list[Any], item: Any) -> list[Any]:
        self.again(item)
        return [*items, item]


class Sets(Shape):
    def work(self) -> Any:
        self.step(self.before)
        return self.step(self.move, start=0)

    def before(self) -> None:
        self.again("before")

    def move(self, step: Step) -> str:
        while step.cursor < 3:
            self.again(step.cursor)
            step.set(step.cursor + 1)
        return f"moved to {step.cursor}"


class Advances(Shape):
    def work(self) -> Any:
        self.step("days", self.days, start=dt.date(2024, 2, 28))
        self.step("last", lambda: self.again("last"))

    def days(self, step: Step) -> None:
        while step.cursor < dt.date(2024, 3, 2):
            self.again(step.cursor)
            step.advance()


class Walks(Shape):
    """Two walks, so that there is one to come back to and one to go on with."""

    def work(self) -> Any:
        letters = self.step("letters", lambda step: self.walk(step, "ab"))
        return letters + self.step("numbers", lambda step: self.walk(step, "12"))

    def walk(self, step: Step, items: str) -> int:
        for item in step.iterate(list(items)):
            self.again(item)
        return len(items)


class EmptyAndOne(Shape):
    def work(self) -> Any:
        for index, items in enumerate([[], ["one"], []]):
            self.step(f"{index}", lambda step, items=items: self.walk(step, items))

    def walk(self, step: Step, items: list[str]) -> None:
        for item in step.iterate(items):
            self.again(item)


class ListInPlace(Shape):
    """S3: a list that is changed, not set."""

    def work(self) -> Any:
        self.step(self.collect, start=[])
        self.step("last", lambda: self.again("last"))

    def collect(self, step: Step) -> list[int]:
        while len(step.cursor) < 3:
            self.again(len(step.cursor))
            step.cursor.append(len(step.cursor))
            step.checkpoint()
        return list(step.cursor)


class TupleCursor(Shape):
    """Two loops, one cursor."""

    def work(self) -> Any:
        return self.step(self.cells, start=(0, 0))

    def cells(self, step: Step) -> Any:
        row, column = step.cursor
        while row < 2:
            while column < 2:
                self.again((row, column))
                column += 1
                step.set((row, column) if column < 2 else (row + 1, 0))
            row, column = row + 1, 0
        return step.cursor


class Isolated(Shape):
    """S4; which of the three steps is isolated is for subclasses to say."""

    isolated = ""

    def work(self) -> Any:
        return [self.step(name, self.body_of(name), isolated=name == self.isolated) for name in _THREE]

    def body_of(self, name: str) -> Callable[..., Any]:
        return self.pair if name == self.isolated else lambda: self.again("only")

    def pair(self, step: Step) -> Any:
        for item in step.iterate(["a", "b"]):
            self.again(item)
        return step.cursor


_THREE = ("first", "middle", "last")


class IsolatedFirst(Isolated):
    isolated = "first"


class IsolatedMiddle(Isolated):
    isolated = "middle"


class IsolatedLast(Isolated):
    isolated = "last"


class Fails(Shape):
    """An error in the middle of a walk, after its effect."""

    may_fail = True

    def work(self) -> Any:
        self.step(self.walk)
        self.step("last", lambda: self.again("last"))

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            with step.atomic():
                self.once(item)
                self.again(item)
                if item == "b":
                    self.raise_once("b")


@retry_on(ConnectionError, wait=0, attempts=2)
class FailsWithPolicy(Fails):
    may_fail = False


class Batches(Shape):
    def work(self) -> Any:
        return self.step(self.lists)

    def lists(self, step: Step) -> Any:
        for items in step.iterate(batches(range(5), 2)):
            with step.atomic():
                self.once(items)
                self.count += len(items)
        return self.count


class AtomicSteps(Shape):
    def work(self) -> Any:
        first = self.step("first", lambda: self.note("first"), atomic=True)
        self.step("between", lambda: self.again("between"))
        self.step("second", lambda: self.note(first), atomic=True)
        return self.step("third", lambda: self.note("third"), atomic=True)

    def note(self, item: str) -> str:
        self.once(item)
        self.count += 1
        self.again(item)
        return f"after {item}"


class Attributes(Shape):
    """They never disagree with the cursor, and mutable ones may be changed in place."""

    def work(self) -> Any:
        self.step(self.walk)
        self.step(self.double)
        return [self.count, self.seen]

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b", "c"]):
            self.again(item)
            self.seen.append(item)
            self.count += 1

    def double(self) -> None:
        self.again("double")
        self.seen = [*self.seen, *self.seen]
        self.count *= 2


class Transactions(Shape):
    """Plain transactions of Django's, with the movement inside."""

    def work(self) -> Any:
        self.step(self.move, start=0)
        return self.count

    def move(self, step: Step) -> None:
        while step.cursor < 3:
            with transaction.atomic():
                self.once(step.cursor)
                self.count += 1
                step.advance()
            step.checkpoint()


class Keys(Shape):
    """A queryset, walked by its key."""

    def work(self) -> Any:
        self.step(self.walk)
        self.step("last", lambda: self.again("last"))

    def walk(self, step: Step) -> None:
        for product in step.iterate(Product.objects.filter(note="shapes")):
            self.again(product.name)


class Blocks(Shape):
    """Work, cursor and attributes in one block for each item, and one more block beside the walk."""

    def work(self) -> Any:
        first = self.step(self.walk)
        return [first, self.step(self.beside, start=10)]

    def walk(self, step: Step) -> Any:
        for item in step.iterate(["a", "b"]):
            self.again(item)
            with step.atomic():
                self.once(item)
                self.seen.append(item)
        return self.seen

    def beside(self, step: Step) -> Any:
        while step.cursor < 12:
            with step.atomic():
                self.once(step.cursor)
                step.advance()
        return step.cursor


class RollsBack(Shape):
    """A block that is rolled back, and tried again in the same turn; savepoints inside one."""

    def work(self) -> Any:
        return self.step(self.walk)

    def walk(self, step: Step) -> Any:
        for item in step.iterate(["a", "b"]):
            try:
                with step.atomic():
                    self.once("never")
                    self.count += 100
                    raise ValueError
            except ValueError:
                pass
            with step.atomic():
                self.once(item)
                self.count += 1
                try:
                    with transaction.atomic():
                        self.once("never")
                        raise ValueError
                except ValueError:
                    self.once(f"{item} went on")
        return self.count


class Insists(Shape):
    """A block is tried again in the same turn when the database had trouble with it."""

    def work(self) -> Any:
        return self.step(self.walk)

    def walk(self, step: Step) -> Any:
        for item in step.iterate(["a", "b"]):
            for _ in range(2):
                try:
                    with step.atomic():
                        self.once(item)
                        self.count += 1
                    break
                except OperationalError:
                    pass
        return self.count


class Child(ContinuableJob):
    def perform(self, run: str, item: str) -> None:
        pass


class Enqueues(Shape):
    """C6: enqueueing in a block is such an effect."""

    def work(self) -> Any:
        self.step(self.walk)
        self.step("one more", lambda: self.enqueue_child("more"), atomic=True)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                self.enqueue_child(item)

    def enqueue_child(self, item: str) -> None:
        Child.enqueue(self.run_name, item)
        self.once(Continuation.objects.for_job(Child).filter(arguments_json__contains=self.run_name).count())


class Pages(Shape):
    """Fetched with tokens; one page is empty, and the end is not the start."""

    def work(self) -> Any:
        self.step(self.plain)
        return self.step(self.in_blocks)

    def plain(self, step: Step) -> Any:
        for page in step.iterate(pages(_fetch)):
            self.again(page)
        return step.cursor

    def in_blocks(self, step: Step) -> Any:
        for page in step.iterate(pages(_fetch)):
            with step.atomic():
                self.once(page)
                self.count += len(page)
        return self.count


_PAGES = {None: (["a", "b"], "1"), "1": ([], "2"), "2": (["c"], None)}


def _fetch(token: str | None) -> tuple[list[str], str | None]:
    return _PAGES[token]


class Nested(Shape):
    """A source in each item of another, with nothing in some; rows in rows, and in batches across them."""

    def work(self) -> Any:
        self.step(self.walk)
        self.step(self.rows)
        return self.count

    def walk(self, step: Step) -> None:
        for pair in step.iterate(nested(list("abcd"), lambda letter: {"a": [1, 2], "c": [3]}.get(letter, []))):
            self.again(pair)

    def rows(self, step: Step) -> None:
        products = Product.objects.filter(note="shapes")
        deep = nested(nested(products, lambda product: products.filter(pk__lt=product.pk)), lambda _: pages(_fetch))
        for pairs in step.iterate(batches(deep, 4)):
            with step.atomic():
                self.once([f"{first.name}{second.name}{len(page)}" for (first, second), page in pairs])
                self.count += len(pairs)


class Countdown:
    """A source of a user's, with all that one may have. The odd ones are gaps."""

    def __init__(self, start: int) -> None:
        self.start = start

    def after(self, cursor: int | None) -> Iterator[tuple[Any, int]]:
        for left in range(self.start if cursor is None else cursor - 1, 0, -1):
            yield (GAP if left % 2 else left), left

    def size(self, item: int) -> int:
        return item

    def total(self) -> int:
        return sum(range(self.start + 1))


class OwnSource(Shape):
    def work(self) -> Any:
        self.step(self.walk)
        self.step(self.in_blocks)

    def walk(self, step: Step) -> None:
        for left in step.iterate(Countdown(4)):
            self.again(left)

    def in_blocks(self, step: Step) -> None:
        for left in step.iterate(Countdown(3)):
            with step.atomic():
                self.once(left)


class Renames(Shape):
    """Whatever comes after the execution that began the walk runs the code of a later version."""

    name = "walk"

    def work(self) -> Any:
        first = self.step(self.name, self.walk)
        return [first, self.step("last", self.last)]

    def again(self, item: object) -> None:
        # By the name that is stored.
        did[self.run_name].append(f"{'last' if self.current_step == 'last' else 'walk'}: {item}")

    def walk(self, step: Step) -> Any:
        Continuation.objects.filter(pk=self.continuation.pk).update(job_path=f"{__name__}.{Renamed.__name__}")
        for item in step.iterate(["a", "b", "c"]):
            self.again(item)
            self.seen.append(item)
        return [*self.seen]

    def last(self, step: Step) -> None:
        for item in step.iterate(["d"]):
            self.again(item)


class Renamed(Renames):
    renamed_steps = {"walk": "go", "go": "go over them"}
    name = "go over them"


class Coroutine(Shape):
    def work(self) -> Any:
        self.step(self.walk)
        return self.step("last", self.last)

    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b"]):
            self.again(item)

    async def last(self) -> str:
        self.again("last")
        return "done"


class CoroutineSets(Shape):
    """A cursor that a coroutine moves itself."""

    def work(self) -> Any:
        return self.step(self.move, start=0)

    async def move(self, step: Step) -> str:
        while step.cursor < 3:
            self.again(step.cursor)
            step.advance()
            await step.acheckpoint()
        return f"moved to {step.cursor}"


class CoroutineBlocks(Blocks):
    """Blocks in turns and beside them, one of which is rolled back first, and pages that a coroutine fetches."""

    async def walk(self, step: Step) -> Any:
        async for item in step.iterate(["a", "b"]):
            self.again(item)
            try:
                async with step.atomic():
                    await sync_to_async(self.once)("never")
                    self.seen.append("never")
                    raise ValueError
            except ValueError:
                pass
            async with step.atomic():
                await sync_to_async(self.once)(item)
                self.seen.append(item)
        return self.seen

    async def beside(self, step: Step) -> Any:
        while step.cursor < 12:
            async with step.atomic():
                await sync_to_async(self.once)(step.cursor)
                step.advance()
        return step.cursor


class CoroutineSources(Shape):
    """Batches, rows, nested ones, and pages that a coroutine fetches."""

    def work(self) -> Any:
        self.step(self.pages)
        return self.step(self.rows)

    async def pages(self, step: Step) -> None:
        async for page in step.iterate(pages(self.fetch)):
            self.again(page)

    async def fetch(self, token: str | None) -> tuple[list[str], str | None]:
        await asyncio.sleep(0)
        return _fetch(token)

    async def rows(self, step: Step) -> int:
        products = Product.objects.filter(note="shapes")
        async for pairs in step.iterate(batches(nested(products, lambda product: list(product.name)), 2)):
            async with step.atomic():
                await sync_to_async(self.once)([name for _, name in pairs])
                self.count += len(pairs)
        return self.count


class CoroutineFails(Fails):
    async def walk(self, step: Step) -> None:
        async for item in step.iterate(["a", "b", "c"]):
            async with step.atomic():
                await sync_to_async(self.once)(item)
                self.again(item)
                if item == "b":
                    self.raise_once("b")


@retry_on(ConnectionError, wait=0, attempts=2)
class CoroutineFailsWithPolicy(CoroutineFails):
    may_fail = False


class CoroutineAtomicSteps(AtomicSteps):
    def work(self) -> Any:
        first = self.step("first", lambda: self.anote("first"), atomic=True)
        self.step("between", lambda: self.again("between"))
        self.step("second", lambda: self.anote(first), atomic=True)
        return self.step("third", lambda: self.anote("third"), atomic=True)

    async def anote(self, item: str) -> str:
        return await sync_to_async(self.note)(item)


class CoroutineTransactions(Transactions):
    """The part with the transaction is a plain function."""

    async def move(self, step: Step) -> None:
        while step.cursor < 3:
            await sync_to_async(self.book)(step)
            await step.acheckpoint()

    def book(self, step: Step) -> None:
        with transaction.atomic():
            self.once(step.cursor)
            self.count += 1
            step.advance()


SHAPES: list[type[Shape]] = [
    Steps,
    Sets,
    Advances,
    Walks,
    EmptyAndOne,
    ListInPlace,
    TupleCursor,
    IsolatedFirst,
    IsolatedMiddle,
    IsolatedLast,
    Fails,
    FailsWithPolicy,
    Batches,
    AtomicSteps,
    Attributes,
    Transactions,
    Keys,
    Blocks,
    RollsBack,
    Insists,
    Enqueues,
    Pages,
    Nested,
    OwnSource,
    Renames,
    Coroutine,
    CoroutineSets,
    CoroutineBlocks,
    CoroutineSources,
    CoroutineFails,
    CoroutineFailsWithPolicy,
    CoroutineAtomicSteps,
    CoroutineTransactions,
]


class Death(BaseException):
    """The process dies here: nothing catches this, and nothing is written after it."""


class Bench(Workplace):
    """Runs an execution in the test's own process; those of other benches are dead."""

    runs_early = True
    numbers = itertools.count()

    def __init__(self, *, stop_flag: Any = Workplace.stop_flag, in_place: bool = False) -> None:
        super().__init__()
        self.worker = f"bench {next(self.numbers)}"
        self.stop_flag = stop_flag
        self._in_place = in_place

    def waits_in_place(self, seconds: float, queue_name: str) -> bool:
        return self._in_place

    def is_dead(self, execution: Any) -> bool:
        return execution.worker != self.worker


class Statements:
    """Counts the statements on our own tables from 0, and lets the one at `index` fail at a moment.

    "before" it; "after" it, with its answer lost; at the "commit" of the transaction it is in, with that done. `fail`
    raises, or does something else there. What comes after a death is refused: the dead do not write.
    """

    def __init__(self, index: int = -1, moment: str = "", fail: Callable[[], None] = lambda: None) -> None:
        self.index, self.moment, self.fail = index, moment, fail
        self.count = 0
        # Indexes of those that a transaction holds, and of the last ones before a commit.
        self.in_blocks: set[int] = set()
        self.committed: set[int] = set()
        # What failed, as a text.
        self.fired = ""
        self.dead = self.aside = False

    @property
    def moments(self) -> list[tuple[int, str]]:
        """All that can happen to what was counted. Before and after are the same to a transaction that is undone."""
        before = [(index, "before") for index in range(self.count)]
        after = [(index, "after") for index in range(self.count) if index not in self.in_blocks]
        return before + after + [(index, "commit") for index in sorted(self.committed)]

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.aside:
            return execute(sql, params, many, context)
        if self.dead and not sql.startswith(("SAVEPOINT", "ROLLBACK", "RELEASE")):
            raise Death
        if '"continuations_' not in sql and "`continuations_" not in sql:
            return execute(sql, params, many, context)
        index, self.count = self.count, self.count + 1
        if connection.in_atomic_block:
            self.in_blocks.add(index)
            transaction.on_commit(lambda: self.committed.add(self.count - 1))
        if index != self.index:
            return execute(sql, params, many, context)
        self.fired = f"{self.moment} {sql[:60]}"
        if self.moment == "before":
            self._raise()
        answer = execute(sql, params, many, context)
        if self.moment == "after":
            self._raise()
        if self.moment == "commit":
            transaction.on_commit(self._raise)
        return answer

    def _raise(self) -> None:
        try:
            self.fail()
        except Death:
            self.dead = True
            raise

    @contextmanager
    def installed(self) -> Iterator[None]:
        """For one execution, which is another process than the one before."""
        self.dead = False
        with connection.execute_wrapper(self):
            yield

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While somebody else runs."""
        aside, self.aside = self.aside, True
        yield
        self.aside = aside


def die() -> None:
    raise Death


def time_out() -> None:
    """The statement fails, or its answer is lost, and the connection is as good as before."""
    raise OperationalError("timed out")


def lose_connection() -> None:
    """The server has ended the session, and Django has not noticed."""
    if connection.connection is not None:
        other = connection.copy()
        with other.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
            else:
                cursor.execute("KILL %s", [connection.connection.thread_id()])
        other.close()
    raise OperationalError("connection lost")


# Shapes that wait, fan out and follow up. Between two executions somebody has to look after them: see `tend`.


class Waits(Shape):
    """For what others send: first of all, in the middle and at the end."""

    def work(self) -> Any:
        answers = [self.wait_for("first")]
        self.step("before", lambda: self.again("before"))
        answers.append(self.wait_for("middle"))
        self.step("walk", lambda step: self.walk(step, answers))
        return [*answers, self.wait_for("last")]

    def walk(self, step: Step, answers: list[str]) -> None:
        for item in step.iterate(answers):
            with step.atomic():
                self.once(item)
                self.count += 1


class TimesOut(Shape):
    """Nobody answers: once it goes another way, once it has a default."""

    def work(self) -> Any:
        self.step("before", lambda: self.again("before"))
        try:
            answer = self.wait_for("answer", timeout=3600)
        except WaitTimeout:
            answer = self.step("escalate", lambda: self.note("escalated"), atomic=True)
        return [answer, self.wait_for("another", timeout=3600, default="none")]

    def note(self, item: str) -> str:
        self.once(item)
        return item


class Sleeps(Shape):
    def work(self) -> Any:
        for index in range(2):
            self.step(f"{index}", lambda step: self.walk(step))
            self.sleep(f"nap {index}", 3600)
        return self.step("last", lambda: self.count)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            self.again(item)
            self.count += 1


class FansOut(Shape):
    """Children in one transaction, and what they gave when all have ended."""

    may_fail = True

    def work(self) -> Any:
        self.step(self.fan_out, atomic=True)
        self.step("meanwhile", lambda step: self.walk(step))
        results = [child.result for child in self.wait_for_children()]
        self.step("join", lambda: self.once(results), atomic=True)
        return results

    def fan_out(self) -> None:
        for number in range(3):
            CountingChild.enqueue(self.run_name, number)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            self.again(item)


class CountingChild(ContinuableJob):
    def perform(self, run: str, number: int) -> int:
        self.step("note", lambda: Applied.objects.create(run=run, item=f"child {number}") and None, atomic=True)
        return number * number


class Shards(FansOut):
    """A collection in parts, one for each child; the children are enqueued in bulk."""

    def fan_out(self) -> None:
        parts = shards(Product.objects.filter(note="shapes"), 2)
        ShardChild.enqueue_many([(self.run_name, start, stop) for start, stop in parts])


class ShardChild(CountingChild):
    def perform(self, run: str, start: Any, stop: Any) -> list[str]:
        rows = shard(Product.objects.filter(note="shapes"), start, stop)
        return self.step("walk", lambda step: self.walk(step, run, rows))

    def walk(self, step: Step, run: str, rows: Any) -> list[str]:
        names = []
        for product in step.iterate(rows):
            with step.atomic():
                Applied.objects.create(run=run, item=f"child {product.name}")
            names.append(product.name)
        return names


class FollowsUp(Shape):
    """What follows the success is there exactly when the success is."""

    def work(self) -> Any:
        self.step("first", lambda: self.again("first"))
        return self.step("second", lambda step: self.walk(step))

    def walk(self, step: Step) -> int:
        for item in step.iterate(["a", "b"]):
            with step.atomic():
                self.once(item)
                self.count += 1
        return self.count

    def on_success(self, run: str) -> None:
        Child.enqueue(run, "follows")
        Applied.objects.create(run=run, item=f"success of {self.count}, {self.continuation.result}")


RESTING: list[type[Shape]] = [Waits, TimesOut, Sleeps, FansOut]
SHAPES += [*RESTING, Shards, FollowsUp]


def tend(row: Continuation) -> None:
    """What the world does for a continuation that rests: time passes, events are sent, children run to their end."""
    if row.status != Continuation.Status.WAITING or row.reason != "waiting":
        return
    if row.run_after is not None:
        past = timezone.now() - dt.timedelta(days=1)
        Continuation.objects.filter(pk=row.pk).update(run_after=past)
        row.steps.filter(status="running").update(cursor_json=codec.encode(past))
    elif row.steps.filter(status="running", kind="event").exists():
        row.send(row.waiting_for, f"{row.waiting_for}!")
    else:
        run_children(row)


def send_all(row: Continuation) -> None:
    """Whatever `Waits` will wait for."""
    for name in ("first", "middle", "last"):
        row.send(name, f"{name}!")


def run_children(row: Continuation) -> None:
    """Those that are there, in their order."""
    for child in row.children.active().for_job(CountingChild).order_by("created_at", "pk"):
        execute(child.pk, child.delivery, Bench())
