"""What RQ calls. Importing it imports no model, so that a spawned horse can call it before Django is set up."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

    from rq.job import Job

    from .ends import Outcome
    from .models import Continuation
    from .workplace import RQWorkplace, Workplace

logger = logging.getLogger("continuations")

# More retries than any job will see; what limits executions is decided in the database.
MAX_RETRIES = 10**9
# Seconds to wait for a database that is away, before the delivery goes back to its queue.
DATABASE_WAITS = (0.1, 0.2, 0.4, 0.8, 1.5, 2.0)
# Seconds between two looks for a Redis that is away.
REDIS_WAIT = 0.5


def run(delivery: str) -> Any:
    """Run one execution of a continuation and answer RQ: a status word, a `Retry`, or the error that failed it."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()

    from rq import get_current_job

    from .identifiers import parse_token
    from .workplace import SYNC_WORKER, RQWorkplace, Workplace

    pk, number = parse_token(delivery)
    job = get_current_job()
    if job is None or job.worker_name == SYNC_WORKER:
        return _run_here(pk, number, Workplace())
    return _run_on_worker(pk, number, job, RQWorkplace(job, scheduler_runs=_scheduler_runs))


def _run_on_worker(pk: uuid.UUID, number: int, job: Job, place: RQWorkplace) -> Any:
    from django.db import Error, close_old_connections
    from rq.exceptions import ShutDownImminentException
    from rq.timeouts import BaseTimeoutException

    from .execution import execute
    from .recovery import recover_in_passing

    close_old_connections()
    try:
        with place:
            try:
                try:
                    if not place.recovers:
                        recover_in_passing(job.connection)
                    outcome = execute(pk, number, place)
                except (BaseTimeoutException, ShutDownImminentException) as error:
                    # Before the job had begun: a claim may have to wait. RQ would tell its callbacks of a failure.
                    logger.warning("%s: %s before it began; trying again", job.id, type(error).__name__)
                    return _retry(job, at_front=True)
                # What follows is no work of the job's, and may have to wait.
                place.disarm()
                return _Answer(job, place, number).give(outcome)
            except Error as error:
                place.disarm()
                # Raising would use up RQ's retries in seconds; the row still says all there is to know.
                logger.warning("%s: the database does not answer (%s); trying again", job.id, error)
                _await_database(place)
                return _retry(job, at_front=True)
    finally:
        close_old_connections()


def _run_here(pk: uuid.UUID, number: int, place: Workplace) -> Any:
    """A queue with ASYNC=False, which does not know `Retry`: go on until the continuation ends or rests."""
    from .execution import execute
    from .transitions import Status

    with place:
        while True:
            outcome = execute(pk, number, place)
            if outcome.moved_on or outcome.status not in (Status.INTERRUPTED, Status.WAITING):
                break
            if outcome.wait and not place.wait(outcome.wait):
                break
            place.comes_again = True
    return _report(outcome.continuation, outcome.error)


