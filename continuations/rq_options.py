"""RQ's own options of a job, kept as JSON so that every delivery of a continuation can be made from the row alone."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any

from rq import Callback, RateLimit
from rq.exceptions import TimeoutFormatError
from rq.job import Dependency, Job, parse_job_id
from rq.utils import parse_timeout

from .errors import ContinuationError
from .limits import OPTION

# Carried by the anchor alone: they belong to the whole continuation, not to one delivery.
_CALLBACKS = ("on_success", "on_failure", "on_stopped")
_ONCE = (*_CALLBACKS, "depends_on")
_SECONDS = ("job_timeout", "result_ttl", "failure_ttl")
_PLAIN = ("description", "meta")
KNOWN = (*_SECONDS, *_PLAIN, OPTION, *_ONCE)

_REASONS = {
    "at_front": "use using(at_front=True)",
    "job_id": "the id belongs to the continuation",
    "retry": "use @retry_on on the job class",
    "repeat": "use a cron job that enqueues",
    "unique": "the id belongs to the continuation",
    "pipeline": "delivery happens on commit",
    "timeout": "use job_timeout",
    "ttl": "a delivery that expires in its queue would only be delivered again",
}


class RQOptionError(ContinuationError, TypeError):
    """An entry of `rq_options` that a continuation cannot carry."""


def freeze(options: Mapping[str, Any], *, subject: str) -> dict[str, Any]:
    """JSON-able form of `rq_options`. Raises `RQOptionError` for an option that cannot be kept or is unknown."""
    frozen: dict[str, Any] = {}
    for name, value in options.items():
        if name not in KNOWN:
            raise RQOptionError(f"{subject}: rq_options[{name!r}] {_why_not(name)}")
        try:
            frozen[name] = _freezers.get(name, _same)(value)
        except (TypeError, ValueError, AttributeError, TimeoutFormatError) as error:
            raise RQOptionError(f"{subject}: rq_options[{name!r}]={value!r}: {error}") from None
    try:
        json.dumps(frozen)
    except (TypeError, ValueError) as error:
        raise RQOptionError(f"{subject}: rq_options must be JSON-able: {error}") from None
    return frozen


def thaw(frozen: Mapping[str, Any], *, anchor: bool) -> dict[str, Any]:
    """Keyword arguments for `Queue.enqueue`. Callbacks and dependencies only for the anchor."""
    options = {name: value for name, value in frozen.items() if anchor or name not in _ONCE}
    for name in _CALLBACKS:
        if name in options:
            path, timeout = options[name]
            options[name] = Callback(path, timeout)
    if "depends_on" in options:
        ids, at_front, allow_failure = options["depends_on"]
        options["depends_on"] = Dependency(ids, enqueue_at_front=at_front, allow_failure=allow_failure)
    if OPTION in options:
        options[OPTION] = RateLimit(*options[OPTION])
    return options


def _why_not(name: str) -> str:
    if name in _REASONS:
        return f"cannot be passed: {_REASONS[name]}"
    near = difflib.get_close_matches(name, KNOWN, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KNOWN)}"
    return f"is not an option of RQ that a continuation carries; {hint}"


def _same(value: Any) -> Any:
    return value


def _callback(value: Any) -> list[Any]:
    callback = value if isinstance(value, Callback) else Callback(value)
    return [callback.name, callback.timeout]


def _dependency(value: Any) -> list[Any]:
    items = value if isinstance(value, (list, tuple)) else [value]
    ids: list[str] = []
    at_front = allow_failure = False
    for item in items:
        if isinstance(item, Dependency):
            at_front = at_front or item.enqueue_at_front
            allow_failure = allow_failure or item.allow_failure
            ids += [_job_id(dependency) for dependency in item.dependencies]
        else:
            ids.append(_job_id(item))
    return [ids, at_front, allow_failure]


def _job_id(value: Any) -> str:
    if isinstance(value, Job):
        return value.id
    if isinstance(value, str):
        return parse_job_id(value)
    rq_job_id = getattr(value, "rq_job_id", None)  # a Continuation
    if isinstance(rq_job_id, str):
        return rq_job_id
    raise TypeError("expected RQ jobs, their ids, or continuations")


def _seconds(value: Any) -> int | None:
    seconds = parse_timeout(value)
    return None if seconds is None else int(seconds)


def _limit(value: Any) -> list[Any]:
    if not isinstance(value, RateLimit):
        raise TypeError('expected rq.RateLimit("key", concurrency)')
    return [value.key, value.concurrency]


_freezers: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_SECONDS, _seconds),
    **dict.fromkeys(_CALLBACKS, _callback),
    "depends_on": _dependency,
    OPTION: _limit,
}
