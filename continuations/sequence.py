"""The steps of one execution, in the order in which they are met."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.utils import timezone

from . import codec, log, misfits
from .errors import CheckpointError, InvalidStepError, WaitTimeout
from .missing import MISSING
from .outages import insistently
from .records import PassedStep, StepRecord
from .renaming import current_name
from .signals import emit, step_completed, step_skipped, step_started
from .step import OwnBlock, Step

if TYPE_CHECKING:
    from .progress import Progress
    from .rests import Rest
    from .stopping import Stopping

NAME_LENGTH = 200


class Sequence:
    """Runs steps that are new, resumes the one in progress, skips those completed, and refuses what does not fit."""

    def __init__(
        self,
        progress: Progress,
        stopping: Stopping,
        records: list[PassedStep | StepRecord],
        *,
        rest_is_over: bool = False,
    ) -> None:
        self._progress = progress
        self._stopping = stopping
        # The time until which the step in progress rests has come, as far as the claim knew.
        self._rest_is_over = rest_is_over
        # A step whose wait timed out, until the job goes on with another one.
        self.timed_out: Step | None = None
        self._renamed = type(progress.job).renamed_steps
        if self._renamed:
            records = [_renamed(record, self._renamed) for record in records]
        last = records[-1] if records else None
        self.in_progress = last if isinstance(last, StepRecord) else None
        self.completed = records if self.in_progress is None else records[:-1]
        self.met: list[str] = []
        # The same as far as it was looked up: a job may have thousands of steps.
        self._names_met: set[str] = set()
        self._completed_before = len(self.completed)
        self._completed_here = 0
        self._isolated_ran = False
        self._running = False

    @property
    def current(self) -> Step | None:
        """The step that runs now, or that was left by an error."""
        return self._progress.step

    @property
    def advanced(self) -> bool:
        """This execution completed a step or moved the running step's cursor."""
        if self._completed_here:
            return True
        return self.current is not None and self.current.advanced

    @property
    def skipped(self) -> list[str]:
        """Completed by earlier executions and not run in this one; their side effects on `self` are missing."""
        return self.met[: self._completed_before]

    @property
    def has_progress(self) -> bool:
        """Any execution so far completed a step or moved a cursor."""
        return bool(self.completed) or (self.in_progress is not None and self.in_progress.advanced) or self.advanced

    def run(self, name: Any, body: Callable[..., Any], *, start: Any, isolated: bool, atomic: bool) -> Any:
        """Meet the step `name`: run, resume or skip it, and give its result."""
        record = self._meet(name, StepRecord.Kind.STEP)
        if record is not None:
            return record.result
        call = _caller(name, body)
        if atomic and start is not None:
            raise TypeError(f"step {name!r}: atomic=True is for steps without a cursor; leave out start=")
        self._checkpoint_before(isolated=isolated)
        step = self._begin(name, StepRecord.Kind.STEP, start)
        result = self._perform(step, call, atomic=atomic)
        self._isolated_ran = isolated
        return result

    def rest(self, rest: Rest) -> Any:
        """Meet a rest, which is a step too: leave until it is due or told, or give its answer."""
        continuation = self._progress.continuation
        record = self._meet(rest.name, rest.kind)
        if record is not None:
            return rest.answer(continuation, record)
        self._checkpoint_before(isolated=False)
        step = self._begin(rest.name, rest.kind, rest.until())
        with self._progress.hold():
            if step.resumed and step.cursor is None:
                # It timed out, that failed the job, and somebody lets it try again.
                step.begin_again(rest.until())
            rest.due = step.cursor
            found = insistently(connections[self._progress.alias], lambda: rest.look(continuation))
            if found is MISSING and rest.due is None:
                self._stopping.leave("waiting", rest=rest)
            if found is MISSING and not (step.resumed and self._rest_is_over) and rest.due > timezone.now():
                self._stopping.leave("waiting", (rest.due - timezone.now()).total_seconds(), rest)
            if found is MISSING and rest.kind is StepRecord.Kind.EVENT:
                return self._time_out(step, rest)
            self._end_rest(step, None if found is MISSING else found, StepRecord.Status.COMPLETED)
        return rest.answer(continuation, step.record)

    def _time_out(self, step: Step, rest: Rest) -> Any:
        step.record.status = StepRecord.Status.TIMED_OUT
        try:
            answer = rest.answer(self._progress.continuation, step.record)
        except WaitTimeout:
            # Only once the job goes on with it is the step done with. If it fails the job, a retry waits again.
            self.timed_out = step
            raise
        finally:
            step.record.status = StepRecord.Status.RUNNING
        self._end_rest(step, None, StepRecord.Status.TIMED_OUT)
        return answer

    def _end_rest(self, step: Step, result_json: str | None, ended: StepRecord.Status) -> None:
        if not self._progress.complete(step, result_json, ended):
            self._stopping.leave("superseded")
        self._note_completed(step)
        self._tell_completed(step)

    def _settle_time_out(self) -> None:
        """The job has caught the `WaitTimeout` and goes on."""
        step, self.timed_out = self.timed_out, None
        if step is not None:
            with self._progress.hold():
                self._end_rest(step, None, StepRecord.Status.TIMED_OUT)

    def finish(self) -> None:
        """`perform` returned. Raise `InvalidStepError` if the step in progress was never met."""
        self._settle_time_out()
        if self.in_progress is not None and self.in_progress.name not in self.met:
            raise misfits.never_met(self.in_progress, self.met)

    def _meet(self, name: Any, kind: StepRecord.Kind) -> PassedStep | StepRecord | None:
        """Check what can be checked before anything runs. Gives the record of a step that is completed."""
        position = len(self.met)
        if position < self._completed_before and not self._is_special:
            # It may be one of thousands: what is stored at this place was checked when it ran.
            record = self.completed[position]
            if record.name == name and record.kind == kind:
                return self._skip(record)
        self._check_name(name)
        self._stopping.insist()
        self._settle_time_out()
        self._check_block(name)
        if position < len(self.completed):
            record = self.completed[position]
            if (record.name, record.kind) != (name, kind):
                raise misfits.instead_of_completed(name, record.name, (each.name for each in self.completed))
            return self._skip(record)
        self._check_place(name, kind)
        return None

    @property
    def _is_special(self) -> bool:
        """Whether there is more to check of the next step than that it is the one that is stored."""
        return (
            self._running
            or bool(self._renamed)
            or self.timed_out is not None
            or self._stopping.left is not None
            or self._progress.blocks.any_open
        )

    def _skip(self, record: PassedStep | StepRecord) -> PassedStep | StepRecord:
        self.met.append(record.name)
        log.step("skipped", self._progress.continuation, record.name)
        if step_skipped.receivers:
            emit(step_skipped, self._progress.continuation, step=record.name)
        return record

    def _checkpoint_before(self, *, isolated: bool) -> None:
        if not self.advanced:
            return
        self._stopping.look_and_leave(boundary=True)
        if isolated or self._isolated_ran:
            self._stopping.leave("isolating")

    def _begin(self, name: str, kind: StepRecord.Kind, start: Any) -> Step:
        with self._progress.hold():
            return self._begin_held(name, kind, start)

    def _begin_held(self, name: str, kind: StepRecord.Kind, start: Any) -> Step:
        record, progress = self.in_progress, self._progress
        position = len(self.met)
        self.met.append(name)
        resumed = record is not None and (record.name, record.kind) == (name, kind)
        if record is None or not resumed:
            start_json = codec.encode(start, what=f"start of step {name!r}")
            fresh = StepRecord.begun(progress.continuation.pk, position, name, kind, start_json)
            # A step that never advanced gives way to one of another name.
            ours = progress.start(fresh) if record is None else progress.replace(record, fresh)
            if not ours:
                self._stopping.leave("superseded")
            record = fresh
        self.in_progress = record
        step = Step(record, progress, self._stopping, resumed=resumed)
        progress.step = step
        log.step("resumed" if resumed else "started", progress.continuation, name, step.cursor)
        emit(step_started, progress.continuation, step=name, cursor=step.cursor, resumed=resumed)
        return step

    def _perform(self, step: Step, call: Callable[[Step], Any], *, atomic: bool) -> Any:
        self._running = True
        try:
            if atomic:
                result = self._perform_atomically(step, call)
            else:
                result = call(step)
                with self._progress.hold():
                    self._complete(step, result)
                    self._note_completed(step)
        finally:
            self._running = False
        self._tell_completed(step)
        return result

    def _tell_completed(self, step: Step) -> None:
        log.step("completed", self._progress.continuation, step.name, step.cursor)
        emit(step_completed, self._progress.continuation, step=step.name, cursor=step.cursor)

    def _note_completed(self, step: Step) -> None:
        self.completed.append(step.record)
        self._completed_here += 1
        self.in_progress = self._progress.step = None

    def _perform_atomically(self, step: Step, call: Callable[[Step], Any]) -> Any:
        result_json: str | None = None
        block = OwnBlock(
            step,
            lambda: self._progress.complete(step, result_json),
            then=lambda: self._note_completed(step),
        )
        with block:
            result = call(step)
            self._stopping.insist()
            result_json = codec.encode(result, what=f"result of step {step.name!r}")
        return result

    def _complete(self, step: Step, result: Any) -> None:
        # A body that swallowed the interrupt has not come to its end.
        self._stopping.insist()
        self._progress.settle(step)
        if (alias := self._progress.blocks.open_alias()) is not None:
            raise CheckpointError(f"step {step.name!r} returned with a transaction open on {alias!r} that it had begun")
        result_json = codec.encode(result, what=f"result of step {step.name!r}")
        if not self._progress.complete(step, result_json):
            self._stopping.leave("superseded")

    def _check_name(self, name: Any) -> None:
        if not isinstance(name, str) or not name.strip():
            raise InvalidStepError(f"a step's name must be a non-empty string, got {name!r}")
        if len(name) > NAME_LENGTH:
            raise InvalidStepError(f"step name {name[:50]!r}… has {len(name)} characters; {NAME_LENGTH} fit")
        if self._has_met(name):
            raise InvalidStepError(
                f"step {name!r} was met twice in one execution; steps met: {misfits.listed(self.met)}"
            )
        if name in self._renamed:
            raise misfits.renamed_away(name, self._renamed[name])

    def _has_met(self, name: str) -> bool:
        # Each name is there once.
        self._names_met.update(self.met[len(self._names_met) :])
        return name in self._names_met

    def _check_block(self, name: str) -> None:
        if self._running and self.current is not None:
            raise InvalidStepError(
                f"step {name!r} was met inside step {self.current.name!r}: steps cannot be nested; "
                "call it after that step"
            )
        if (alias := self._progress.blocks.open_alias()) is not None:
            raise CheckpointError(
                f"step {name!r} was met inside a transaction on {alias!r}: its progress would be lost with it. Take "
                "transaction.atomic off `perform`, and use step.atomic() or atomic=True inside"
            )

    def _check_place(self, name: str, kind: StepRecord.Kind) -> None:
        record = self.in_progress
        if record is None or (record.name, record.kind) == (name, kind):
            return
        if self._has_met(record.name):
            raise misfits.after_an_error(name, record)
        if record.advanced:
            raise misfits.instead_of_running(name, record)


