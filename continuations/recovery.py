"""Finding what was lost, and putting it back: deliveries Redis forgot, owners that died, rests that are over."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import Error
from django.utils import timezone
from django_rq.settings import get_queues_map
from redis.exceptions import LockError, RedisError

from . import signals, upkeep
from .conf import database
from .delivery import queue_named
from .limits import Limit
from .liveness import LEASE
from .models import Continuation, Execution
from .patient import Patient, Recovered, look_again
from .servers import Servers
from .signals import emit
from .slots import free_lost_slots
from .transitions import OWNED

if TYPE_CHECKING:
    import datetime as dt
    import uuid

logger = logging.getLogger("continuations")

# Deliveries looked for in one run; what is left is the oldest of the next.
LIMIT = 200
LOCK_KEY = "continuations:recovery"
# Seconds after which the lock of a recovery that died is free; one that lives renews it between two continuations.
LOCK_TIMEOUT = 5.0
# Seconds between two runs that pass by, at the start of an execution. (An enqueue leads to one, if anybody listens.)
PASSING_INTERVAL = 10
PASSING_KEY = "continuations:recovery:passed"
# Seconds that a worker spends on recovery between two renewals of its own lease, which must not run out meanwhile.
BRIEFLY = LEASE / 4


def recover(*, limit: int = LIMIT, dry_run: bool = False, seconds: float = math.inf) -> list[Recovered]:
    """Look at what is due to be looked at, and put back what was lost. One at a time: a second run returns at once.

    First at every continuation that an execution owns, then at `limit` others, those due the longest. Never waits for
    a row that somebody else holds. If Redis does not answer, nothing is known and nothing is done; if there are
    several, that is so for the continuations of those that do not. `seconds`: do no more than fits into so many; what
    is left stays due.
    """
    servers = Servers()
    connections_ = (queue_named(name).connection for name in sorted(get_queues_map()))
    first = next(filter(servers.answers, connections_), None)
    if first is None:
        return []
    try:
        lock = first.lock(LOCK_KEY, timeout=LOCK_TIMEOUT, blocking=False)
        with lock:
            return _Run(servers, dry_run=dry_run, seconds=seconds, keep=lock.reacquire).go(limit)
    except LockError:
        return []
    except (RedisError, OSError) as error:
        logger.warning("recovery: Redis does not answer (%s); nothing is known", error)
        return []


def recover_in_passing(connection: Any) -> None:
    """A run now and then, from whoever comes by, so that nothing has to be configured. Never raises."""
    try:
        if connection.set(PASSING_KEY, 1, nx=True, ex=PASSING_INTERVAL):
            recover(seconds=BRIEFLY)
    except (RedisError, OSError, Error) as error:
        logger.warning("recovery in passing: %s", error)


class _Run:
    """One run of recovery, and when those are looked at again with whom nothing was to be done."""

    def __init__(self, servers: Servers, *, dry_run: bool, seconds: float, keep: Callable[[], object]) -> None:
        self._servers = servers
        self._dry_run = dry_run
        self._seconds = seconds
        self._keep = keep
        self._alias = database()
        self._now = timezone.now()
        self._waiting: list[Any] = []
        self._soon: list[Any] = []
        self._settled: list[Any] = []
        self._limits: dict[tuple[str, int], Limit] = {}

    def go(self, limit: int) -> list[Recovered]:
        rows, owners = _due(self._alias, self._now, limit)
        recovered: list[Recovered] = []
        for row in rows:
            if self._seconds <= 0:
                break
            self._keep()
            begun = time.monotonic()
            found = self._look_at(row, owners)
            if found is not None:
                recovered.append(found)
                # To look costs next to nothing, and everybody's turn has to come.
                self._seconds -= time.monotonic() - begun
        if not self._dry_run:
            self._tidy_up()
        return recovered

    def _look_at(self, row: Continuation, owners: dict[uuid.UUID, Execution]) -> Recovered | None:
        if row.queue_name not in get_queues_map():
            logger.warning("%s waits on queue %r, which is not in RQ_QUEUES", row, row.queue_name)
            self._waiting.append(row.pk)
            return None
        queue = queue_named(row.queue_name)
        patient = Patient(row, queue, owners, self._servers, self._seconds)
        try:
            found = patient.treat(dry_run=self._dry_run) if self._servers.answers(queue.connection) else None
        except (RedisError, OSError) as error:
            self._servers.lose(queue.connection, error)
            found = None
        except Error:
            raise
        except Exception:
            # Whatever is the matter with this one, the others are waiting; and it would end the worker that looks.
            logger.exception("%s: not recovered", row)
            found = None
        if found is not None:
            logger.info("%s%s", "would have: " if self._dry_run else "", found)
            if not self._dry_run:
                emit(signals.recovered, found.continuation, action=found.action, why=found.why)
        elif row.status not in OWNED:
            if (line := patient.in_line) is not None:
                self._limits[line.key, id(line.connection)] = line
            is_soon = patient.is_taken or not self._servers.answers(queue.connection)
            (self._soon if is_soon else self._settled if patient.is_settled else self._waiting).append(row.pk)
        return found

    def _tidy_up(self) -> None:
        for pks, again in ((self._waiting, upkeep.again()), (self._soon, upkeep.soon()), (self._settled, None)):
            if pks:
                look_again(self._alias, pks, self._now, again)
        for line in self._limits.values():
            self._keep()
            free_lost_slots(line, self._alias)


def _due(alias: str, now: dt.datetime, limit: int) -> tuple[list[Continuation], dict[uuid.UUID, Execution]]:
    """What to look at: what executions own, with those executions, and then what waits.

    Two queries: however many deliveries are due, every owner is looked at, and the other way round.
    """
    rows = Continuation.objects.using(alias).defer("result_json", "error_traceback", "arguments_json")
    owned = list(rows.filter(status__in=OWNED))
    waiting = rows.exclude(status__in=OWNED).filter(check_after__lte=now).order_by("check_after")[:limit]
    owners = Execution.objects.using(alias).in_bulk([row.owner for row in owned if row.owner]) if owned else {}
    return [*owned, *waiting], owners
