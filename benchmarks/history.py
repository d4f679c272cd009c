"""A site's history: many continuations that have ended, with their steps and executions, and some that have not.

A hundred are made as the demo's past has them; PostgreSQL multiplies them, which takes a minute for a million.
"""

from __future__ import annotations

import datetime as dt
from random import Random

from django.db import connection
from django.db.models import DateTimeField, Field, ForeignKey, Model, UUIDField
from django.utils import timezone
from django_rq import get_queue
from rq.executions import Execution as RQExecution

from continuations.identifiers import uuid7
from continuations.liveness import LEASE, lease_key
from continuations.models import Continuation, Execution, StepRecord
from continuations.transitions import Status
from demo_project.history.causes import cause_of
from demo_project.history.course import Course, path_of
from demo_project.history.past import KINDS

# Ended ones of which copies are made: so many of each status.
PATTERN = {Status.SUCCEEDED: 96, Status.FAILED: 2, Status.CANCELLED: 1, Status.DISCARDED: 1}
PATTERNS = sum(PATTERN.values())
# Those that have not ended. However long the history is, workers and queues are as large as they are.
ACTIVE = {Status.RUNNING: 20, Status.ENQUEUED: 200, Status.WAITING: 50, Status.INTERRUPTED: 20, Status.PAUSED: 10}
# Seconds between two copies.
APART = 30
CREATED_AT = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
JOBS = [path_of(kind.job) for kind in KINDS]


def grow(n: int) -> None:
    """Make it `n` continuations, as far as they are not there."""
    if not Continuation.objects.exists():
        _make_active()
        random = Random(1)
        for status, count in PATTERN.items():
            for number in range(count):
                _make_ended(status, number, random)
    there = Continuation.objects.count() - sum(ACTIVE.values())
    first, last = there // PATTERNS, (n - sum(ACTIVE.values())) // PATTERNS - 1
    for model in (Continuation, StepRecord, Execution):
        _multiply(model, first, last)
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")
    _give_signs_of_life()


def _make_ended(status: Status, number: int, random: Random) -> None:
    kind = KINDS[number % len(KINDS)]
    row, steps, executions = Course(
        job=kind.job,
        status=status,
        arguments=kind.arguments(number),
        key=None,
        created_at=CREATED_AT,
        executions=1 + number % 5 // 4,
        seconds=60,
        share=0.5,
        cause=cause_of(kind.job) if status == Status.FAILED else None,
        random=random,
    ).rows()
    row.queue_name = "default"
    Continuation.objects.bulk_create([row])
    StepRecord.objects.bulk_create(steps)
    Execution.objects.bulk_create(executions)


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
