"""Workers that are started again when they end, as systemd would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .processes import MARK, Process, marked

# Seconds that a worker may take to leave after SIGTERM before it is killed, which is told at the end.
PATIENCE = 45.0
# Seconds before one that ended within as many is started again.
PAUSE = 1.0

_DJANGO = ("-m", "django")
_ELSEWHERE = ("-m", "tests.chaos.elsewhere")
_STOCK = ("--worker-class", "rq.Worker")
# What the places hold, again from the start if there are more. "Elsewhere" claims to be another machine, where
# only the lease tells who lives. A stock worker has no lease, so it is where its processes can be looked up.
KINDS: list[tuple[str, ...]] = [
    (*_DJANGO, "rqworker", "default"),
    (*_ELSEWHERE, "machine-b", "rqworker", "default"),
    (*_DJANGO, "rqworker", "default", *_STOCK),
    (*_ELSEWHERE, "machine-c", "rqworker", "default"),
    (*_DJANGO, "rqworker", "default", "--worker-class", "continuations.worker.ContinuableSpawnWorker"),
]


class Command:
    """A management command that runs; it and its children carry the mark."""

    def __init__(self, mark: str, arguments: tuple[str, ...], log: Path, environ: dict[str, str]) -> None:
        self.mark = mark
        self.log = log
        with log.open("ab") as stream:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, **environ, MARK: mark, "PYTHONUNBUFFERED": "1"},
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def processes(self) -> list[Process]:
        """The worker, its scheduler, its horse; also those it left behind."""
        return list(marked(self.mark))


class Worker(Command):
    """One life of a worker in its place."""

    def __init__(self, mark: str, arguments: tuple[str, ...], log: Path, environ: dict[str, str]) -> None:
        super().__init__(mark, arguments, log, environ)
        self.started = time.monotonic()
        self.is_stopped = False
        self.told_to_leave: float | None = None

    @property
    def pid(self) -> int:
        return self.popen.pid

    def itself(self) -> list[Process]:
        return [each for each in self.processes() if each.pid == self.pid]

    def horses(self) -> list[Process]:
        return [each for each in self.processes() if each.pid != self.pid and each.leads_group]


class Fleet:
    """So many places, each with a worker."""

    def __init__(self, token: str, size: int, logs: Path, environ: dict[str, str]) -> None:
        self._token = token
        self._logs = logs
        self._environ = environ
        self._started = 0
        self._ended_at: dict[int, float] = {}
        self.hangs: list[str] = []
        self.workers = [self._start(place) for place in range(size)]

    def tend(self) -> None:
        """Start what has ended, kill what does not leave."""
        now = time.monotonic()
        for place, worker in enumerate(self.workers):
            if worker.is_running:
                if worker.told_to_leave is not None and now - worker.told_to_leave > PATIENCE:
                    self.hangs.append(f"{worker.log.name} did not leave within {PATIENCE:.0f} s of SIGTERM")
                    for process in worker.processes():
                        process.signal(signal.SIGKILL)
                continue
            ended = self._ended_at.setdefault(place, now)
            if ended - worker.started > PAUSE or now - ended > PAUSE:
                del self._ended_at[place]
                self.workers[place] = self._start(place)

    def run(self, *arguments: str) -> Command:
        """Another management command beside the workers."""
        self._started += 1
        mark = f"{self._token}-{self._started}-"
        return Command(mark, (*_DJANGO, *arguments), self._logs / f"{arguments[0]}.log", self._environ)

    def targets(self) -> list[Worker]:
        """Workers that a fault may hit: running, not stopped, not told to leave."""
        return [each for each in self.workers if each.is_running and not each.is_stopped and each.told_to_leave is None]

    def strays(self) -> list[Process]:
        """Processes left behind by workers that have ended."""
        known = {each.mark for each in self.workers}
        return [each for each in marked(self._token) if each.mark not in known]

    def _start(self, place: int) -> Worker:
        self._started += 1
        mark = f"{self._token}-{self._started}-"
        log = self._logs / f"worker-{self._started:03}-place-{place}.log"
        return Worker(mark, KINDS[place % len(KINDS)], log, self._environ)
