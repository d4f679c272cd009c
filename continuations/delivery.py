"""From a row to RQ. Names the function that runs by string: sending knows nothing of running."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import logging
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from django.core.signals import setting_changed
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_rq import get_queue
from django_rq.settings import get_queues_map
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, WatchError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, Retry, Worker
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.executions import Execution as RQExecution
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.utils import as_text

from . import rq_options
from .clients import without_retries
from .conf import settings
from .identifiers import rq_job_id, token
from .limits import OPTION, Limit

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

    from .models import Continuation, Execution

logger = logging.getLogger("continuations")

RUNNER = "continuations.runner.run"
# RQ redelivers a killed horse while retries are left. How many crashes are too many is decided in the database.
RETRIES = 10**6
# Seconds: where the anchor lies while the continuation goes on under another number. Ten years.
REST = 10 * 365 * 24 * 3600
# Deliveries pushed in one MULTI, and rows written in one statement.
BATCH = 500
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

    def push_many(self, continuations: Sequence[Continuation], *, at_front: bool = False) -> None:
        """`push` for a batch that shares queue, options and time, all or none. The first of them is to run first."""

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
        self.push_many([continuation], at_front=at_front)

    def push_many(self, continuations: Sequence[Continuation], *, at_front: bool = False) -> None:
        first = continuations[0]
        queue = queue_named(first.queue_name)
        if not queue.is_async:
            for continuation in continuations:
                _run_here(queue, continuation)
            return
        if not self._push_at_once(queue, continuations, at_front=at_front):
            self._push_watchfully(queue, continuations, at_front=at_front)
        _warn_without_listener(queue, first)

    def _push_at_once(self, queue: Queue, continuations: Sequence[Continuation], *, at_front: bool) -> bool:
        """In one round trip, which is not repeated. False: it may not have arrived, or there is more to look at."""
        first = continuations[0]
        if _depends_on(first) or OPTION in first.rq_options_json:
            return False
        try:
            with _client_without_retries(first.queue_name).pipeline() as pipeline:
                _fill(pipeline, queue, continuations, at_front=at_front)
                pipeline.execute()
        except (RedisConnectionError, RedisTimeoutError):
            return False
        return True

    def _push_watchfully(self, queue: Queue, continuations: Sequence[Continuation], *, at_front: bool) -> None:
        """Unless they are there, as often as it takes."""
        first = continuations[0]
        key = Job.key_for(rq_job_id(first.pk, first.delivery))
        with queue.connection.pipeline() as pipeline:
            is_there = False
            while not is_there:
                with contextlib.suppress(WatchError):
                    # While it watches, redis-py does not by itself send again what may have arrived: whether it has
                    # is seen here.
                    pipeline.watch(key)  # type: ignore[no-untyped-call]
                    if not pipeline.exists(key):
                        _fill(pipeline, queue, continuations, at_front=at_front)
                        pipeline.execute()
                    is_there = True

    def replace(self, continuation: Continuation, delivery: int, execution: Execution | None) -> None:
        queue = queue_named(continuation.queue_name)
        connection = queue.connection
        old = Job(rq_job_id(continuation.pk, delivery), connection=connection, serializer=queue.serializer)
        old.origin = queue.name
        known: Any = connection.zrange(ExecutionRegistry.key_template.format(old.id), 0, -1)
        dead = {as_text(each) for each in known}
        if execution is not None and execution.rq_execution_id:
            dead.add(execution.rq_execution_id)
        worker = "" if execution is None else execution.worker
        limit = Limit.of(continuation, connection)
        # One MULTI: RQ's own clean-up must not find the dead execution and call its callbacks.
        with connection.pipeline() as pipeline:
            # First, since RQ begins the MULTI here.
            job = _job(queue, continuation, continuation.delivery)
            _put(pipeline, queue, limit, job, at_front=True, since=continuation.created_at)
            queue.remove(old, pipeline=pipeline)
            pipeline.lrem(queue.intermediate_queue_key, 0, old.id)
            for rq_execution_id in dead:
                RQExecution(rq_execution_id, old.id, connection, worker_name=worker).delete(old, pipeline)
            if delivery == 0:
                _rest_anchor(queue, continuation, pipeline)
            else:
                queue.scheduled_job_registry.remove(old, pipeline=pipeline)
                pipeline.delete(old.key)
            if limit is not None:
                limit.leave(old.id, pipeline)
                limit.let_in(pipeline)
            pipeline.execute()

    def push_anchor(self, continuation: Continuation) -> None:
        queue = queue_named(continuation.queue_name)
        limit = Limit.of(continuation, queue.connection)
        if limit is not None:
            limit.release(rq_job_id(continuation.pk, continuation.delivery))
        try:
            job = Job.fetch(continuation.rq_job_id, connection=queue.connection, serializer=queue.serializer)
        except NoSuchJobError:
            # Redis was emptied; the callbacks are known all the same.
            queue.enqueue_job(_job(queue, continuation, 0, without=(OPTION,)))
            return
        if limit is not None:
            limit.lift(job)
        origin = queue_named(job.origin)
        if job.get_status(refresh=limit is not None) == JobStatus.QUEUED and not _is_lost(origin, job):
            return
        origin.connection.lrem(origin.intermediate_queue_key, 0, job.id)
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


def _job(queue: Queue, continuation: Continuation, number: int, *, without: Collection[str] = ()) -> Job:
    """The RQ job that is a delivery, made and not yet stored."""
    options = rq_options.thaw(continuation.rq_options_json, anchor=number == 0)
    options.setdefault("description", f"{continuation.job_name} {continuation.pk}")
    options |= {"job_id": rq_job_id(continuation.pk, number), "retry": Retry(max=RETRIES)}
    for name in without:
        options.pop(name, None)
    timeout = options.pop("job_timeout", None)
    return queue.create_job(RUNNER, args=(token(continuation.pk, number),), timeout=timeout, **options)


def _depends_on(continuation: Continuation) -> bool:
    """Whether its current delivery may have to wait for other jobs."""
    return continuation.delivery == 0 and "depends_on" in continuation.rq_options_json


def _ahead(continuation: Continuation) -> dt.datetime | None:
    """When it is to run, if that lies ahead."""
    run_after = continuation.run_after
    return run_after if run_after is not None and run_after > timezone.now() else None


def _fill(pipeline: Pipeline, queue: Queue, continuations: Sequence[Continuation], *, at_front: bool) -> None:
    """Buffer the deliveries of a batch. The pipeline watches, and begins its MULTI here."""
    first = continuations[0]
    moment = _ahead(first)
    waits = moment is None and _depends_on(first) and not _dependencies_are_met(pipeline, queue, first)
    without = () if waits else ("depends_on",)
    limit = Limit.of(first, queue.connection)
    pipeline.multi()
    # What is pushed to the front last is first there.
    for continuation in reversed(continuations) if at_front else continuations:
        job = _job(queue, continuation, continuation.delivery, without=without)
        if moment is not None:
            job.enqueue_at_front = at_front
            queue.schedule_job(job, moment, pipeline=pipeline)
        elif waits:
            job.set_status(JobStatus.DEFERRED, pipeline=pipeline)
            job.register_dependency(pipeline=pipeline)
            job.save(pipeline=pipeline)
        else:
            _put(pipeline, queue, limit, job, at_front=at_front, since=continuation.enqueued_at)
    if limit is not None and moment is None and not waits:
        limit.let_in(pipeline)


def _put(
    pipeline: Pipeline, queue: Queue, limit: Limit | None, job: Job, *, at_front: bool, since: dt.datetime
) -> None:
    """Buffer a job on its queue, or in line for a slot of its limit."""
    if limit is None:
        queue.enqueue_job(job, pipeline=pipeline, at_front=at_front)
    else:
        job.enqueue_at_front = at_front
        limit.join(job, pipeline, since=since.timestamp())


def _run_here(queue: Queue, continuation: Continuation) -> None:
    """A queue with ASYNC=False runs what is put on it."""
    job = _job(queue, continuation, continuation.delivery)
    if (moment := _ahead(continuation)) is not None:
        queue.schedule_job(job, moment)
        return
    with contextlib.suppress(DuplicateJobError):
        queue.enqueue_job(job, unique=not _depends_on(continuation))


def _dependencies_are_met(pipeline: Pipeline, queue: Queue, continuation: Continuation) -> bool:
    """As `Queue.enqueue_job` finds out for one job. Watches the dependencies."""
    job = _job(queue, continuation, continuation.delivery)
    met = {JobStatus.FINISHED, *((JobStatus.FAILED,) if job.allow_dependency_failures else ())}
    dependencies = job.fetch_dependencies(watch=True, pipeline=pipeline)
    return all(each.get_status(refresh=False) in met for each in dependencies)


def _is_lost(queue: Queue, job: Job) -> bool:
    """Whether a queued job is in no queue: a worker had taken it, and died before it had begun with it."""
    with queue.connection.pipeline() as pipeline:
        pipeline.lpos(queue.key, job.id)
        pipeline.zcard(ExecutionRegistry.key_template.format(job.id))
        position, executions = pipeline.execute()
    return position is None and not executions


def _rest_anchor(queue: Queue, continuation: Continuation, pipeline: Pipeline) -> None:
    """Lay the anchor down until the continuation ends under another id; make it anew if Redis lost it."""
    until = timezone.now() + dt.timedelta(seconds=REST)
    if Job.exists(continuation.rq_job_id, connection=queue.connection):
        anchor = Job(continuation.rq_job_id, connection=queue.connection, serializer=queue.serializer)
        anchor.set_status(JobStatus.SCHEDULED, pipeline=pipeline)
        queue.scheduled_job_registry.schedule(anchor, until, pipeline=pipeline)
    else:
        # What it depended on has been, or it would not have been delivered; and it will only report.
        anchor = _job(queue, continuation, 0, without=("depends_on", OPTION))
        queue.schedule_job(anchor, until, pipeline=pipeline)


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


def deliver_many(continuations: Sequence[Continuation], *, at_front: bool = False) -> None:
    """`deliver` for continuations that share queue, options and time, in batches. The first of them is to run first."""
    if not continuations:
        return
    batches = [continuations[start : start + BATCH] for start in range(0, len(continuations), BATCH)]

    def push() -> None:
        left = len(continuations)
        try:
            for batch in reversed(batches) if at_front else batches:
                backend().push_many(batch, at_front=at_front)
                left -= len(batch)
        except (RedisError, OSError) as error:
            _not_delivered(f"{left} continuations of {continuations[0].job_name} are", continuations[0], error)

    transaction.on_commit(push, using=continuations[0]._state.db, robust=True)


def report_end(continuation: Continuation) -> None:
    """Push the anchor so that it reports the end; what Redis does not take now is left to recovery."""
    try:
        backend().push_anchor(continuation)
    except (RedisError, OSError) as error:
        logger.warning("%s: Redis did not take the report of its end (%s)", continuation, error)


@functools.cache
def _client_without_retries(queue_name: str) -> Redis:
    return without_retries(queue_named(queue_name).connection)


@functools.cache
def queue_named(name: str) -> Queue:
    """The queue, made once: each `get_queue` opens a connection pool of its own. Raises KeyError if unknown."""
    return get_queue(name, commit_mode="auto")


def _push(continuation: Continuation, at_front: bool) -> None:
    try:
        backend().push(continuation, at_front=at_front)
    except (RedisError, OSError) as error:
        _not_delivered(f"{continuation} is", continuation, error)


def _not_delivered(subject: str, continuation: Continuation, error: Exception) -> None:
    logger.error(
        "%s stored but not delivered: Redis did not answer (%s: %s)",
        subject,
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
        _client_without_retries.cache_clear()
        _backend.cache_clear()
        _warned.clear()


setting_changed.connect(_reset, dispatch_uid="continuations.delivery")
