"""A run: servers, workers and traffic, then the faults, then quiet, then the oracle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from redis.exceptions import RedisError

from continuations.models import Continuation
from continuations.transitions import FINISHED

from . import oracle, plan
from .databases import Database
from .faults import Injector
from .processes import end_all
from .servers import Valkey
from .traffic import Traffic
from .workers import Fleet

# Seconds in which everything has to end once the faults are over: a back-off after errors in a row takes minutes.
DRAIN = 240.0
# Seconds for RQ's books and anchors to follow: RQ forgets a dead execution of a stock worker after 90.
GRACE = 120.0
TICK = 0.05
# Ticks for which a fault looks for something to hit.
TRIES = 60


@dataclass
class Report:
    """What came of a run."""

    injector: Injector
    traffic: Traffic
    findings: oracle.Findings
    unfinished: list[str]
    left: list[str]
    seconds: float

    @property
    def is_clean(self) -> bool:
        found = self.findings
        wrong = found.lost or found.repeated_in_blocks or found.problems
        return not (wrong or self.unfinished or self.left or self.injector.fleet.hangs)


def run(
    token: str, folder: Path, database: Database, valkey: Valkey, faults: list[plan.Fault], *, seed: int, workers: int
) -> Report:
    """Everything; Django is set up and points at `database` and `valkey`."""
    began = time.monotonic()
    call_command("migrate", verbosity=0)
    connection.close()
    logs = folder / "logs"
    logs.mkdir()
    fleet = Fleet(token, workers, logs, {"DATABASE_URL": database.url, "REDIS_URL": valkey.url})
    injector = Injector(fleet, valkey, database)
    traffic = Traffic(seed, level=workers + 3)
    with _ended(token, traffic):
        traffic.start()
        _inject(injector, faults, folder / "faults.log")
        injector.end()
        traffic.end()
        unfinished = _drain(injector)
        left = _settle(injector) if not unfinished else []
        findings = oracle.examine(traffic.accepted)
    return Report(injector, traffic, findings, unfinished, left, time.monotonic() - began)


@contextmanager
def _ended(token: str, traffic: Traffic) -> Iterator[None]:
    try:
        yield
    finally:
        traffic.end()
        end_all(token)
        connection.close()


def _inject(injector: Injector, faults: list[plan.Fault], log: Path) -> None:
    # Until the first jobs run.
    _wait(injector, 3.0)
    began = time.monotonic()
    with log.open("w") as lines:
        for fault in faults:
            _wait(injector, began + fault.at - time.monotonic())
            done = injector.inject(fault)
            tries = 1
            while not done and tries < TRIES and "SIGSTOP" not in fault.kind:
                # Nothing there to hit: a moment later there is. What is stopped stays so for longer.
                _wait(injector, TICK)
                done = injector.inject(fault)
                tries += 1
            injector.count(fault, done=done)
            print(f"{time.strftime('%T')} {fault}{'' if done else ', missed'}", file=lines, flush=True)


def _wait(injector: Injector, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        injector.tend()
        if time.monotonic() >= end:
            return
        time.sleep(min(TICK, max(0.0, end - time.monotonic())))


def _drain(injector: Injector) -> list[str]:
    """Wait until every continuation has ended; what is known of those that do not."""
    # The connection may be one to a server that was restarted since.
    connection.close()
    end = time.monotonic() + DRAIN
    while time.monotonic() < end:
        _wait(injector, 0.5)
        if not Continuation.objects.exclude(status__in=FINISHED).exists():
            return []
    return [oracle.why_unfinished(row) for row in Continuation.objects.exclude(status__in=FINISHED)[:20]]


def _settle(injector: Injector) -> list[str]:
    """Wait until RQ knows, too; what it does not."""
    end = time.monotonic() + GRACE
    left = ["nobody looked"]
    while left and time.monotonic() < end:
        _wait(injector, 0.5)
        try:
            left = oracle.left_in_rq()
        except RedisError as error:
            # A pooled connection from before the last restart.
            left = [str(error)]
    return left
