"""From a call to a row: everything is checked before anything is written."""

from __future__ import annotations

import datetime as dt
import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.utils import timezone

from . import codec, rq_options
from .conf import database
from .delivery import deliver
from .errors import ContinuationError, JobDefinitionError, UnknownQueueError
from .execution import execute
from .loading import job_path
from .models import Continuation
from .transitions import Status
from .workplace import Workplace

if TYPE_CHECKING:
    from .job import ContinuableJob


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `using(...)` may say of one enqueueing."""

    queue_name: str | None = None
    run_after: dt.timedelta | dt.datetime | None = None
    at_front: bool = False
    rq_options: Mapping[str, Any] | None = None


def enqueue(
    job_class: type[ContinuableJob], options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Continuation:
    """Write the row in the caller's transaction and deliver it on commit."""
    continuation = _row(job_class, options, args, kwargs)
    _insert(continuation)
    deliver(continuation, at_front=options.at_front)
    return continuation


def perform_now(job_class: type[ContinuableJob], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Continuation:
    """Write the row and run it here, back-offs included. Raises the error that failed it."""
    continuation = _row(job_class, Options(), args, kwargs)
    _insert(continuation)
    with Workplace() as place:
        while True:
            outcome = execute(continuation.pk, continuation.delivery, place)
            goes_on = outcome.status == Status.INTERRUPTED and _is_own_affair(outcome.continuation)
            if outcome.status == Status.WAITING and not outcome.moved_on:
                goes_on = place.wait(outcome.wait)
            if not goes_on:
                break
    continuation.refresh_from_db()
    if outcome.status in (Status.INTERRUPTED, Status.WAITING) and not outcome.moved_on:
        deliver(continuation)
    if outcome.stop is not None:
        raise outcome.stop
    if outcome.status == Status.FAILED and outcome.error is not None:
        raise outcome.error
    return continuation


def bind(job_class: type[ContinuableJob], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise `TypeError` as Python would if `perform` does not take these arguments."""
    perform = getattr(job_class, "perform", None)
    if perform is None:
        raise JobDefinitionError(f"{job_class.__name__} has no method perform: define what it does there")
    try:
        inspect.signature(perform).bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{job_class.__name__}.perform() {error}") from None


def _row(
    job_class: type[ContinuableJob], options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Continuation:
    name = job_class.__name__
    path = job_path(job_class)
    bind(job_class, args, kwargs)
    if job_class.resume_queue_name is not None:
        _checked_queue(job_class.resume_queue_name, name)
    frozen = rq_options.freeze({**job_class.rq_options, **(options.rq_options or {})}, subject=name)
    return Continuation(
        job_path=path,
        queue_name=_checked_queue(options.queue_name or job_class.queue_name, name),
        arguments_json=codec.encode([list(args), kwargs], what=f"arguments of {name}") or "",
        rq_options_json=frozen,
        run_after=_moment(options.run_after, name),
    )


def _insert(continuation: Continuation) -> None:
    alias = database()
    connection = connections[alias]
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise ContinuationError(
            f"autocommit is off on database {alias!r}, so nobody would know when {continuation.job_name} is committed: "
            "enqueue inside transaction.atomic()"
        )
    continuation.save(using=alias, force_insert=True)


def _checked_queue(queue_name: str, job_name: str) -> str:
    from django_rq.settings import get_queues_map

    known = get_queues_map()
    if queue_name not in known:
        near = difflib.get_close_matches(queue_name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownQueueError(
            f"{job_name}: queue {queue_name!r} is not in RQ_QUEUES ({', '.join(map(repr, known)) or 'empty'}).{hint}"
        )
    return queue_name


def _moment(run_after: dt.timedelta | dt.datetime | None, job_name: str) -> dt.datetime | None:
    if run_after is None:
        return None
    if isinstance(run_after, dt.timedelta):
        return timezone.now() + run_after
    if isinstance(run_after, dt.datetime) and timezone.is_aware(run_after):
        return run_after
    raise TypeError(f"{job_name}: run_after={run_after!r}: expected a timedelta or an aware datetime")


def _is_own_affair(continuation: Continuation | None) -> bool:
    """An isolated step, or an error without a wait: going on here takes nothing from anybody."""
    return continuation is not None and continuation.reason in {"isolating", "error"}
