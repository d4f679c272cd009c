"""What is said of steps that do not fit what is stored: the code has changed under a job, and what would help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import InvalidStepError

if TYPE_CHECKING:
    from .models import StepRecord


def instead_of_completed(name: str, expected: str, completed: Iterable[str]) -> InvalidStepError:
    """`name` was met where `expected` was completed by an earlier execution."""
    steps = list(completed)
    problem = (
        f"step {name!r} was met where step {expected!r} was completed before; the order of completed steps cannot "
        f"change: {listed(steps)}. "
    )
    if name in steps:
        return InvalidStepError(
            f"{problem}Put {expected!r} back before {name!r}: it will not run again. Or, if it and all that follows "
            f"may run again, call rerun_from({expected!r}) on the continuation"
        )
    return InvalidStepError(
        f"{problem}If {name!r} is its new name, say so: renamed_steps = {{{expected!r}: {name!r}}}. If {name!r} is a "
        f"new step, put it behind those completed, and {expected!r} back. Or, if {expected!r} and all that follows may "
        f"run again, call rerun_from({expected!r}) on the continuation"
    )


def instead_of_running(name: str, record: StepRecord) -> InvalidStepError:
    """`name` was met before the step in progress, which an earlier execution began."""
    running = record.name
    return InvalidStepError(
        f"step {name!r} was met, but step {running!r} is in progress at cursor {record.cursor!r} and has to be resumed "
        f"first. If {name!r} is its new name, say so: renamed_steps = {{{running!r}: {name!r}}}. If {name!r} is a new "
        f"step, put it behind {running!r}. If {running!r} was taken out, put it back. Or, if it may begin again, call "
        f"rerun_from({running!r}) on the continuation"
    )


def after_an_error(name: str, record: StepRecord) -> InvalidStepError:
    """`name` was met after the step in progress was left by an error that this execution swallowed."""
    running = record.name
    return InvalidStepError(
        f"step {name!r} was met, but step {running!r} is in progress: it was left by an error, which has to leave "
        f"`perform` too. Catch it inside {running!r} instead"
    )


def never_met(record: StepRecord, met: Iterable[str]) -> InvalidStepError:
    """`perform` returned without the step in progress."""
    name = record.name
    return InvalidStepError(
        f"perform returned, but step {name!r} is in progress (cursor {record.cursor!r}) and was not met; steps met: "
        f"{listed(met)}. Put {name!r} back; it may be empty. Or call rerun_from({name!r}) on the continuation, "
        "which forgets it"
    )


def renamed_away(name: str, renamed: str) -> InvalidStepError:
    """`name` was met, and `renamed_steps` says that no step is called so any more."""
    return InvalidStepError(
        f"step {name!r} was met, but renamed_steps says that it is called {renamed!r} now: it maps old names to new "
        "ones. A new step needs a name that no step had before"
    )


def listed(names: Iterable[str]) -> str:
    """The names in quotes."""
    return ", ".join(map(repr, names)) or "none"
