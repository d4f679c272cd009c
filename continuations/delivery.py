"""From a row to RQ. Names the function that runs by string: sending knows nothing of running."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from django.core.signals import setting_changed
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_rq import get_queue
from django_rq.settings import get_queues_map
from redis.exceptions import RedisError
from rq import Queue, Retry, Worker
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.executions import Execution as RQExecution
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.utils import as_text

from . import rq_options
from .conf import settings
from .identifiers import rq_job_id, token

if TYPE_CHECKING:
    from .models import Continuation, Execution

logger = logging.getLogger("continuations")

RUNNER = "continuations.runner.run"
# RQ redelivers a killed horse while retries are left. How many crashes are too many is decided in the database.
RETRIES = 10**6
# Seconds: where the anchor lies while the continuation goes on under another number. Ten years.
REST = 10 * 365 * 24 * 3600
# Statuses of RQ jobs that will not run any more.
ENDED = frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
# RQ forgets a delivery within minutes, unless it failed; how many of the last ones are looked at when it is deleted.
LAST_DELIVERIES = 20
# How often, in seconds, a queue nobody listens on is mentioned again.
LISTENER_WARNING_INTERVAL = 60.0


class Delivery(Protocol):
    """How continuations reach workers. `CONTINUATIONS["DELIVERY"]` names a class like this."""

    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        """Hand over the row's current delivery; at `run_after` if that lies ahead."""

    def replace(self, continuation: Continuation, delivery: int, execution: Execution | None) -> None:
        """Hand over the row's current delivery in place of `delivery`, whose `execution`, if any, has died."""

    def push_anchor(self, continuation: Continuation) -> None:
        """Let the anchor run once more, so that RQ learns how the continuation ended."""

    def forget(self, continuations: Sequence[Continuation]) -> None:
        """They were deleted: remove what is left of their deliveries."""

    def wakes_up(self, queue_name: str) -> bool:
        """Whether something will hand over what was pushed with a `run_after`, when it is due."""


class RQDelivery:
    """Deliveries are RQ jobs, made by django-rq's `get_queue`."""

    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        queue = queue_named(continuation.queue_name)
        argument, options = _call(continuation, continuation.delivery)
        run_after = continuation.run_after
        # A push that redis-py repeated after a lost answer must not put the id on the queue twice.
        unique = not options.get("depends_on")
        try:
            if run_after is not None and run_after > timezone.now():
                queue.enqueue_at(run_after, RUNNER, args=(argument,), at_front=at_front, **options)
            else:
                queue.enqueue(RUNNER, args=(argument,), at_front=at_front, unique=unique, **options)
        except DuplicateJobError:
            return
        if queue.is_async:
            _warn_without_listener(queue, continuation)

    def replace(self, continuation: Continuation, delivery: int, execution: Execution | None) -> None:
        queue = queue_named(continuation.queue_name)
        connection = queue.connection
        old = Job(rq_job_id(continuation.pk, delivery), connection=connection, serializer=queue.serializer)
        old.origin = queue.name
        argument, options = _call(continuation, continuation.delivery)
        known: Any = connection.zrange(ExecutionRegistry.key_template.format(old.id), 0, -1)
        dead = {as_text(each) for each in known}
        if execution is not None and execution.rq_execution_id:
            dead.add(execution.rq_execution_id)
        worker = "" if execution is None else execution.worker
        # One MULTI: RQ's own clean-up must not find the dead execution and call its callbacks.
        with connection.pipeline() as pipeline:
            # First, since RQ begins the MULTI here.
            queue.enqueue(RUNNER, args=(argument,), at_front=True, pipeline=pipeline, **options)
            queue.remove(old, pipeline=pipeline)
            pipeline.lrem(queue.intermediate_queue_key, 0, old.id)
            for rq_execution_id in dead:
                RQExecution(rq_execution_id, old.id, connection, worker_name=worker).delete(old, pipeline)
            if delivery == 0:
                _rest_anchor(queue, continuation, pipeline)
            else:
                queue.scheduled_job_registry.remove(old, pipeline=pipeline)
                pipeline.delete(old.key)
            pipeline.execute()

    def push_anchor(self, continuation: Continuation) -> None:
        queue = queue_named(continuation.queue_name)
        try:
            job = Job.fetch(continuation.rq_job_id, connection=queue.connection, serializer=queue.serializer)
        except NoSuchJobError:
            # Redis was emptied; the callbacks are known all the same.
            argument, options = _call(continuation, 0)
            queue.enqueue(RUNNER, args=(argument,), **options)
            return
        if job.get_status(refresh=False) == JobStatus.QUEUED:
            return
        origin = queue_named(job.origin)
        job.retries_left = RETRIES
        origin.enqueue_job(job)
        origin.scheduled_job_registry.remove(job)
        origin.deferred_job_registry.remove(job)
        origin.failed_job_registry.remove(job)

    def forget(self, continuations: Sequence[Continuation]) -> None:
        ids: dict[str, list[str]] = {}
        for row in continuations:
            numbers = {0, *range(max(0, row.delivery - LAST_DELIVERIES), row.delivery + 1)}
            ids.setdefault(row.queue_name, []).extend(rq_job_id(row.pk, number) for number in numbers)
        for queue_name in ids.keys() & get_queues_map().keys():
            queue = queue_named(queue_name)
            for job in Job.fetch_many(ids[queue_name], connection=queue.connection, serializer=queue.serializer):
                if job is not None and job.get_status(refresh=False) in ENDED:
                    job.delete()

    def wakes_up(self, queue_name: str) -> bool:
        return queue_named(queue_name).scheduler_pid is not None