def _caller(name: str, body: Any) -> Callable[[Step], Any]:
    """How to call `body`: with the step if it has exactly one required positional parameter, else bare."""
    if not callable(body):
        raise TypeError(
            f"step {name!r}: expected a callable, got {body!r:.100}: pass the method, `self.step(self.{name})`"
        )
    if _takes_step(name, body):
        return lambda step: step.ended(body(step))
    return lambda step: step.ended(body())


def _takes_step(name: str, body: Callable[..., Any]) -> bool:
    if (count := _required_by(body)) is not None:
        return count == 1
    try:
        parameters = inspect.signature(body).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [each for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]
    if not required:
        return False
    if len(required) == 1 and required[0].kind in _POSITIONAL:
        return True
    names = ", ".join(each.name for each in required)
    raise TypeError(f"step {name!r}: a step takes no required parameter, or one that gets the step; it has: {names}")


def _required_by(body: Callable[..., Any]) -> int | None:
    """How many parameters a plain function or method requires, if it is 0 or 1. None: its signature tells.

    A signature takes longer to make than a short step to run.
    """
    function, bound = (body.__func__, 1) if isinstance(body, MethodType) else (body, 0)
    # What stands for another function, or has a signature of its own, says so among its attributes.
    if not isinstance(function, FunctionType) or vars(function) or function.__code__.co_kwonlyargcount:
        return None
    count = function.__code__.co_argcount - bound - len(function.__defaults__ or ())
    return count if count in (0, 1) else None


def _renamed(record: PassedStep | StepRecord, renamed: Mapping[str, str]) -> PassedStep | StepRecord:
    """The record under the name that its step has now. In memory only: workers with older code may look at it still."""
    name = current_name(record.name, renamed)
    if isinstance(record, PassedStep):
        return record._replace(name=name)
    record.name = name
    return record


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
