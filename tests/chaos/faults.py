"""Injecting the faults of a plan."""

from __future__ import annotations

import heapq
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.db import Error, connection
from django.utils import timezone
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from continuations.delivery import queue_named
from continuations.identifiers import rq_job_id
from continuations.models import Continuation
from continuations.transitions import FINISHED

from .databases import Database
from .plan import Fault
from .servers import Valkey
from .workers import Command, Fleet, Worker


@dataclass(frozen=True)
class Blow:
    """What a fault did to the processes of a worker, or to everybody (no pids)."""

    kind: str
    at: Any
    pids: frozenset[int] = frozenset()
    worker: str = ""


@dataclass
class Injector:
    """Does what a fault says, and undoes it when its time is over."""

    fleet: Fleet
    valkey: Valkey
    database: Database
    injected: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    blows: list[Blow] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    _later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    def inject(self, fault: Fault) -> bool:
        """Do it. False: there is nothing to hit right now."""
        try:
            return self._do(fault)
        except (Error, RedisError, OSError):
            # A server is away already.
            connection.close()
            return False

    def count(self, fault: Fault, *, done: bool) -> None:
        """Note what became of it in the end."""
        (self.injected if done else self.missed)[fault.kind] += 1

    def tend(self) -> None:
        """End what is over, and look after the workers."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        self.fleet.tend()

    def end(self) -> None:
        """Undo everything at once."""
        while self._later:
            heapq.heappop(self._later)[2]()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), action))

    def _do(self, fault: Fault) -> bool:
        kind = fault.kind
        if kind.startswith("SIG"):
            worker = self._victim(fault)
            return worker is not None and self._signal(worker, fault)
        if kind == "Valkey killed":
            return self._kill_valkey(fault)
        if kind == "FLUSHALL":
            self._redis().flushall()
            self.blows.append(Blow(kind, timezone.now()))
            return True
        if kind.startswith("database"):
            return self._stop_database(fault)
        if kind == "sessions ended":
            return self._end_sessions(kind)
        if kind == "duplicate delivery":
            return self._duplicate(fault)
        self.commands = [each for each in self.commands if each.is_running]
        self.commands.append(self.fleet.run("recover_continuations"))
        return True

    def _victim(self, fault: Fault) -> Worker | None:
        targets = self.fleet.targets()
        if fault.kind.endswith(("horse", "both")) or "SIGSTOP" in fault.kind:
            targets = [each for each in targets if each.horses()]
        if "SIGSTOP" in fault.kind and any(each.is_stopped for each in self.fleet.workers):
            # One at a time, or nobody is left to take over.
            return None
        return targets[int(fault.share * len(targets))] if targets else None

    def _signal(self, worker: Worker, fault: Fault) -> bool:
        name, _, whom = fault.kind.partition(" ")
        processes = {
            "worker": worker.itself,
            "horse": worker.horses,
            "both": worker.processes,
            "all": worker.processes,
        }[whom]()
        if not processes:
            return False
        # The worker first: a horse that is seen to die is another fault.
        processes.sort(key=lambda each: each.pid != worker.pid)
        for process in processes:
            process.signal(getattr(signal, name))
        self.blows.append(Blow(fault.kind, timezone.now(), frozenset(each.pid for each in processes), worker.log.stem))
        if name == "SIGTERM":
            worker.told_to_leave = time.monotonic()
        if name == "SIGSTOP":
            worker.is_stopped = True
            self._after(fault.seconds, lambda: self._wake(worker))
        return True

    def _wake(self, worker: Worker) -> None:
        for process in worker.processes():
            process.signal(signal.SIGCONT)
        worker.is_stopped = False

    def _kill_valkey(self, fault: Fault) -> bool:
        if not self.valkey.is_up:
            return False
        self.valkey.kill()
        self.blows.append(Blow(fault.kind, timezone.now()))
        self._after(fault.seconds, self.valkey.start)
        return True

    def _stop_database(self, fault: Fault) -> bool:
        if not self.database.is_up:
            return False
        self.database.stop(fault.kind.removeprefix("database "))
        self.blows.append(Blow(fault.kind, timezone.now()))
        self._after(fault.seconds, self.database.start)
        return True

    def _end_sessions(self, kind: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(self.database.end_sessions)
            found = cursor.fetchall()
            if connection.vendor == "mysql":
                for (number,) in found:
                    try:
                        cursor.execute("KILL %s", [number])
                    except Error:
                        # It has ended by itself.
                        continue
        self.blows.append(Blow(kind, timezone.now()))
        return bool(found)

    def _duplicate(self, fault: Fault) -> bool:
        """Push an id that has been delivered: of one that runs, or that has ended lately; the current or an old one."""
        rows = list(Continuation.objects.exclude(status__in=FINISHED).order_by("created_at")[:20])
        rows += Continuation.objects.filter(status__in=FINISHED).order_by("-finished_at")[:5]
        if not rows:
            return False
        row = rows[int(fault.share * len(rows))]
        # Another draw from the same number.
        number = int(fault.share * 1000) % (row.delivery + 1)
        queue = queue_named(row.queue_name)
        with self._redis() as client:
            client.rpush(queue.key, rq_job_id(row.pk, number))
        return True

    def _redis(self) -> Redis:
        """A client that does not wait for a Valkey that is away."""
        return Redis.from_url(self.valkey.url, retry=Retry(NoBackoff(), 0), socket_timeout=2)
