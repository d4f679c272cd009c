"""How one continuation of the past went: its row, its steps and its executions, made by hand."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

from continuations import ContinuableJob, codec
from continuations.models import Continuation, Execution, StepRecord
from continuations.transitions import FINISHED, Status

from .causes import Cause
from .jobs import ShopJob

PEOPLE = ("ana", "ben", "chandra")
HOSTS = ("web-1", "web-2", "web-3")
# Shares of executions that were not the last, by outcome and reason.
BREAKS = {
    (Status.INTERRUPTED.value, "stopping"): 55,
    (Status.INTERRUPTED.value, "timeout"): 30,
    (Status.INTERRUPTED.value, "error"): 8,
    ("died", "crash"): 7,
}
SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Course:
    """A continuation of `job` that was created then, took so many executions, and has this status now."""

    job: type[ShopJob]
    status: Status
    arguments: tuple[list[Any], dict[str, Any]]
    # Of one that has ended: nobody holds it any more.
    key: str | None
    created_at: dt.datetime
    executions: int
    # Working, in all executions together.
    seconds: float
    # How far the step with the most items came, unless all are completed.
    share: float
    # What went wrong, if it failed or was discarded.
    cause: Cause | None
    random: Random

    def rows(self) -> tuple[Continuation, list[StepRecord], list[Execution]]:
        """The rows, not stored."""
        row = self._continuation()
        if self.executions == 0:
            return row, [], []
        executions = list(self._executions(row))
        row.started_at, last = executions[0].started_at, executions[-1].finished_at
        if self.status in FINISHED:
            row.finished_at = last
        steps = list(self._steps(row, last or row.started_at + self.seconds * SECOND))
        if self.status == Status.RUNNING:
            row.owner = steps[-1].execution = executions[-1].pk
        return row, steps, executions

    def _continuation(self) -> Continuation:
        row = Continuation(
            id=id_at(self.created_at, self.random),
            job_path=path_of(self.job),
            queue_name=self.job.queue_name,
            arguments_json=codec.encode(list(self.arguments)) or "",
            status=self.status,
            key=self.key,
            created_at=self.created_at,
            enqueued_at=self.created_at,
            executions=self.executions,
            resumptions=max(self.executions - 1, 0),
            # Recovery is to look at none of them, and RQ has been told of every end.
            check_after=None,
            anchor_open=self.status not in FINISHED,
            waiting_for=self.job.waits_for if self.status == Status.WAITING else "",
            reason=self._reason,
        )
        if self.cause is not None:
            row.error_class, row.error_message = self.cause.error_class, self.cause.message
            row.error_traceback = self.cause.traceback
        if self.status in (Status.CANCELLED, Status.PAUSED):
            row.request_by = self.random.choice(PEOPLE)
            row.requested_at = self.created_at + self.seconds * SECOND
        return row

    @property
    def _reason(self) -> str:
        if self.cause is not None:
            return "error"
        reasons = {
            Status.CANCELLED: "cancelled",
            Status.PAUSED: "paused",
            Status.WAITING: "waiting",
            Status.INTERRUPTED: "stopping",
        }
        return reasons.get(self.status, "")

    def _executions(self, row: Continuation) -> Iterator[Execution]:
        """One after the other; between two the queue is waited in."""
        begin = self.created_at + self.random.uniform(0.05, 20) * SECOND
        ran = self.seconds / self.executions * SECOND
        places = [self._cursor(number / self.executions) for number in range(self.executions + 1)]
        for number, (before, after) in enumerate(pairwise(places), start=1):
            is_last = number == self.executions
            is_running = is_last and self.status == Status.RUNNING
            outcome, reason = (self.status.value, self._reason) if is_last else self._break()
            host = self.random.choice(HOSTS)
            yield Execution(
                id=id_at(begin, self.random),
                continuation=row,
                number=number,
                worker=f"{host}.{self.random.randrange(1000, 30_000)}",
                host=host,
                started_at=begin,
                # Nothing proves the death of one elsewhere that no RQ knows of.
                finished_at=None if is_running else begin + ran,
                outcome="" if is_running else outcome,
                reason="" if is_running else reason,
                step="" if self.status == Status.DISCARDED else self._longest,
                completed_before=0 if number == 1 else list(self.job.plan).index(self._longest),
                cursor_before_json=before if number > 1 else None,
                cursor_after_json=None if is_running else after,
                error_class=self.cause.error_class if self.cause and is_last else "",
                error_message=self.cause.message if self.cause and is_last else "",
            )
            begin += ran + self.random.uniform(0.5, 90) * SECOND

    def _steps(self, row: Continuation, end: dt.datetime) -> Iterator[StepRecord]:
        """Those that were met, up to the one in which it stands or ended."""
        begin = row.started_at or self.created_at
        if self.status == Status.DISCARDED:
            return
        if self.job.waits_for:
            answered = None if self.status == Status.WAITING else end
            yield self._step(row, 0, self.job.waits_for, begin, answered, kind=StepRecord.Kind.EVENT)
        if self.status == Status.WAITING:
            return
        for position, (name, items) in enumerate(self.job.plan.items(), start=bool(self.job.waits_for)):
            stands = self.status != Status.SUCCEEDED and name == self._longest
            done = int(items * self.share) if stands else items
            yield self._step(row, position, name, begin, None if stands else end, items=items, done=done, beat=end)
            if stands:
                return

    def _step(
        self,
        row: Continuation,
        position: int,
        name: str,
        begin: dt.datetime,
        end: dt.datetime | None,
        *,
        kind: StepRecord.Kind = StepRecord.Kind.STEP,
        items: int = 0,
        done: int = 0,
        beat: dt.datetime | None = None,
    ) -> StepRecord:
        return StepRecord(
            id=id_at(begin, self.random),
            continuation=row,
            position=position,
            name=name,
            kind=kind,
            status=StepRecord.Status.RUNNING if end is None else StepRecord.Status.COMPLETED,
            cursor_json=codec.encode(self.job.cursor_after(done)) if done else None,
            advanced=done > 0,
            processed=done,
            total=items if items and self.job.is_sized else None,
            busy_seconds=self.seconds if items else 0.01,
            sequence=1 + int(self.seconds),
            started_at=begin,
            heartbeat_at=beat or begin,
            finished_at=end,
        )

    @property
    def _longest(self) -> str:
        return max(self.job.plan, key=self.job.plan.__getitem__)

    def _cursor(self, part: float) -> str | None:
        """Of the longest step, after that part of the work."""
        reached = 1.0 if self.status == Status.SUCCEEDED else self.share
        done = int(self.job.plan[self._longest] * reached * part)
        return codec.encode(self.job.cursor_after(done)) if done else None

    def _break(self) -> tuple[str, str]:
        if self.job.waits_for:
            return Status.WAITING.value, "waiting"
        return self.random.choices(list(BREAKS), list(BREAKS.values()))[0]


def path_of(job: type[ContinuableJob]) -> str:
    """Under which continuations of this class are stored."""
    return f"{job.__module__}.{job.__qualname__}"


def id_at(moment: dt.datetime, random: Random) -> uuid.UUID:
    """A UUID of version 7 as it would have been made then, so that ids lie in an index as time has passed."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(
        int=milliseconds << 80 | 0x7 << 76 | random.getrandbits(12) << 64 | 0b10 << 62 | random.getrandbits(62)
    )
