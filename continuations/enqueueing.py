"""From a call to a row: everything is checked before anything is written."""

from __future__ import annotations

import datetime as dt
import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from . import codec, rq_options, upkeep
from .conf import database, require_autocommit
from .current import current_job
from .delivery import deliver
from .errors import JobDefinitionError, UnknownQueueError
from .execution import Outcome, execute
from .loading import job_path
from .models import Continuation
from .signals import emit, emit_on_commit, enqueued, enqueueing
from .transitions import Status
from .workplace import Workplace

if TYPE_CHECKING:
    import uuid

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
    emit_on_commit(enqueued, continuation)
    return continuation


def perform_now(job_class: type[ContinuableJob], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Continuation:
    """Write the row and run it here, back-offs included. Raises the error that failed it."""
    continuation = _row(job_class, Options(), args, kwargs)
    _insert(continuation)
    with Workplace() as place:
        while True:
            outcome = execute(continuation.pk, continuation.delivery, place)
            if outcome.moved_on or not _goes_on_here(outcome):
                break
            if outcome.wait and not place.wait(outcome.wait):
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
    run_after = _moment(options.run_after, name)
    parent, parent_step = _parent()
    return Continuation(
        parent=parent,
        parent_step=parent_step,
        job_path=path,
        queue_name=_checked_queue(options.queue_name or job_class.queue_name, name),
        arguments_json=codec.encode([list(args), kwargs], what=f"arguments of {name}") or "",
        rq_options_json=frozen,
        run_after=run_after,
        check_after=upkeep.after_push(run_after),
    )


def _parent() -> tuple[Continuation | None, uuid.UUID | None]:
    """The continuation whose job enqueues this, and the step in which it does."""
    job = current_job()
    if job is None:
        return None, None
    if job._sequence is None:
        # A hook: no step of a later run is meant.
        return job.continuation, job.continuation.pk
    step = job._sequence.current
    return job.continuation, None if step is None else step.record.pk


def _insert(continuation: Continuation) -> None:
    alias = database()
    require_autocommit(alias)
    emit(enqueueing, continuation)
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


def _goes_on_here(outcome: Outcome) -> bool:
    """After an isolated step, or an error with its back-off: that is still the same call."""
    row = outcome.continuation
    unfinished = outcome.status in (Status.INTERRUPTED, Status.WAITING)
    return unfinished and row is not None and row.reason in {"isolating", "error"}
