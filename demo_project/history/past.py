"""What years of use leave behind: continuations by the million, written in bounded batches.

Rows are made by hand here, since nobody can wait for a million jobs. Nothing of it touches Redis, and recovery looks
at none of it: ended ones have told of their end, and those that have not ended are due for nothing (`check_after` is
empty), or belong to an execution elsewhere of whose death there is no proof. A person may go on with each of them.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from django.db import transaction
from django.utils import timezone

from continuations.models import Continuation, Execution, StepRecord
from continuations.transitions import Status

from . import jobs
from .causes import CAUSES, cause_of
from .course import Course, path_of

# Continuations that are written in one transaction, and deleted in one.
BATCH = 1_000
# Of the oldest one.
AGE = dt.timedelta(days=365)
# Even the newest unfinished ones are older than what counts as silence, so that they look the same tomorrow.
YOUNGEST = dt.timedelta(hours=1)

# Shares of those that have ended.
ENDED = {Status.SUCCEEDED: 940, Status.FAILED: 25, Status.CANCELLED: 15, Status.DISCARDED: 20}
# Those that have not ended. However long the history is, workers and queues are as large as they are.
UNFINISHED = {Status.ENQUEUED: 120, Status.INTERRUPTED: 20, Status.WAITING: 40, Status.PAUSED: 30, Status.RUNNING: 3}
# Of a short history they are one in so many.
UNFINISHED_SHARE = 20
UNFINISHED_JOBS: dict[Status, type[jobs.ShopJob]] = {
    Status.ENQUEUED: jobs.NightlyReport,
    Status.INTERRUPTED: jobs.NightlyReport,
    Status.WAITING: jobs.ApproveBudget,
    Status.PAUSED: jobs.SendInvoices,
    Status.RUNNING: jobs.ArchiveAccounts,
}
# One in so many of those that have ended has a key. It is free again, so that a second past meets no conflict.
KEYED = 10
# Shares by how many executions it took.
EXECUTIONS = {1: 840, 2: 100, 3: 40, 5: 15, 9: 5}


@dataclass(frozen=True)
class Kind:
    """A job class, and how common it is."""

    job: type[jobs.ShopJob]
    weight: int
    arguments: Callable[[int], tuple[list[Any], dict[str, Any]]]
    # For one item.
    seconds: float
    # Items done when it fails, if it is always the same one that cannot be done.
    fails_after: int | None = None

    @property
    def items(self) -> int:
        """In all steps."""
        return sum(self.job.plan.values())


KINDS = (
    Kind(jobs.RemindCustomer, 50, lambda n: ([n], {}), 0),
    Kind(jobs.SendInvoices, 10, lambda n: ([dt.date(2020 + n % 7, 1 + n % 12, 1)], {}), 0.4),
    Kind(
        jobs.ImportOrders,
        20,
        lambda n: ([f"orders-{n}.csv"], {"token": f"sk-{n * 7919:08x}"}),
        0.02,
        jobs.BROKEN_ORDER - 1,
    ),
    Kind(jobs.SyncCatalogue, 10, lambda n: ([f"Supplier {n % 90}"], {}), 3),
    Kind(jobs.ArchiveAccounts, 5, lambda n: ([2000 + n % 25], {}), 0.3),
    Kind(jobs.ApproveBudget, 3, lambda n: ([n % 1_000 * 50], {}), 0),
    Kind(jobs.NightlyReport, 2, lambda n: ([dt.date(2024, 1, 1) + dt.timedelta(days=n % 700)], {}), 0.5),
)
BY_JOB = {kind.job: kind for kind in KINDS}


class Past:
    """A past of `count` continuations; the same one for the same `seed`, up to this moment's clock."""

    def __init__(self, count: int, *, seed: int = 1) -> None:
        self._count = count
        self._random = Random(seed)
        self._now = timezone.now()
        # Statuses of the newest ones.
        self.unfinished = _mixed(UNFINISHED)[: count // UNFINISHED_SHARE]
        self._causes = {job: cause_of(job) for job in CAUSES}

    def write(self) -> Iterator[int]:
        """Store it, oldest first, and say after each batch how many there are so far."""
        for begin in range(0, self._count, BATCH):
            end = min(begin + BATCH, self._count)
            courses = [self._course(number).rows() for number in range(begin, end)]
            with transaction.atomic():
                Continuation.objects.bulk_create([row for row, _, _ in courses])
                StepRecord.objects.bulk_create([step for _, steps, _ in courses for step in steps])
                Execution.objects.bulk_create([each for _, _, executions in courses for each in executions])
            yield end

    def _course(self, number: int) -> Course:
        ended = self._count - len(self.unfinished)
        if number < ended:
            status = self._choose(ENDED)
            kind = self._random.choices(KINDS, [each.weight for each in KINDS])[0]
            if status == Status.DISCARDED:
                kind = BY_JOB[jobs.RemindCustomer]
        else:
            status = self.unfinished[number - ended]
            kind = BY_JOB[UNFINISHED_JOBS[status]]
        went_wrong = status in (Status.FAILED, Status.DISCARDED)
        # A shop that grows: there are more and more of them.
        age = AGE * (1 - (number + 0.5) / self._count) ** 2
        return Course(
            job=kind.job,
            status=status,
            arguments=kind.arguments(number),
            key=f"{kind.job.queue_name}:{number}" if number < ended and number % KEYED == 0 else None,
            created_at=self._now - YOUNGEST - age,
            executions=self._executions(kind, status),
            seconds=(kind.items * kind.seconds or 0.2) * self._random.uniform(0.5, 1.5),
            share=self._share(kind, status),
            cause=self._causes[kind.job] if went_wrong else None,
            random=self._random,
        )

    def _share(self, kind: Kind, status: Status) -> float:
        if status == Status.DISCARDED:
            return 0.0
        if status == Status.FAILED and kind.fails_after is not None:
            # In the middle of an item, so that no rounding leads to another one.
            return (kind.fails_after + 0.5) / kind.items
        return self._random.uniform(0.05, 0.95)

    def _executions(self, kind: Kind, status: Status) -> int:
        if status == Status.ENQUEUED:
            return 0
        if status in (Status.WAITING, Status.DISCARDED):
            return 1
        if kind.job.waits_for:
            return 2
        return self._choose(EXECUTIONS) if kind.items else 1

    def _choose(self, shares: dict[Any, int]) -> Any:
        return self._random.choices(list(shares), list(shares.values()))[0]


def forget() -> Iterator[int]:
    """Delete every continuation of the shop's jobs, and say after each batch how many are gone."""
    paths = [path_of(job) for job in jobs.all_jobs()]
    rows = Continuation.objects.filter(job_path__in=paths).order_by("pk")
    gone, last = 0, uuid.UUID(int=0)
    # From where the last batch ended, and not from the start, where the database still passes over what is gone.
    while pks := list(rows.filter(pk__gt=last).values_list("pk", flat=True)[:BATCH]):
        # Not the objects, which are wide.
        Continuation.objects.filter(pk__in=pks).only("pk").delete()
        gone, last = gone + len(pks), pks[-1]
        yield gone


def _mixed(counts: dict[Status, int]) -> list[Status]:
    """Each status as often as it says, spread evenly, so that a part has something of all."""
    places = [((n + 0.5) / count, status) for status, count in counts.items() for n in range(count)]
    return [status for _, status in sorted(places)]
