"""From calls to rows: everything is checked before anything is written."""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import functools
import inspect
import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.utils import timezone

from . import codec, log, rq_options, upkeep
from .columns import columns_of, made
from .conf import database, require_autocommit
from .current import current_job
from .delivery import BATCH, deliver, deliver_many, queue_named
from .ends import Outcome
from .errors import ContinuationError, JobDefinitionError, UnknownQueueError
from .execution import execute
from .identifiers import uuid7
from .keys import check_key, insert_or_find
from .limits import OPTION
from .loading import job_path
from .models import Continuation
from .moments import as_ours
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
    key: str | None = None


def enqueue(
    job_class: type[ContinuableJob], options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Continuation:
    """Write the row in the caller's transaction and deliver it on commit; or find the one that has the key."""
    continuation = _row(job_class, _shared(job_class, options), args, kwargs)
    if (holder := _insert(continuation)) is not None:
        _compare(holder, continuation)
        return holder
    deliver(continuation, at_front=options.at_front)
    emit_on_commit(enqueued, continuation)
    return continuation


def enqueue_many(
    job_class: type[ContinuableJob], options: Options, calls: Iterable[tuple[Any, ...]]
) -> list[Continuation]:
    """Write the rows of all calls in the caller's transaction, and deliver them on commit, both in batches."""
    name = job_class.__name__
    if options.key is not None:
        raise ValueError(
            f"{name}: enqueue_many takes no key, since only one unfinished continuation can have key={options.key!r}: "
            f"call {name}.using(key=...).enqueue(...) for each, with a key of its own"
        )
    shared = _shared(job_class, options)
    rows = [_row_of_many(job_class, shared, index, args) for index, args in enumerate(calls)]
    if not rows:
        return rows
    alias = database()
    require_autocommit(alias)
    for row in rows:
        emit(enqueueing, row)
    columns_of(Continuation, alias).insert_all(rows, connections[alias], BATCH)
    deliver_many(rows, at_front=options.at_front)
    for row in rows:
        emit_on_commit(enqueued, row)
    return rows


def perform_now(job_class: type[ContinuableJob], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Continuation:
    """Write the row and run it here, back-offs included. Raises the error that failed it."""
    continuation = _row(job_class, _shared(job_class, Options()), args, kwargs)
    _insert(continuation)
    with Workplace() as place:
        while True:
            outcome = execute(continuation.pk, continuation.delivery, place)
            if outcome.moved_on or not _goes_on_here(outcome):
                break
            if outcome.wait and not place.wait(outcome.wait):
                break
            place.comes_again = True
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
    try:
        _signature(_perform(job_class)).bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{job_class.__name__}.perform() {error}") from None


# Making it takes longer than all else that is checked here.
_signature = functools.lru_cache(maxsize=1024)(inspect.signature)


def _perform(job_class: type[ContinuableJob]) -> Callable[..., Any]:
    perform: Callable[..., Any] | None = getattr(job_class, "perform", None)
    if perform is None:
        raise JobDefinitionError(f"{job_class.__name__} has no method perform: define what it does there")
    return perform


def _shared(job_class: type[ContinuableJob], options: Options) -> dict[str, Any]:
    """What a row says of class and options; the same for all that are enqueued together."""
    name = job_class.__name__
    path = job_path(job_class)
    _perform(job_class)
    if options.key is not None:
        check_key(options.key, subject=name)
    if job_class.resume_queue_name is not None:
        _checked_queue(job_class.resume_queue_name, name)
    queue_name = _checked_queue(options.queue_name or job_class.queue_name, name)
    frozen = rq_options.freeze({**job_class.rq_options, **(options.rq_options or {})}, subject=name)
    if OPTION in frozen:
        _check_limited(queue_name, name)
    run_after = _moment(options.run_after, name)
    parent, parent_step = _parent()
    now = timezone.now()
    return {
        "created_at": now,
        "enqueued_at": now,
        "parent": parent,
        "parent_step": parent_step,
        "job_path": path,
        "queue_name": queue_name,
        "rq_options_json": frozen,
        "run_after": run_after,
        "check_after": upkeep.after_push(run_after),
        "key": options.key,
        "active_key": options.key,
    }


def _row(
    job_class: type[ContinuableJob], shared: Mapping[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Continuation:
    bind(job_class, args, kwargs)
    what = f"arguments of {job_class.__name__}"
    known = {"id": uuid7(), "attempts_json": {}, "context": {}, **shared}
    parent = known.pop("parent")
    row = made(Continuation, arguments_json=codec.encode([list(args), kwargs], what=what) or "", **known)
    if parent is not None:
        row.parent = parent
    return row


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


def _row_of_many(
    job_class: type[ContinuableJob], shared: Mapping[str, Any], index: int, args: tuple[Any, ...]
) -> Continuation:
    if not isinstance(args, tuple):
        raise TypeError(
            f"{job_class.__name__}.enqueue_many: call {index} is {reprlib.repr(args)}; expected the arguments of "
            f"perform as a tuple, such as ({reprlib.repr(args)},)"
        )
    try:
        return _row(job_class, shared, args, {})
    except (TypeError, ContinuationError) as error:
        raise type(error)(f"{job_class.__name__}.enqueue_many: call {index}, {reprlib.repr(args)}: {error}") from error


def _insert(continuation: Continuation) -> Continuation | None:
    """Write the row. Returns another one, and writes nothing, if that one has the key."""
    alias = database()
    require_autocommit(alias)
    emit(enqueueing, continuation)
    if continuation.key is not None:
        return insert_or_find(continuation, alias)
    columns_of(Continuation, alias).insert(continuation, connections[alias])
    return None


def _compare(holder: Continuation, wanted: Continuation) -> None:
    """Warn that what the caller gets is not what it asked for."""
    differences = []
    if holder.job_path != wanted.job_path:
        differences.append(f"of another class, {wanted.job_path}")
    if json.loads(holder.arguments_json) != json.loads(wanted.arguments_json):
        differences.append("with other arguments")
    if differences:
        log.warning(
            holder, f"has key {wanted.key!r} and stands for a job {' and '.join(differences)}, which was not enqueued"
        )


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


def _check_limited(queue_name: str, job_name: str) -> None:
    if not queue_named(queue_name).is_async:
        raise rq_options.RQOptionError(
            f"{job_name}: rq_options['rate_limit']: queue {queue_name!r} has ASYNC=False, so its jobs run in their "
            "callers, which RQ cannot keep waiting: use another queue, or no limit"
        )


def _moment(run_after: dt.timedelta | dt.datetime | None, job_name: str) -> dt.datetime | None:
    if run_after is None:
        return None
    if isinstance(run_after, dt.timedelta):
        return timezone.now() + run_after
    if isinstance(run_after, dt.datetime):
        with contextlib.suppress(ValueError):
            return as_ours(run_after)
    raise TypeError(f"{job_name}: run_after={run_after!r}: expected a timedelta or an aware datetime")


def _goes_on_here(outcome: Outcome) -> bool:
    """After an isolated step, or an error with its back-off: that is still the same call."""
    row = outcome.continuation
    unfinished = outcome.status in (Status.INTERRUPTED, Status.WAITING)
    return unfinished and row is not None and row.reason in {"isolating", "error"}
