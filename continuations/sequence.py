"""The steps of one execution, in the order in which they are met."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import codec, log, misfits
from .errors import CheckpointError, InvalidStepError
from .models import StepRecord
from .renaming import current_name
from .step import OwnBlock, Step

if TYPE_CHECKING:
    from .progress import Progress
    from .stopping import Stopping

NAME_LENGTH = 200


class Sequence:
    """Runs steps that are new, resumes the one in progress, skips those completed, and refuses what does not fit."""

    def __init__(self, progress: Progress, stopping: Stopping, records: list[StepRecord]) -> None:
        self._progress = progress
        self._stopping = stopping
        self._renamed = type(progress.job).renamed_steps
        for record in records:
            # In memory only: workers with the code from before may still look at the row.
            record.name = current_name(record.name, self._renamed)
        self.completed = [record for record in records if record.status == StepRecord.Status.COMPLETED]
        running = [record for record in records if record.status == StepRecord.Status.RUNNING]
        self.in_progress: StepRecord | None = running[0] if running else None
        self.met: list[str] = []
        # Completed by earlier executions and not run in this one; their side effects on `self` are missing.
        self.skipped: list[str] = []
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
    def has_progress(self) -> bool:
        """Any execution so far completed a step or moved a cursor."""
        return bool(self.completed) or (self.in_progress is not None and self.in_progress.advanced) or self.advanced

    def run(self, name: Any, body: Callable[..., Any], *, start: Any, isolated: bool, atomic: bool) -> Any:
        """Meet the step `name`: run, resume or skip it, and give its result."""
        self._check_name(name)
        self._stopping.insist()
        self._check_block(name)
        position = len(self.met)
        if position < len(self.completed):
            return self._skip(name, self.completed[position])
        self._check_place(name)
        call = _caller(name, body)
        if atomic and start is not None:
            raise TypeError(f"step {name!r}: atomic=True is for steps without a cursor; leave out start=")
        self._checkpoint_before(isolated=isolated)
        self.met.append(name)
        step = self._begin(name, position, start)
        result = self._perform(step, call, atomic=atomic)
        self._isolated_ran = isolated
        return result

    def finish(self) -> None:
        """`perform` returned. Raise `InvalidStepError` if the step in progress was never met."""
        if self.in_progress is not None and self.in_progress.name not in self.met:
            raise misfits.never_met(self.in_progress, self.met)

    def _skip(self, name: str, record: StepRecord) -> Any:
        if record.name != name:
            raise misfits.instead_of_completed(name, record.name, (each.name for each in self.completed))
        self.met.append(name)
        self.skipped.append(name)
        log.boundary("skipped", self._progress.continuation, step=name)
        return record.result

    def _checkpoint_before(self, *, isolated: bool) -> None:
        if not self.advanced:
            return
        self._stopping.look_and_leave(boundary=True)
        if isolated or self._isolated_ran:
            self._stopping.leave("isolating")

    def _begin(self, name: str, position: int, start: Any) -> Step:
        with self._progress.hold():
            return self._begin_held(name, position, start)

    def _begin_held(self, name: str, position: int, start: Any) -> Step:
        record, progress = self.in_progress, self._progress
        resumed = record is not None and record.name == name
        if record is None or not resumed:
            start_json = codec.encode(start, what=f"start of step {name!r}")
            fresh = StepRecord(
                continuation_id=progress.continuation.pk, position=position, name=name, cursor_json=start_json
            )
            # A step that never advanced gives way to one of another name.
            ours = progress.start(fresh) if record is None else progress.replace(record, fresh)
            if not ours:
                self._stopping.leave("superseded")
            record = fresh
        self.in_progress = record
        step = Step(record, progress, self._stopping, resumed=resumed)
        progress.step = step
        log.boundary("resumed" if resumed else "started", progress.continuation, step=name, cursor=step.cursor)
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
        log.boundary("completed", self._progress.continuation, step=step.name, cursor=step.cursor)
        return result

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
        if name in self.met:
            raise InvalidStepError(
                f"step {name!r} was met twice in one execution; steps met: {misfits.listed(self.met)}"
            )
        if name in self._renamed:
            raise misfits.renamed_away(name, self._renamed[name])

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

    def _check_place(self, name: str) -> None:
        record = self.in_progress
        if record is None or record.name == name:
            return
        if record.name in self.met:
            raise misfits.after_an_error(name, record)
        if record.advanced:
            raise misfits.instead_of_running(name, record)


def _caller(name: str, body: Any) -> Callable[[Step], Any]:
    """How to call `body`: with the step if it has exactly one required positional parameter, else bare."""
    if not callable(body):
        raise TypeError(
            f"step {name!r}: expected a callable, got {body!r:.100}: pass the method, `self.step(self.{name})`"
        )
    try:
        parameters = inspect.signature(body).parameters.values()
    except (TypeError, ValueError):
        return lambda step: step.ended(body())
    required = [each for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]
    if not required:
        return lambda step: step.ended(body())
    if len(required) == 1 and required[0].kind in _POSITIONAL:
        return lambda step: step.ended(body(step))
    names = ", ".join(each.name for each in required)
    raise TypeError(f"step {name!r}: a step takes no required parameter, or one that gets the step; it has: {names}")


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
