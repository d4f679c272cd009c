"""What proves that an execution is dead: Redis and the process table. Silence proves nothing."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from django.utils.translation import gettext_noop
from rq.executions import Execution as RQExecution
from rq.utils import as_text, utcparse
from rq.worker import BaseWorker

from .moments import as_ours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

    from .models import Execution

# Seconds: how long a lease of ContinuableWorker lives, and how often it is renewed. With the three seconds between two
# looks of another worker, and some for the look itself, that is less than fifteen.
LEASE = 11.0
RENEWAL = 3
# Seconds between the signs of life that a stock worker gives for its horse (RQ's job_monitoring_interval).
RQ_HEARTBEAT = 30.0

# In RQ's record of an execution whose worker gives leases.
LEASE_FIELD = "continuations_lease"
_PREFIX = "continuations"
MARKER_KEY = f"{_PREFIX}:marker"


def lease_key(rq_execution_id: str) -> str:
    """Where the lease of an execution lies in Redis."""
    return f"{_PREFIX}:lease:{rq_execution_id}"


def server_of(connection: Redis) -> tuple[str, ...]:
    """Which Redis that is, and which of its databases: queues have clients of their own, also where they share one."""
    pool = connection.connection_pool
    place = [pool.connection_kwargs.get(name) for name in ("host", "port", "path", "db", "username")]
    return tuple(str(each) for each in (getattr(pool, "service_name", ""), *place))


def remembers_since(connection: Redis) -> float:
    """Seconds for which this Redis has certainly not been emptied: the age of a marker that anyone leaves there."""
    seconds, microseconds = connection.time()
    now = seconds + microseconds / 1e6
    connection.set(MARKER_KEY, repr(now), nx=True)
    marked = connection.get(MARKER_KEY)
    return now - float(marked) if marked is not None else 0.0


def proof_of_death(execution: Execution, connection: Redis, remembered: float) -> str | None:
    """Why `execution` is certainly dead, or None. `remembered`: what `remembers_since` gave.

    Raises `RedisError` if Redis does not answer: then nothing is known.
    """
    if is_here(execution) and execution.pid is not None and not process_exists(execution.pid):
        return gettext_noop("its process is gone")
    if not execution.rq_execution_id:
        return None
    period = LEASE if execution.lease else RQ_HEARTBEAT
    if remembered < 2 * period:
        # Redis may just have been emptied, and with it every sign of life.
        return None
    if execution.lease and not connection.exists(lease_key(execution.rq_execution_id)):
        return gettext_noop("its lease has run out")
    record = RQExecution(execution.rq_execution_id, execution.rq_job_id, connection)
    return None if connection.exists(record.key) else gettext_noop("RQ has no record of its execution")


def worker_will_tell(execution: Execution, connection: Redis) -> bool:
    """Whether a worker here is about to note how its horse ended: RQ redelivers its job, or was told to stop it.

    Not if it hangs: then its lease, or RQ's record of the execution, runs out.
    """
    if not execution.rq_execution_id or not is_here(execution):
        return False
    record = RQExecution(execution.rq_execution_id, execution.rq_job_id, connection)
    if not connection.exists(record.key):
        return False
    if execution.lease and not connection.exists(lease_key(execution.rq_execution_id)):
        return False
    worker_key = f"{BaseWorker.redis_worker_namespace_prefix}{execution.worker}"
    pid, birth = (None if each is None else as_text(each) for each in connection.hmget(worker_key, "pid", "birth"))
    # Another worker may have the same name by now.
    if pid is None or birth is None or as_ours(utcparse(birth)) > execution.started_at:
        return False
    return int(pid) != execution.pid and process_exists(int(pid))


def any_alive(rq_job_id: str, rq_execution_ids: Iterable[str], connection: Redis, remembered: float) -> bool:
    """Whether RQ knows of a living execution of this delivery, which may not have claimed anything yet."""
    for rq_execution_id in rq_execution_ids:
        record = RQExecution(rq_execution_id, rq_job_id, connection)
        if not connection.exists(record.key):
            continue
        has_lease = connection.hexists(record.key, LEASE_FIELD) and remembered >= 2 * LEASE
        if not has_lease or connection.exists(lease_key(rq_execution_id)):
            return True
    return False


def is_here(execution: Execution) -> bool:
    """Whether its process would be visible to this one."""
    return bool(execution.boot) and execution.boot == boot_id() and execution.host == host()


@functools.cache
def host() -> str:
    """Name of this machine."""
    return socket.gethostname()


@functools.cache
def boot_id() -> str:
    """Id of this boot of the kernel and of this pid namespace, where the kernel gives them; else empty."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    return ""


def process_exists(pid: int) -> bool:
    """Whether there is a process of that number that has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        # A zombie has ended; its parent has not looked yet.
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] != "Z"
        )
    return True
