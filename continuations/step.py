"""What the body of a step is given: its cursor, its checkpoints, its block."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from django.db import transaction

from . import attributes, codec, coroutines
from .errors import CheckpointError
from .rows import NOTHING, Rows
from .sources import Source, as_source
from .successor import successor

if TYPE_CHECKING:
    from .models import StepRecord
    from .progress import Progress
    from .stopping import Stopping

T = TypeVar("T")


class Step:
    """A step while it runs. Bodies that take one parameter get it.

    `cursor` says how far the step has come: None, `start=`, or where the last execution left it. Move it with `set`,
    `advance` or `iterate`; each movement is a checkpoint, where the job may leave to be continued later.
    """

    def __init__(self, record: StepRecord, progress: Progress, stopping: Stopping, *, resumed: bool) -> None:
        self.record = record
        #: Whether this step was begun by an earlier execution.
        self.resumed = resumed
        # Something moved since it was last written; and did so inside a transaction of the user's.
        self.unsaved = False
        self.unsaved_in_block = False
        # Its body is a coroutine function.
        self.is_coroutine = False
        # Inside `with step.atomic()`.
        self.in_own_block = False
        self._progress = progress
        self._stopping = stopping
        self._is_quiet = stopping.is_quiet
        # What messages call it.
        self._cursor_called = f"cursor of step {record.name!r}"
        self._cursor = codec.decode(record.cursor_json, what=self._cursor_called)
        self._initial = record.cursor_json
        # Cursor after the item in hand, and how much that item counts, while a turn of `iterate` lasts.
        self._after: Any = NOTHING
        self._size = 1
        self._processed = record.processed
        self._turn_done = False
        self._walk: Rows[Any] | None = None
        self._lazy_total: Any = None
        # What earlier executions worked on it, and since when this one does, on the monotonic clock.
        self._busy_before = record.busy_seconds
        self._begun_at = time.monotonic()

    def __repr__(self) -> str:
        return f"<Step {self.name!r} cursor={self._cursor!r}>"

    @property
    def name(self) -> str:
        """The step's name, unique within its job."""
        return self.record.name

    @property
    def cursor(self) -> Any:
        """How far the step has come; None until it is moved or given a `start`."""
        self._progress.settle(self)
        return self._cursor

    @property
    def advanced(self) -> bool:
        """Whether the cursor moved in this execution. A list that was changed in place counts."""
        return self.encoded_cursor() != self._initial

    def set(self, cursor: Any) -> None:
        """Move the cursor, then checkpoint. Raises `SerializationError` for a value that cannot be stored."""
        if type(cursor) not in codec.ATOMS:
            codec.check(cursor, what=self._cursor_called)
        if self._is_quiet():
            self._cursor = cursor
            self.unsaved = True
            return
        self._progress.settle(self)
        self._move_to(cursor)
        self._checkpoint()

    def advance(self, from_: Any = None) -> None:
        """Move the cursor to the successor of `from_`, or of itself, then checkpoint.

        int + 1, date + 1 day, or what `continuations.successor.register` taught; otherwise
        `UnadvanceableCursorError`.
        """
        if from_ is None and type(self._cursor) is int and self._is_quiet():
            self._cursor += 1
            self.unsaved = True
            return
        current = self.cursor if from_ is None else from_
        self._move_to(current + 1 if type(current) is int else successor(current))
        self._checkpoint()

    def checkpoint(self) -> None:
        """Leave here if there is a reason to, keeping the cursor."""
        self.refuse_in_event_loop("step.checkpoint()", "await step.acheckpoint()")
        self._checkpoint()

    async def acheckpoint(self) -> None:
        """`checkpoint`, for steps that are coroutine functions. There `set` and `advance` only move the cursor."""
        await coroutines.call(self._checkpoint_awaited)

    def progress(self, done: int | None = None, total: int | None = None) -> None:
        """Say how much is done and how much there is in all, in any unit. Shown, never used to decide anything."""
        for name, value in (("done", done), ("total", total)):
            if value is not None:
                self._check_count(value, f"progress({name}=...) was given")
        if done is not None:
            self._processed = done
        if total is not None:
            self.record.total = total
        self.unsaved = True

    def atomic(self) -> OwnBlock:
        """A transaction in which work and cursor commit together, or not at all; a checkpoint follows it.

        Inside a turn of `iterate`, leaving it moves the cursor past the item in hand, in that transaction. Effects on
        this database inside it happen exactly once, whatever crashes. If the block raises, cursor, counts and
        attributes go back to what they were before it. In a coroutine it is `async with step.atomic():`.
        """
        return OwnBlock(self, lambda: self._progress.write_in_own_block(self), checkpoint=self._stopping.checkpoint)

    @overload
    def iterate(self, source: Source[T], /) -> Rows[T]: ...
    @overload
    def iterate(self, source: Iterable[T], /) -> Rows[T]: ...
    def iterate(self, source: Any, /) -> Any:
        """Walk `source` from the cursor on; the cursor moves past an item when the next one is asked for.

        `source` is a queryset, any iterable, or one of `continuations.sources`. The result works in `for` and in
        `async for`. Each turn is a checkpoint.
        """
        return Rows(self, as_source(source))

    def ended(self, result: Any) -> Any:
        """The result of the body that gave `result`: if that is a coroutine, its own, once it has been run."""
        if not inspect.iscoroutine(result):
            return result
        self.is_coroutine = True
        return coroutines.run(result, self._stopping.workplace.defer)

    def encoded_cursor(self) -> str | None:
        """The cursor as text."""
        return codec.encode(self._cursor, what=self._cursor_called)

    def restore(self, stored: StepRecord) -> None:
        """Become what is stored: a block in which more was written has been rolled back."""
        for name in ("cursor_json", "attributes_json", "total", "advanced", "sequence"):
            setattr(self.record, name, getattr(stored, name))
        self._processed = stored.processed
        self._cursor = codec.decode(stored.cursor_json, what=self._cursor_called)
        self.unsaved = self.unsaved_in_block = False
        attributes.load(self._progress.job, stored.attributes_json)

    def begin_again(self, cursor: Any) -> None:
        """Give it a start again, which is no movement."""
        self._cursor = cursor
        self._initial = self.encoded_cursor()

    def fill_record(self) -> None:
        """Put onto the record what is to be written: cursor, count, and the source's total when it is first needed."""
        record = self.record
        record.cursor_json = self.encoded_cursor()
        record.processed = self._processed
        record.advanced = record.advanced or record.cursor_json != self._initial
        record.busy_seconds = self._busy_before + time.monotonic() - self._begun_at
        if self._lazy_total is not None:
            total, self._lazy_total = self._lazy_total, None
            if record.total is None and (found := total()) is not None:
                self._check_count(found, "the source's total() gave")
                record.total = found

    def _checkpoint(self) -> None:
        if self._is_quiet():
            return
        # Between two awaits of a coroutine the database cannot be used: the next `acheckpoint` looks.
        if self.in_own_block or self.is_in_event_loop:
            return
        self._stopping.look_and_leave()

    def _checkpoint_awaited(self) -> None:
        # What comes next in the coroutine could not.
        self._progress.settle(self)
        self._checkpoint()

    @property
    def is_in_event_loop(self) -> bool:
        """Called between two awaits of its coroutine."""
        return self.is_coroutine and coroutines.in_event_loop()

    def refuse_in_event_loop(self, called: str, instead: str) -> None:
        if self.is_in_event_loop:
            raise CheckpointError(f"step {self.name!r}: {called} in a coroutine; write `{instead}`")

    def _check_count(self, value: Any, said: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise ValueError(f"step {self.name!r}: {said} {value!r}; expected a whole number from 0 on")

    def _move_to(self, cursor: Any) -> None:
        if self._progress.blocks.any_open:
            # Before it moves: a time-out may be raised between any two lines. `step.atomic()` takes it back by itself.
            self._progress.blocks.mark(own=not self.in_own_block)
            if self._progress.blocks.any_marked:
                self._stopping.due = 0.0
            self.unsaved_in_block = True
        self.unsaved = True
        self._cursor = cursor

    def _finish_turn(self) -> None:
        """Move past the item in hand, unless its block has, then checkpoint."""
        if self._turn_done:
            self._turn_done = False
            return
        self._move_past_item()
        self._checkpoint()

    def _move_past_item(self) -> None:
        if self._after is NOTHING:
            return
        self._progress.settle(self)
        after, self._after = self._after, NOTHING
        self._processed += self._size
        self._move_to(after)


class OwnBlock:
    """A durable transaction that ends with a write of the step.

    `write` gives False if it was superseded; the whole block is rolled back then. `then` is called once it has
    committed, before anything can be raised; `checkpoint` after that.
    """

    def __init__(
        self,
        step: Step,
        write: Callable[[], bool],
        *,
        then: Callable[[], None] = lambda: None,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> None:
        self._step = step
        self._write = write
        self._then = then
        self._checkpoint = checkpoint
        self._atomic: transaction.Atomic
        self._before: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        step, progress = self._step, self._step._progress
        step.refuse_in_event_loop("`with step.atomic()`", "async with step.atomic():")
        if progress.settle(step) and step._after is not NOTHING:
            # A block of this turn was thought lost and has committed: its work must not be done again.
            step._stopping.leave("database")
        if step.in_own_block:
            raise CheckpointError(f"step {step.name!r}: step.atomic() inside step.atomic(); use one block for an item")
        if step._turn_done:
            raise CheckpointError(
                f"step {step.name!r}: a second step.atomic() in the same turn of iterate(); "
                "the first one has moved the cursor past the item, so put all work on it into one block"
            )
        if (alias := progress.blocks.open_alias()) is not None:
            raise CheckpointError(
                f"step {step.name!r}: step.atomic() inside transaction.atomic() on {alias!r} would not commit by "
                "itself; open it outside"
            )
        self._before = (
            codec.encode(step._cursor),
            step._after,
            step._processed,
            step.record.advanced,
            attributes.dump(progress.job),
            step.unsaved,
            step.record.sequence,
        )
        durable = not progress.blocks.own_is_open
        self._atomic = transaction.atomic(using=progress.alias, durable=durable)
        self._atomic.__enter__()
        step.in_own_block = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._step._progress.hold():
            superseded = self._close(kind, error, trace)
            if error is None and not superseded:
                self._then()
        if superseded:
            self._step._stopping.leave("superseded")
        if error is None:
            self._checkpoint()

    async def __aenter__(self) -> None:
        try:
            await coroutines.call(self.__enter__)
        except asyncio.CancelledError as error:
            if self._step.in_own_block:
                await coroutines.call(self.__exit__, type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await coroutines.call(self.__exit__, kind, error, trace)

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Write and commit, or roll back. True: superseded."""
        step, ours = self._step, False
        try:
            if error is None:
                ours = self._write_at_end()
            self._atomic.__exit__(kind, error, trace)
        except BaseException as raised:
            # Lost is perhaps only the answer: then what is stored is what was written.
            if not (ours and step._progress.has_committed(step, raised)):
                self._go_back()
                step._progress.doubt()
                step._stopping.due = 0.0
                raise
        finally:
            step.in_own_block = False
        if error is not None:
            self._go_back()
            return False
        return not ours

    def _write_at_end(self) -> bool:
        """Move past the item in hand and write. False: superseded, and the block will be rolled back."""
        step = self._step
        in_turn = step._after is not NOTHING
        try:
            step._move_past_item()
            ours = self._write()
        except BaseException as error:
            # Django must close its block with this error, or it would stay open.
            self._atomic.__exit__(type(error), error, error.__traceback__)
            raise
        if not ours:
            transaction.set_rollback(True, using=step._progress.alias)
        step._turn_done = in_turn
        return ours

    def _go_back(self) -> None:
        step, record = self._step, self._step.record
        (
            cursor,
            step._after,
            step._processed,
            record.advanced,
            values,
            step.unsaved,
            record.sequence,
        ) = self._before
        step._cursor = codec.decode(cursor)
        step._turn_done = False
        record.status = record.Status.RUNNING
        attributes.load(step._progress.job, values)
