"""`ContinuableJob`: the base class of all jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, Self, TypeVar, overload

from .configured import Configured, Performs
from .definition import check_definition
from .errors import InvalidStepError, NotRunningError
from .hooks import Hooks
from .loading import register
from .missing import MISSING
from .step import Step

if TYPE_CHECKING:
    from .models import Continuation
    from .policies import Policy
    from .sequence import Sequence
    from .stopping import Stopping

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

# Bodies of steps. Of a coroutine function the step's result is what it gives when awaited: the engine does that.
_Async = Callable[[], Coroutine[Any, Any, R]]
_AsyncWithStep = Callable[[Step], Coroutine[Any, Any, R]]
_Bare = Callable[[], R]
_WithStep = Callable[[Step], R]


class Runs(Protocol):
    """What `@self.step("name")` gives: it runs the function under it and stands for its result."""

    @overload
    def __call__(self, body: _AsyncWithStep[R], /) -> R: ...
    @overload
    def __call__(self, body: _WithStep[R], /) -> R: ...
    @overload
    def __call__(self, body: _Async[R], /) -> R: ...
    @overload
    def __call__(self, body: _Bare[R], /) -> R: ...


class ContinuableJob(Hooks):
    """A job made of steps, which can be interrupted between any two of them, and within them at checkpoints.

    Subclass it, define `perform`, and call `self.step` in it::

        class ProcessImport(ContinuableJob):
            queue_name = "imports"

            def perform(self, import_id: int) -> None:
                self.import_ = Import.objects.get(pk=import_id)  # outside steps: runs on every execution
                self.step(self.validate)
                self.step(self.load)
                self.step("publish", self.import_.publish, atomic=True)

            def load(self, step: Step) -> None:
                for row in step.iterate(csv_rows(self.import_.path)):
                    with step.atomic():  # row and cursor commit together
                        self.import_.add(row)

        ProcessImport.enqueue(7)

    When a worker shuts down, or the job's time is nearly up, the job leaves at its next checkpoint, goes back to its
    queue, and a later execution carries on: completed steps are skipped, and the step in progress starts at its
    cursor. A process that is killed loses at most `checkpoint_interval` seconds of cursor, and nothing that was done
    in `step.atomic()`.

    **Steps** run when they are met, once to completion; their result is stored and returned again by later
    executions. They may not be nested, met twice, or change their order once completed.

    **Cursors** are moved by `step.set`, `step.advance` and `step.iterate`. Any value that the codec knows will do.

    **Checkpoints** are where the job may leave: each movement of a cursor, `step.checkpoint()`, and the boundary
    between two steps. A step that takes long without one keeps a worker from shutting down.

    **Isolated** steps (`isolated=True`) get an execution of their own, for work that takes most of a time-out.

    **Errors** after progress are resumed with a growing delay; errors without progress fail the job, which keeps all
    it had reached. `retry_on` and `discard_on` say otherwise for an error class.

    Class options:

    `queue_name`: a key of `RQ_QUEUES`.
    `max_resumptions`: how often the job may be resumed after shutdowns, errors and crashes; None is unlimited.
    `resume_wait`: seconds, or a timedelta, before every resumption.
    `resume_queue_name`: the queue for resumptions, if not the same.
    `resume_errors_after_advancing`: whether an error after progress is resumed without a policy.
    `max_crashes`: how often in a row the process may die without progress.
    `on_limit`: "fail" or "pause", what happens beyond these limits.
    `max_runtime`: seconds after which an execution yields to other jobs; None is unlimited.
    `checkpoint_interval`: seconds between two writes of progress; 0 writes at each checkpoint; None takes the setting.
    `sensitive`: names of arguments, attributes and keys of dicts whose values are masked in the admin and in log lines.
    `renamed_steps`: a dict of old names of steps to new ones, for jobs that began before; chains are followed.
    `aliases`: a tuple of paths, such as `"shop.jobs.OldName"`, that this class had before it was moved or renamed.
    `rq_options`: options for RQ's own job, such as `{"job_timeout": 600}`.

    The ideas and the words are those of Rails' `ActiveJob::Continuable`.
    """

    queue_name: ClassVar[str] = "default"
    max_resumptions: ClassVar[int | None] = None
    resume_wait: ClassVar[float | dt.timedelta] = 0
    resume_queue_name: ClassVar[str | None] = None
    resume_errors_after_advancing: ClassVar[bool] = True
    max_crashes: ClassVar[int] = 3
    on_limit: ClassVar[str] = "fail"
    max_runtime: ClassVar[float | None] = None
    checkpoint_interval: ClassVar[float | None] = None
    sensitive: ClassVar[Collection[str]] = ()
    renamed_steps: ClassVar[Mapping[str, str]] = {}
    aliases: ClassVar[Collection[str]] = ()
    rq_options: ClassVar[Mapping[str, Any]] = {}

    _policies: ClassVar[tuple[Policy, ...]] = ()

    _attributes: dict[str, Any]
    _continuation: Continuation | None
    _sequence: Sequence | None
    _stopping: Stopping | None

    if TYPE_CHECKING:
        perform: Callable[..., Any]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        job = super().__new__(cls)
        job._attributes = {}
        job._continuation = job._sequence = job._stopping = None
        return job

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_definition(cls)
        register(cls)

    # Enqueueing

    @classmethod
    def enqueue(cls: type[Performs[P]], *args: P.args, **kwargs: P.kwargs) -> Continuation:
        """Write a continuation in the current transaction; it goes to its queue when that commits.

        Takes the arguments of `perform`. Raises, with nothing written: `TypeError` for arguments `perform` does not
        take, `SerializationError` for values that cannot be stored, `UnknownQueueError`, `JobDefinitionError`.
        """
        return Configured[P](cls, {}).enqueue(*args, **kwargs)  # type: ignore[arg-type]

    @classmethod
    async def aenqueue(cls: type[Performs[P]], *args: P.args, **kwargs: P.kwargs) -> Continuation:
        """`enqueue`, for async code."""
        return await Configured[P](cls, {}).aenqueue(*args, **kwargs)  # type: ignore[arg-type]

    @classmethod
    def enqueue_many(cls, calls: Iterable[tuple[Any, ...]]) -> list[Continuation]:
        """`enqueue` for each tuple of arguments, in few statements and round trips. Returns them in that order.

        All calls are bound before anything is written: what `enqueue` would raise names the call by its index.
        """
        return Configured[...](cls, {}).enqueue_many(calls)

    @classmethod
    async def aenqueue_many(cls, calls: Iterable[tuple[Any, ...]]) -> list[Continuation]:
        """`enqueue_many`, for async code."""
        return await Configured[...](cls, {}).aenqueue_many(calls)

    @classmethod
    def using(
        cls: type[Performs[P]],
        *,
        queue_name: str | None = None,
        run_after: dt.timedelta | dt.datetime | None = None,
        at_front: bool = False,
        key: str | None = None,
        rq_options: Mapping[str, Any] | None = None,
    ) -> Configured[P]:
        """Options for one enqueueing: `Job.using(queue_name="slow").enqueue(7)`.

        `run_after`: a timedelta from now, or an aware datetime. `at_front`: the front of the queue.
        `key`: 1 to 200 characters; while an unfinished continuation of any class has it, `enqueue` returns that one.
        `rq_options`: added to the class's; `job_timeout`, `result_ttl`, `failure_ttl`, `description`, `meta`,
        `rate_limit`, `depends_on`, `on_success`, `on_failure`, `on_stopped`. Callbacks and dependents see the real
        end only.
        """
        options = {"queue_name": queue_name, "run_after": run_after, "at_front": at_front, "rq_options": rq_options}
        return Configured[P](cls, {**options, "key": key})  # type: ignore[arg-type]

    @classmethod
    def perform_now(cls: type[Performs[P]], *args: P.args, **kwargs: P.kwargs) -> Continuation:
        """Write a continuation and run it here and now, waiting out back-offs. Raises the error that failed it.

        If it is interrupted, it goes to its queue like any other, and what is returned has not ended.
        """
        from . import enqueueing

        return enqueueing.perform_now(cls, args, kwargs)  # type: ignore[arg-type]

    # Inside `perform`

    @overload
    def step(self, body: _AsyncWithStep[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...) -> R: ...
    @overload
    def step(self, body: _WithStep[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...) -> R: ...
    @overload
    def step(self, body: _Async[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...) -> R: ...
    @overload
    def step(self, body: _Bare[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...) -> R: ...
    @overload
    def step(
        self, name: str, body: _AsyncWithStep[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...
    ) -> R: ...
    @overload
    def step(
        self, name: str, body: _WithStep[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...
    ) -> R: ...
    @overload
    def step(
        self, name: str, body: _Async[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...
    ) -> R: ...
    @overload
    def step(
        self, name: str, body: _Bare[R], /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...
    ) -> R: ...
    @overload
    def step(self, name: str = ..., /, *, start: Any = ..., isolated: bool = ..., atomic: bool = ...) -> Runs: ...
    def step(self, *given: Any, start: Any = None, isolated: bool = False, atomic: bool = False) -> Any:
        """Run a step now and return its result; skip it, returning the stored result, if it is completed.

        `self.step(self.load)` names the step "load"; `self.step("load", callable)` names any callable. As a
        decorator, `@self.step` or `@self.step("load", start=0)`, it runs the function under it at once.

        The callable gets the `Step` if it has exactly one required parameter, and nothing if it has none; it may be a
        coroutine function. `start`: the first cursor. `isolated`: an execution of its own. `atomic`: the body, its
        result and the completion commit in one transaction, without a checkpoint inside.

        Raises `InvalidStepError`, `CheckpointError`, `TypeError`, `SerializationError`, each before the body runs,
        but for a result that cannot be stored.
        """
        if len(given) > 2:
            raise TypeError(f"step takes a name and a callable, got {len(given)} arguments")
        if len(given) == 2:
            return self._run(given[0], given[1], start=start, isolated=isolated, atomic=atomic)
        if len(given) == 1 and not isinstance(given[0], str):
            return self._run(_name_of(given[0]), given[0], start=start, isolated=isolated, atomic=atomic)
        name = given[0] if given else None

        def run(body: Callable[..., Any]) -> Any:
            chosen = _name_of(body) if name is None else name
            return self._run(chosen, body, start=start, isolated=isolated, atomic=atomic)

        return run

    def checkpoint(self) -> None:
        """Leave here if there is a reason to. Does nothing before this execution has got anywhere."""
        sequence, stopping = self._running()
        if sequence.current is not None:
            sequence.current.checkpoint()
        elif sequence.advanced:
            stopping.checkpoint()

    def stopping(self) -> str | None:
        """Why this execution should leave at its next checkpoint, or None. For loops that want to end by themselves."""
        return self._running()[1].reason()

    @overload
    def wait_for(self, name: str, *, timeout: float | dt.timedelta | None = ...) -> Any: ...
    @overload
    def wait_for(self, name: str, *, timeout: float | dt.timedelta | None = ..., default: D) -> Any | D: ...
    def wait_for(self, name: str, *, timeout: float | dt.timedelta | None = None, default: Any = MISSING) -> Any:
        """Rest, holding no worker, until somebody sends an event of this name, and return its payload.

        `continuation.send(name, payload)` sends it; one that came before is found. `timeout`: seconds or a timedelta,
        after which this returns `default`, or raises `WaitTimeout` if none is given; None waits for ever. It is a step
        like others: met in the same order, once, and later executions get the same answer.
        """
        from .rests import Wait

        return self._running()[0].rest(Wait(name, timeout, default))

    def wait_for_children(self, name: str = "children") -> list[Continuation]:
        """Rest until all continuations that this one has enqueued have ended, and return them, oldest first.

        However they ended: look at `status`, `result` and `error_message` of each. A step like `wait_for`.
        """
        from .rests import Children

        children: list[Continuation] = self._running()[0].rest(Children(name))
        return children

    def sleep(self, name: str, duration: float | dt.timedelta) -> None:
        """Rest for seconds or a timedelta, holding no worker. A step like `wait_for`."""
        from .rests import Sleep

        self._running()[0].rest(Sleep(name, duration))

    @property
    def continuation(self) -> Continuation:
        """The row of this job."""
        if self._continuation is None:
            raise self._not_running()
        return self._continuation

    @property
    def current_step(self) -> str | None:
        """Name of the step that runs, or None."""
        current = self._running()[0].current
        return None if current is None else current.name

    @property
    def completed_steps(self) -> list[str]:
        """Names of the steps completed so far, in order."""
        return [record.name for record in self._running()[0].completed]

    @property
    def resumptions(self) -> int:
        """How many executions, this one included, started with progress."""
        return self.continuation.resumptions

    @property
    def executions(self) -> int:
        """How many executions there were, this one included."""
        return self.continuation.executions

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not there.
        sequence = self.__dict__.get("_sequence")
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        if sequence is not None and sequence.skipped and not name.startswith("__"):
            steps = ", ".join(map(repr, sequence.skipped))
            message += (
                f". Completed steps do not run again, so what they set on self is not there ({steps}). Set it outside "
                f"steps, or return it from the step and take `self.step(...)`'s result, or declare "
                f"`{name} = attribute(default=...)`"
            )
        raise AttributeError(message, name=name, obj=self)

    # For the engine

    @classmethod
    def resume_wait_seconds(cls) -> float:
        """`resume_wait` in seconds."""
        wait = cls.resume_wait
        return wait.total_seconds() if isinstance(wait, dt.timedelta) else float(wait)

    def _bind(self, continuation: Continuation, sequence: Sequence | None, stopping: Stopping | None) -> None:
        self._continuation, self._sequence, self._stopping = continuation, sequence, stopping

    def _run(self, name: Any, body: Callable[..., Any], *, start: Any, isolated: bool, atomic: bool) -> Any:
        if self._sequence is None:
            raise self._not_running()
        return self._sequence.run(name, body, start=start, isolated=isolated, atomic=atomic)

    def _running(self) -> tuple[Sequence, Stopping]:
        if self._sequence is None or self._stopping is None:
            raise self._not_running()
        return self._sequence, self._stopping

    def _not_running(self) -> NotRunningError:
        name = type(self).__name__
        if self._continuation is not None:
            return NotRunningError(
                f"{name} has ended: on_success and on_failure come after the last step: enqueue a job there"
            )
        return NotRunningError(f"{name} is not running: use {name}.perform_now(...) or {name}.enqueue(...)")


def _name_of(body: Any) -> str:
    if not callable(body):
        raise TypeError(f"step: expected a callable, got {body!r:.100}: pass the method, `self.step(self.validate)`")
    name = getattr(body, "__name__", None)
    if name is None or name == "<lambda>":
        raise InvalidStepError(f'{body!r:.100} has no name of its own: give one, self.step("name", ...)')
    return str(name)
