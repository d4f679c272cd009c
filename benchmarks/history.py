"""A site's history: many continuations that have ended, with their steps and executions, and some that have not.

A hundred are made by the models; PostgreSQL multiplies them, which takes a minute for a million.
"""

from __future__ import annotations

import datetime as dt

from django.db import connection
from django.db.models import DateTimeField, Field, ForeignKey, Model, UUIDField
from django.utils import timezone
from django_rq import get_queue
from rq.executions import Execution as RQExecution

from continuations.identifiers import uuid7
from continuations.liveness import LEASE, lease_key
from continuations.models import Continuation, Execution, StepRecord
from continuations.transitions import Status

# Ended ones of which copies are made: so many of each status.
PATTERN = {Status.SUCCEEDED: 96, Status.FAILED: 2, Status.CANCELLED: 1, Status.DISCARDED: 1}
PATTERNS = sum(PATTERN.values())
# Those that have not ended. However long the history is, workers and queues are as large as they are.
ACTIVE = {Status.RUNNING: 20, Status.ENQUEUED: 200, Status.WAITING: 50, Status.INTERRUPTED: 20, Status.PAUSED: 10}
# Seconds between two copies.
APART = 30
CREATED_AT = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
JOBS = ("shop.jobs.ProcessImport", "shop.jobs.Reindex", "shop.jobs.SendReminders", "billing.jobs.CloseMonth")


def grow(n: int) -> None:
    """Make it `n` continuations, as far as they are not there."""
    if not Continuation.objects.exists():
        _make_active()
        for status, count in PATTERN.items():
            for number in range(count):
                _make_ended(status, number)
    there = Continuation.objects.count() - sum(ACTIVE.values())
    first, last = there // PATTERNS, (n - sum(ACTIVE.values())) // PATTERNS - 1
    for model in (Continuation, StepRecord, Execution):
        _multiply(model, first, last)
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")
    _give_signs_of_life()


def _make_ended(status: Status, number: int) -> None:
    row = Continuation.objects.create(
        job_path=JOBS[number % len(JOBS)],
        queue_name="default",
        arguments_json=f"[[{number}],{{}}]",
        status=status,
        executions=1 + number % 5 // 4,
        anchor_open=False,
        check_after=None,
        created_at=CREATED_AT,
        enqueued_at=CREATED_AT,
        started_at=CREATED_AT,
        finished_at=CREATED_AT + dt.timedelta(minutes=1),
        error_class="ValueError" if status == Status.FAILED else "",
        error_traceback="Traceback (most recent call last):\n" * 10 if status == Status.FAILED else "",
    )
    for position in range(1 + number % 3):
        StepRecord.objects.create(
            continuation=row,
            position=position,
            name=f"step {position}",
            status=StepRecord.Status.COMPLETED,
            cursor_json="28000",
            processed=28000,
            started_at=CREATED_AT,
            heartbeat_at=CREATED_AT,
            finished_at=CREATED_AT,
        )
    for execution in range(1, row.executions + 1):
        Execution.objects.create(
            continuation=row,
            number=execution,
            worker=uuid7().hex,
            host="web-1",
            started_at=CREATED_AT,
            finished_at=CREATED_AT,
            outcome=str(status),
        )


def _make_active() -> None:
    now = timezone.now()
    for status, count in ACTIVE.items():
        for number in range(count):
            # Recovery has just looked, or will not before a person does something.
            owned = status == Status.RUNNING
            idle = owned or status == Status.PAUSED
            row = Continuation.objects.create(
                job_path=JOBS[number % len(JOBS)],
                queue_name="default",
                arguments_json=f"[[{number}],{{}}]",
                status=status,
                check_after=None if idle else now + dt.timedelta(days=1),
                run_after=now + dt.timedelta(days=1) if status == Status.WAITING else None,
                executions=int(owned),
            )
            if owned:
                execution = Execution.objects.create(
                    continuation=row, number=1, host="web-1", lease=LEASE, rq_job_id="job", rq_execution_id=uuid7().hex
                )
                StepRecord.objects.create(continuation=row, position=0, name="load", execution=execution.pk)
                row.owner = execution.pk
                row.save(update_fields=["owner"])


def _give_signs_of_life() -> None:
    """What the workers of the running ones would leave in Redis."""
    redis = get_queue("default").connection
    for execution in Execution.objects.filter(continuation__status=Status.RUNNING):
        redis.set(lease_key(execution.rq_execution_id), "worker")
        redis.hset(RQExecution(execution.rq_execution_id, execution.rq_job_id, redis).key, "id", "execution")


def _multiply(model: type[Model], first: int, last: int) -> None:
    """Copy the rows of the pattern, which are the first copy, to the copies `first` to `last`."""
    fields = model._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(_copied(field) for field in fields)
    continuation = "id" if model is Continuation else "continuation_id"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({columns}) "
            f"SELECT {values} FROM generate_series(%s, %s) AS copies(n), {model._meta.db_table} AS pattern "
            f"WHERE pattern.{continuation} IN (SELECT id FROM {Continuation._meta.db_table} WHERE created_at = %s)",
            [first, last, CREATED_AT],
        )


def _copied(field: Field) -> str:  # type: ignore[type-arg]
    column = f'pattern."{field.column}"'
    if isinstance(field, UUIDField | ForeignKey):
        # The time in front, as version 7 has it, so that copies go to the end of an index; the rest is random.
        return f"(lpad(to_hex(copies.n), 12, '0') || substr(replace({column}::text, '-', ''), 13))::uuid"
    if isinstance(field, DateTimeField):
        return f"{column} + copies.n * interval '{APART} seconds'"
    return column
