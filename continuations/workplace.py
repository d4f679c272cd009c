"""What runs an execution: a caller, or an RQ worker and its horse. What it knows of time-outs and shutdowns."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Self

from redis.exceptions import RedisError
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.executions import Execution as RQExecution
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import as_text
from rq.worker import BaseWorker

from .clients import impatient
from .liveness import LEASE, is_here, lease_key, process_exists
from .shutdown import Signals

if TYPE_CHECKING:
    from redis import Redis
    from rq.job import Job

    from .models import Execution

# Seconds a beat may lose to a Redis that does not answer.
REDIS_TIMEOUT = 0.25
# Seconds: back-offs up to here are waited out in the worker where no scheduler would end them.
WAIT_IN_PLACE = 30.0
# RQ gives this name to the worker of a queue with ASYNC=False.
SYNC_WORKER = "sync"


StopFlag = mmap.mmap | bytes
NO_FLAG = b"\0"
# Bytes of one that is shared: the flag, and the moment when it was set.
FLAG_SIZE = 16
_MOMENT = struct.Struct("d")


class Shared(NamedTuple):
    """What a worker that knows of continuations tells the executions of its process, and horses that it forks."""

    stop_flag: StopFlag = NO_FLAG
    # RQ's ids of the job that it has prepared last, and of its execution, which has a lease.
    rq_job_id: str = ""
    rq_execution_id: str = ""


_shared = Shared()


def share(stop_flag: StopFlag, rq_job_id: str = "", rq_execution_id: str = "") -> None:
    """Called by such a worker when it begins, before each execution, and with `NO_FLAG` when it ends."""
    global _shared
    _shared = Shared(stop_flag, rq_job_id, rq_execution_id)


def set_stop_flag(flag: mmap.mmap | bytearray) -> None:
    """Called by the worker when it is told to stop, in its signal handler."""
    # Before the flag: who sees that reads this. Processes of a machine share the clock.
    _MOMENT.pack_into(flag, FLAG_SIZE - _MOMENT.size, time.monotonic())
    flag[0] = 1


class Workplace:
    """A caller: `perform_now`, a test, a queue with ASYNC=False. Waits out its own back-offs."""

    worker = ""
    rq_job_id = ""
    rq_execution_id = ""
    in_horse = False
    # Its byte is set by a worker that shares it, when it is told to stop.
    stop_flag: StopFlag = NO_FLAG
    # Seconds that a lease of this execution lives; 0 where nobody gives one.
    lease = 0.0
    # Whether what rests until later may run now all the same.
    runs_early = False
    # Whether a short `sleep` may be spent here where no scheduler would end it; a caller is not kept waiting.
    sleeps = False
    # This delivery has been here before, as far as anybody knows: a claim does not try first whether it is the first.
    comes_again = False
    # Whoever runs this looks for lost continuations by itself.
    recovers = False

    def __init__(self) -> None:
        self._signals = Signals(self._note_stop, keep=False)
        self._on_stop: Callable[[], None] | None = None
        self.stop_asked = False

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._signals.__exit__(*exc)

    def listen(self, on_stop: Callable[[], None]) -> None:
        """Call `on_stop` when a signal asks to stop, also if it did already."""
        self._on_stop = on_stop
        if self.stop_asked:
            on_stop()

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """Keep signals from raising inside."""
        return self._signals.hold()

    def defer(self, on_held: Callable[[], object]) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """The same, telling when something was held back; what this gives lets that through, where it may raise."""
        return self._signals.defer(on_held)

    def disarm(self) -> None:
        """The job has ended; nothing may time it out any more."""
        self._signals.disarm()

    def deadline(self) -> float | None:
        """Seconds until the death penalty, or None."""
        return None

    def ask(self) -> str | None:
        """A reason to leave that only a round trip tells. Never raises."""
        return None

    def waits_in_place(self, seconds: float, queue_name: str) -> bool:
        """Whether a rest of so many seconds is spent here instead of going back to the queue."""
        return True

    @property
    def is_told_to_stop(self) -> bool:
        """By a signal, or by the worker through shared memory."""
        return self.stop_asked or bool(self.stop_flag[0])

    @property
    def told_at(self) -> float:
        """When the worker set its flag, on the monotonic clock; now, if it does not say."""
        if self.stop_flag[0] and len(self.stop_flag) == FLAG_SIZE:
            moment: float = _MOMENT.unpack_from(self.stop_flag, FLAG_SIZE - _MOMENT.size)[0]
            return moment
        return time.monotonic()

    @property
    def sits_out_outages(self) -> bool:
        """Whether an outcome waits for its database for as long as that is away."""
        return False

    def wait(self, seconds: float) -> bool:
        """Wait, unless asked to stop meanwhile. True: waited to the end."""
        end = time.monotonic() + seconds
        while not self.is_told_to_stop and self.ask() is None:
            rest = end - time.monotonic()
            if rest <= 0:
                return True
            # Short, so that a shutdown is noticed: a signal does not end a sleep.
            time.sleep(min(rest, 0.5))
        return False

    def is_dead(self, execution: Execution) -> bool:
        """Whether there is proof that `execution` will never write again."""
        if execution.rq_execution_id or execution.pid is None:
            return False
        return is_here(execution) and not process_exists(execution.pid)

    def _note_stop(self) -> None:
        self.stop_asked = True
        if self._on_stop is not None:
            self._on_stop()


class RQWorkplace(Workplace):
    """An RQ worker of any class, known only by what RQ shows of it."""

    sleeps = True

    def __init__(self, job: Job, *, scheduler_runs: Callable[[str], bool]) -> None:
        super().__init__()
        self._job = job
        self._scheduler_runs = scheduler_runs
        self.worker = job.worker_name or ""
        self.rq_job_id = job.id
        # Forking and spawning workers say so in the environment of their horse.
        self.in_horse = os.environ.get("RQ_JOB_ID") == job.id
        self._signals = Signals(self._note_stop, keep=self.in_horse)
        self._parent = os.getppid()
        self.stop_flag = _shared.stop_flag
        self.recovers = self.stop_flag is not NO_FLAG
        self.comes_again = bool(job.number_of_retries)
        if _shared.rq_job_id == job.id:
            self.rq_execution_id, self.lease = _shared.rq_execution_id, LEASE

    @functools.cached_property
    def rq_execution_id(self) -> str:  # type: ignore[override]
        """RQ's id of this execution: the one of this job among the worker's."""
        key = WORKER_EXECUTIONS_KEY_TEMPLATE.format(self.worker)
        prefix = f"{self.rq_job_id}:"
        members = [as_text(member) for member in self._job.connection.smembers(key)]
        found = [member.removeprefix(prefix) for member in members if member.startswith(prefix)]
        return found[0] if len(found) == 1 else ""

    @functools.cached_property
    def lease(self) -> float:  # type: ignore[override]
        """Seconds, if the worker gives leases: it does before the horse starts."""
        given = self.rq_execution_id and self._job.connection.exists(lease_key(self.rq_execution_id))
        return LEASE if given else 0.0

    def deadline(self) -> float | None:
        remaining = signal.getitimer(signal.ITIMER_REAL)[0]
        if remaining:
            return remaining
        # A death penalty that is a thread (TimerDeathPenalty) shows in the job only. -1 means none.
        timeout = self._job.timeout
        return float(timeout) if timeout and timeout > 0 else None

    @property
    def sits_out_outages(self) -> bool:
        return not self.is_told_to_stop

    def ask(self) -> str | None:
        if self.in_horse and os.getppid() != self._parent:
            return "orphaned"
        try:
            with self._own_client.pipeline(transaction=False) as pipeline:
                key = f"{BaseWorker.redis_worker_namespace_prefix}{self.worker}"
                pipeline.hmget(key, "shutdown_requested_date", "pid")
                pipeline.exists(WORKERS_SUSPENDED)
                (shutdown, pid), suspended = pipeline.execute()
        except (RedisError, OSError):
            return None
        if self.in_horse and pid and int(pid) != os.getppid():
            # It died before this horse could note whose child it is.
            return "orphaned"
        return "stopping" if shutdown or suspended else None

    def waits_in_place(self, seconds: float, queue_name: str) -> bool:
        return seconds <= WAIT_IN_PLACE and not self._scheduler_runs(queue_name)

    def is_dead(self, execution: Execution) -> bool:
        if not execution.rq_execution_id:
            return super().is_dead(execution)
        record = RQExecution(execution.rq_execution_id, execution.rq_job_id, self._job.connection)
        # RQ deletes the record in the transaction in which a worker notes that its horse has died.
        return not self._job.connection.exists(record.key)

    def forget_execution(self) -> None:
        """Remove this execution from RQ's books: a duplicate, whose end must change nothing there."""
        if not self.rq_execution_id:
            return
        record = RQExecution(self.rq_execution_id, self.rq_job_id, self._job.connection, worker_name=self.worker)
        with self._job.connection.pipeline() as pipeline:
            record.delete(self._job, pipeline)
            pipeline.execute()

    @functools.cached_property
    def _own_client(self) -> Redis:
        # Retries of the job's own client could block a checkpoint for seconds.
        return impatient(self._job.connection, REDIS_TIMEOUT)