class _Answer:
    """What a delivery tells RQ."""

    def __init__(self, job: Job, place: RQWorkplace, number: int) -> None:
        self._job = job
        self._place = place
        self._number = number

    def give(self, outcome: Outcome) -> Any:
        from .claim import Refusal
        from .transitions import FINISHED, Status

        row = outcome.continuation
        if outcome.refusal in (None, Refusal.ENDED) and row is not None and row.status in FINISHED:
            return self._end(row, outcome.error)
        _insist(self._job, self._place, self._job.connection.ping)
        if outcome.refusal in (Refusal.OWNED, Refusal.SUPERSEDED):
            return self._leave_no_trace()
        if outcome.refusal is Refusal.EARLY and row is not None:
            return self._rest_until_due(row)
        if outcome.refusal is Refusal.STALE:
            return self._rest()
        if outcome.refusal is Refusal.GONE or row is None:
            logger.warning("%s: the continuation was deleted", self._job.id)
            return "deleted"
        if outcome.moved_on or row.status == Status.PAUSED:
            return self._rest()
        if outcome.wait:
            self._place.wait(outcome.wait)
        return _retry(self._job, at_front=outcome.at_front)

    def _end(self, row: Continuation, error: BaseException | None) -> Any:
        from .delivery import report_end
        from .models import Continuation
        from .transitions import Status

        # A duplicate in a worker without horses may have laid it down there.
        _insist(self._job, self._place, self._unschedule)
        if self._number:
            if row.anchor_open:
                report_end(row)
        elif row.anchor_open:
            # Recovery still looks whether a cancelled one has left children.
            later = {} if row.status == Status.CANCELLED else {"check_after": None}
            Continuation.objects.using(row._state.db).filter(pk=row.pk).update(anchor_open=False, **later)
        try:
            return _report(row, error)
        except BaseException:
            # RQ's on_failure and its FailedJobRegistry, at once and for good.
            self._job.retries_left = 0
            raise

    def _unschedule(self) -> None:
        from rq.registry import ScheduledJobRegistry

        ScheduledJobRegistry(self._job.origin, connection=self._job.connection).remove(self._job)  # type: ignore[no-untyped-call]

    def _rest(self) -> Any:
        """The continuation goes on elsewhere. The anchor must not end before it does; other ids just end."""
        from rq import Retry

        from .delivery import REST

        return "moved on" if self._number else Retry(max=MAX_RETRIES, interval=REST)

    def _rest_until_due(self, row: Continuation) -> Any:
        from django.utils import timezone

        assert row.run_after is not None
        seconds = (row.run_after - timezone.now()).total_seconds()
        if self._place.waits_in_place(seconds, row.queue_name):
            self._place.wait(seconds)
            return _retry(self._job, at_front=True)
        row.rest_again()
        return self._rest()

    def _leave_no_trace(self) -> Any:
        """A duplicate, or one that was superseded: whatever it returned would change the books of its successor."""
        from rq import Retry

        from .delivery import REST

        logger.warning("%s is executed elsewhere; this duplicate ends", self._job.id)
        if self._place.in_horse:
            self._place.forget_execution()
            os._exit(0)
        return Retry(max=MAX_RETRIES, interval=REST)


def _retry(job: Job, *, at_front: bool) -> Any:
    from rq import Retry

    # RQ would remember it for all retries to come.
    job.enqueue_at_front_on_retry = False
    return Retry(max=MAX_RETRIES, interval=0, enqueue_at_front=at_front)


def _report(row: Continuation | None, error: BaseException | None) -> Any:
    """What the row says of its end, first time or again."""
    from .errors import ContinuationFailed
    from .transitions import Status

    if row is None:
        return "deleted"
    if row.status == Status.FAILED:
        raise error or ContinuationFailed(f"{row} failed: {row.error_class}: {row.error_message}")
    if row.status == Status.CANCELLED:
        raise ContinuationFailed(f"{row} was cancelled")
    return str(row.status)


def _scheduler_runs(queue_name: str) -> bool:
    from .delivery import backend

    return backend().wakes_up(queue_name)


def _insist(job: Job, place: Workplace, command: Callable[[], Any]) -> None:
    """Give Redis a command until it answers, or until told to stop.

    RQ takes down our answer right after this. If it cannot, it takes the job for abandoned some minutes later: only
    then would it call callbacks, among them the one for failures, and enqueue dependents.
    """
    from redis.exceptions import RedisError

    waits = False
    while True:
        try:
            command()
        except (RedisError, OSError) as error:
            if not waits:
                logger.warning("%s: Redis does not answer (%s); waiting to tell it of the outcome", job.id, error)
                waits = True
            if place.is_told_to_stop:
                return
            time.sleep(REDIS_WAIT)
        else:
            return


def _await_database(place: Workplace) -> None:
    """Wait, at most some seconds, until the database answers."""
    from .conf import database
    from .outages import reconnect

    for seconds in DATABASE_WAITS:
        if reconnect(database()) or not place.wait(seconds):
            return
