"""What is wrong with a job class, said when it is defined."""

from __future__ import annotations

import datetime as dt
import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .attributes import Attribute
from .errors import JobDefinitionError
from .renaming import is_circular

if TYPE_CHECKING:
    from .job import ContinuableJob

HOOKS = frozenset({"should_stop", "on_success", "on_failure"})
RESERVED = frozenset(
    {
        "step",
        "checkpoint",
        "stopping",
        "wait_for",
        "wait_for_children",
        "sleep",
        "continuation",
        "current_step",
        "completed_steps",
        "resumptions",
        "executions",
        "enqueue",
        "aenqueue",
        "enqueue_many",
        "aenqueue_many",
        "using",
        "perform_now",
        "resume_wait_seconds",
    }
)


def check_definition(cls: type[ContinuableJob]) -> None:
    """Raise `JobDefinitionError` for a misspelt option, a reserved name, or an option of a wrong value."""
    for name, value in vars(cls).items():
        if not name.startswith("_"):
            _check_name(cls, name, value)
    if inspect.iscoroutinefunction(vars(cls).get("perform")):
        raise JobDefinitionError(f"{cls.__name__}.perform cannot be a coroutine function; its steps may be")
    for hook in HOOKS:
        if inspect.iscoroutinefunction(vars(cls).get(hook)):
            raise JobDefinitionError(f"{cls.__name__}.{hook} cannot be a coroutine function")


def _check_name(cls: type[ContinuableJob], name: str, value: Any) -> None:
    where = f"{cls.__name__}.{name}"
    if name in RESERVED:
        raise JobDefinitionError(f"{where} hides ContinuableJob.{name}: give it another name, such as {name}_")
    if isinstance(value, Attribute):
        return
    if name in OPTIONS:
        is_right, expected = OPTIONS[name]
        if not is_right(value):
            raise JobDefinitionError(f"{where} is {value!r}; expected {expected}")
        return
    known = HOOKS if callable(value) else OPTIONS
    if name not in known and (near := difflib.get_close_matches(name, known, n=1, cutoff=0.85)):
        raise JobDefinitionError(f"{where} is not an option or hook of a job; did you mean {near[0]!r}?")


def is_duration(value: Any) -> bool:
    """Seconds from 0 on, or such a timedelta."""
    if isinstance(value, dt.timedelta):
        return value >= dt.timedelta(0)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, (tuple, list, set, frozenset)) and all(map(_is_name, value))


def _is_renaming(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and all(_is_name(name) and name.strip() for name in (*value.keys(), *value.values()))
        and not is_circular(value)
    )


def _are_paths(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        isinstance(path, str) and "." in path and all(part.isidentifier() for part in path.split(".")) for path in value
    )


def _is_seconds(value: Any) -> bool:
    return is_duration(value) and not isinstance(value, dt.timedelta)


# Each option with what its value must be.
OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "queue_name": (_is_name, "a key of RQ_QUEUES"),
    "max_resumptions": (_or_none(_whole(0)), "a whole number from 0 on, or None"),
    "resume_wait": (is_duration, "seconds from 0 on, or a timedelta"),
    "resume_queue_name": (_or_none(_is_name), "a key of RQ_QUEUES, or None"),
    "resume_errors_after_advancing": (lambda value: isinstance(value, bool), "True or False"),
    "max_crashes": (_whole(1), "a whole number from 1 on"),
    "on_limit": (lambda value: value in ("fail", "pause"), "'fail' or 'pause'"),
    "max_runtime": (_or_none(_is_seconds), "seconds from 0 on, or None"),
    "checkpoint_interval": (_or_none(_is_seconds), "seconds from 0 on, or None"),
    "sensitive": (_is_names, 'a tuple of names, such as ("token",)'),
    "renamed_steps": (_is_renaming, 'a dict of names of steps, {"old": "new"}, that leads in no circle'),
    "aliases": (_are_paths, 'a tuple of paths that the class had before, such as ("shop.jobs.OldName",)'),
    "rq_options": (lambda value: isinstance(value, Mapping), "a dict of options for RQ's job"),
}