def _call(continuation: Continuation, number: int) -> tuple[str, dict[str, Any]]:
    """Argument of the runner, and options of the RQ job, for a delivery."""
    options = rq_options.thaw(continuation.rq_options_json, anchor=number == 0)
    options.setdefault("description", f"{continuation.job_name} {continuation.pk}")
    options |= {"job_id": rq_job_id(continuation.pk, number), "retry": Retry(max=RETRIES)}
    return token(continuation.pk, number), options


def _rest_anchor(queue: Queue, continuation: Continuation, pipeline: Any) -> None:
    """Lay the anchor down until the continuation ends under another id; make it anew if Redis lost it."""
    until = timezone.now() + dt.timedelta(seconds=REST)
    if Job.exists(continuation.rq_job_id, connection=queue.connection):
        anchor = Job(continuation.rq_job_id, connection=queue.connection, serializer=queue.serializer)
        anchor.set_status(JobStatus.SCHEDULED, pipeline=pipeline)
        queue.scheduled_job_registry.schedule(anchor, until, pipeline=pipeline)
    else:
        argument, options = _call(continuation, 0)
        # What it depended on has been, or it would not have been delivered.
        options.pop("depends_on", None)
        queue.enqueue_at(until, RUNNER, args=(argument,), pipeline=pipeline, **options)


def backend() -> Delivery:
    """The delivery that the settings name."""
    return _backend(settings().delivery)


def deliver(continuation: Continuation, *, at_front: bool = False) -> None:
    """Push the row's delivery once the current transaction has committed, or now if there is none.

    If Redis does not answer, the row stays as it is, undelivered, and a line says so; recovery delivers it.
    """

    def push() -> None:
        _push(continuation, at_front=at_front)

    transaction.on_commit(push, using=continuation._state.db, robust=True)


def report_end(continuation: Continuation) -> None:
    """Push the anchor so that it reports the end; what Redis does not take now is left to recovery."""
    try:
        backend().push_anchor(continuation)
    except (RedisError, OSError) as error:
        logger.warning("%s: Redis did not take the report of its end (%s)", continuation, error)


@functools.cache
def queue_named(name: str) -> Queue:
    """The queue, made once: each `get_queue` opens a connection pool of its own. Raises KeyError if unknown."""
    return get_queue(name, commit_mode="auto")


def _push(continuation: Continuation, at_front: bool) -> None:
    try:
        backend().push(continuation, at_front=at_front)
    except (RedisError, OSError) as error:
        logger.error(
            "%s is stored but not delivered: Redis did not answer (%s: %s)",
            continuation,
            type(error).__name__,
            error,
            extra={"continuation_id": str(continuation.pk), "job": continuation.job_path},
        )


_warned: dict[str, float] = {}


def _warn_without_listener(queue: Queue, continuation: Continuation) -> None:
    now = time.monotonic()
    if now - _warned.get(queue.name, -LISTENER_WARNING_INTERVAL) < LISTENER_WARNING_INTERVAL:
        return
    _warned[queue.name] = now
    if Worker.count(queue=queue) == 0:
        logger.warning(
            "%s waits on queue %r, but no worker listens there: start one with `manage.py rqworker %s`",
            continuation,
            queue.name,
            queue.name,
        )


@functools.cache
def _backend(path: str) -> Delivery:
    made: Delivery = import_string(path)()
    return made


def _reset(*, setting: str, **_: Any) -> None:
    if setting in {"RQ_QUEUES", "RQ", "CONTINUATIONS"}:
        queue_named.cache_clear()
        _backend.cache_clear()
        _warned.clear()


setting_changed.connect(_reset, dispatch_uid="continuations.delivery")
