"""Imports whose worker is stopped in the middle, to see what that does to their rows."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import uuid4

import django_rq
from rq import Worker
from rq.command import send_kill_horse_command

from continuations.models import Continuation

from ..supervisor import ProcessError, manage
from .jobs import ProcessImport, start
from .models import AirportImport
from .plain import enqueue_plain
from .tally import Tally, rows_in_file, work_done
from .world import world_airports

if TYPE_CHECKING:
    from collections.abc import Callable

    from rq.job import Job

    from continuations.models import Execution

    from ..supervisor import Process, Supervisor


class Kill(StrEnum):
    """How the work is stopped."""

    # What a deploy sends to the worker, which ends; a new one is started.
    TERM = "TERM"
    # What the kernel does to the process that runs the job, for example when memory runs out; its worker stays.
    KILL = "KILL"


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """An import that came to its end nevertheless."""

    tally: Tally
    starts: int
    seconds: float
    executions: list[Execution]


class Rehearsal:
    """Runs imports of the world's airports, and stops each of them `kills` times. It starts its own worker."""

    def __init__(self, supervisor: Supervisor, *, kills: int, kill: Kill) -> None:
        self._supervisor = supervisor
        self._kills = kills
        self._kill = kill
        self._queue = django_rq.get_queue(ProcessImport.queue_name, commit_mode="auto")
        self._start_worker()

    def continuation(self) -> Rehearsed:
        """Stop `ProcessImport` in the middle."""
        begun = time.monotonic()
        airport_import = start(world_airports())
        for target in self._targets(airport_import):
            # Each execution is to be seen working before it is stopped.
            self._await_work(airport_import, max(target, work_done(airport_import) + 1))
            self._stop_execution(airport_import)
        self._await("the import to end", lambda: self._has_ended(airport_import))
        continuation = self._followed(airport_import)
        if continuation.status != Continuation.Status.SUCCEEDED:
            raise ProcessError(f"The import ended as {continuation.status}: {continuation.error_message}")
        return Rehearsed(
            tally=Tally.of(airport_import),
            starts=continuation.executions,
            seconds=time.monotonic() - begun,
            executions=list(continuation.execution_records.all()),
        )

    def plain(self) -> Rehearsed:
        """Stop `plain_import` while it loads. Its process is killed: told to stop, RQ would let it finish first."""
        begun = time.monotonic()
        airport_import = world_airports()
        airport_import.save()
        job = enqueue_plain(airport_import, retries=self._kills + 1)
        rows = rows_in_file(airport_import)
        for part in range(1, self._kills + 1):
            self._await_work(airport_import, work_done(airport_import) + rows * part // (self._kills + 1))
            retries_left = self._retries_left(job)
            send_kill_horse_command(self._queue.connection, self._worker_name)
            self._await("RQ to start it over", lambda: self._retries_left(job) != retries_left)  # noqa: B023
        self._await("the plain import to end", lambda: self._has_ended(airport_import))
        airport_import.refresh_from_db()
        return Rehearsed(
            tally=Tally.of(airport_import),
            starts=airport_import.starts,
            seconds=time.monotonic() - begun,
            executions=[],
        )

    def _targets(self, airport_import: AirportImport) -> list[int]:
        """Where to stop, in applications of rows, of which there are two each: with two kills at 1/5 and 3/5.

        The remainder must last longer than the second a worker takes to notice the last signal.
        """
        parts = 2 * self._kills + 1
        return [2 * rows_in_file(airport_import) * part // parts for part in range(1, parts - 1, 2)]

    def _start_worker(self) -> None:
        self._worker_name = f"rehearsal-{uuid4().hex}"
        command = manage("rqworker", "default", "imports", "--name", self._worker_name)
        self._worker: Process = self._supervisor.start("The worker", command)
        self._await("the worker to listen", lambda: Worker.count(queue=self._queue) > 0)

    def _stop_execution(self, airport_import: AirportImport) -> None:
        if self._kill is Kill.TERM:
            self._worker.send(signal.SIGTERM)
            self._supervisor.wait_for(lambda: self._worker.ended, what="the worker to end")
            self._start_worker()
        else:
            before = self._followed(airport_import).executions
            send_kill_horse_command(self._queue.connection, self._worker_name)
            self._await("the next execution", lambda: self._followed(airport_import).executions > before)

    def _await_work(self, airport_import: AirportImport, target: int) -> None:
        def reached() -> bool:
            if self._has_ended(airport_import):
                raise ProcessError("The import ended before it had been stopped often enough.")
            return work_done(airport_import) >= target

        self._await(f"{target} applications of rows", reached)

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        self._supervisor.wait_for(condition, what=what, process=self._worker)

    @staticmethod
    def _followed(airport_import: AirportImport) -> Continuation:
        continuation = airport_import.continuation
        assert continuation is not None
        return continuation

    @staticmethod
    def _has_ended(airport_import: AirportImport) -> bool:
        if (continuation := airport_import.continuation) is not None:
            return continuation.is_finished
        return AirportImport.objects.filter(pk=airport_import.pk, finished_at__isnull=False).exists()

    @staticmethod
    def _retries_left(job: Job) -> int | None:
        job.refresh()  # type: ignore[no-untyped-call]
        return job.retries_left
