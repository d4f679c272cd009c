"""RQ workers that know of continuations. They make recovery fast, never right: any RQ worker runs the same jobs."""

from __future__ import annotations

import contextlib
import importlib
import math
import mmap
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import Error, close_old_connections
from redis.exceptions import RedisError
from rq import SimpleWorker, SpawnWorker, Worker
from rq.exceptions import DeserializationError, StopRequested
from rq.worker import BaseWorker, WorkerStatus

from .delivery import RUNNER
from .liveness import LEASE, LEASE_FIELD, RENEWAL, lease_key
from .workplace import FLAG_SIZE, NO_FLAG, set_stop_flag, share

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline
    from rq import Queue
    from rq.executions import Execution
    from rq.job import Job

# Seconds between two looks for what was lost, while the worker is idle or runs one short job after the other.
IDLE_BEAT = 2
# Seconds for which what this worker has said of itself need not be said again. RQ says it three times for each job.
MOMENT = 1.0


class ContinuableWorkerMixin(BaseWorker):
    """For any RQ worker class: `class MyWorker(ContinuableWorkerMixin, Worker)`.

    A shutdown reaches the running job in milliseconds, through shared memory. The scheduler always runs. A running
    job has a lease, so that another worker takes over within 15 s of the loss of this one. What was lost is looked
    for when this worker starts, while it is idle and while its horse runs. Interruptions are not failures.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # RQ's parent looks after its horse at this interval; it renews the lease then.
        kwargs.setdefault("job_monitoring_interval", RENEWAL)
        super().__init__(*args, **kwargs)
        self._stop_flag: mmap.mmap | bytes = NO_FLAG
        self._interrupting = False
        self._looked_at = -math.inf
        self._alive_at = self._stated_at = -math.inf
        # RQ's id of the execution that got its lease with RQ's record of it.
        self._leased = ""

    def work(self, burst: bool = False, *args: Any, **kwargs: Any) -> bool:
        # Here and not in each horse, which would take longer for it than for a small job.
        importlib.import_module(f"{__package__}.preparing").prepare(self.connection)
        # Made here: dashboards make workers too, to look at them. A forked horse shares the page.
        self._stop_flag = mmap.mmap(-1, FLAG_SIZE)
        share(self._stop_flag)
        try:
            return super().work(burst, *args, **{**kwargs, "with_scheduler": True})
        finally:
            share(NO_FLAG)

    def handle_warm_shutdown_request(self) -> None:
        if isinstance(self._stop_flag, mmap.mmap):
            set_stop_flag(self._stop_flag)
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """RQ's, in slices with a look for lost continuations between them."""
        idle_since = time.monotonic()
        while True:
            if time.monotonic() - self._looked_at >= IDLE_BEAT:
                self.look_for_lost_continuations()
            if self._stop_flag[0]:
                # RQ's handler raises this in an idle worker. It may have met code that catches all, as in that look.
                raise StopRequested
            if timeout is None:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            slice_ = IDLE_BEAT
            if max_idle_time is not None:
                left = max_idle_time - (time.monotonic() - idle_since)
                slice_ = max(1, min(slice_, math.ceil(left)))
            result = super().dequeue_job_and_maintain_ttl(slice_, slice_)
            idle = time.monotonic() - idle_since
            if result is not None or (max_idle_time is not None and idle >= max_idle_time):
                return result

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's, in one round trip instead of three, and not again within a moment."""
        now = time.monotonic()
        if timeout is None and pipeline is None and now - self._alive_at < MOMENT:
            return
        self._alive_at = now
        if pipeline is not None:
            super().heartbeat(timeout, pipeline=pipeline)
            return
        with self.connection.pipeline(transaction=False) as all_at_once:
            super().heartbeat(timeout, pipeline=all_at_once)
            all_at_once.execute()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """RQ's, not again within a moment, and with the lease as it begins with a job."""
        now = time.monotonic()
        if pipeline is None and state == self.get_state() and now - self._stated_at < MOMENT:
            return
        super().set_state(state, pipeline=pipeline)
        self._stated_at = now
        if pipeline is not None and state == WorkerStatus.BUSY:
            for execution in self.executions.values():
                self._give_lease(execution, pipeline)

    def prepare_execution(self, job: Job) -> Execution:
        execution = super().prepare_execution(job)
        if self._leased != execution.id:
            with self.connection.pipeline(transaction=False) as pipeline:
                self._give_lease(execution, pipeline)
                pipeline.execute()
        share(self._stop_flag, job.id, execution.id)
        return execution

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisError, OSError) as error:
            # RQ's worker ends here, and leaves its horse to itself.
            self.log.warning("Worker %s: Redis does not answer: %s", self.name, error)
        self._renew_lease(execution)
        self.look_for_lost_continuations()

    def handle_job_failure(self, job: Job, *args: Any, **kwargs: Any) -> None:
        # A job of somebody else's may be one that cannot be read, which is why it failed.
        with contextlib.suppress(DeserializationError):
            if job.func_name == RUNNER:
                # One that fails has no retry left. Its process died: it goes on before those that have not begun.
                job.enqueue_at_front_on_retry = True
        super().handle_job_failure(job, *args, **kwargs)
        # It was stopped or killed, perhaps: what that means for others must be known before the next job is taken.
        self._looked_at = -math.inf

    def increment_failed_job_count(self, pipeline: Pipeline | None = None) -> None:
        if not self._interrupting:
            super().increment_failed_job_count(pipeline=pipeline)

    def handle_job_retry(self, job: Job, *args: Any, **kwargs: Any) -> None:
        # RQ counts a returned Retry as a failure; one of ours is an interruption.
        self._interrupting = job.func_name == RUNNER
        try:
            super().handle_job_retry(job, *args, **kwargs)
        finally:
            self._interrupting = False

    def look_for_lost_continuations(self) -> None:
        """One run of recovery, then of retention."""
        # Imported late: a spawned horse imports its worker's class before Django is set up.
        from .recovery import BRIEFLY, recover
        from .retention import prune_in_passing

        self._looked_at = time.monotonic()
        try:
            recover(seconds=BRIEFLY)
            prune_in_passing(self.connection)
        except (Error, RedisError, OSError) as error:
            self.log.warning("Worker %s: recovery: %s", self.name, error)
        finally:
            self.leave_connections()

    def leave_connections(self) -> None:
        """Close what this process has opened to databases: a horse that it forks would inherit it."""
        from .sessions import close_all

        close_all()

    def _give_lease(self, execution: Execution, pipeline: Pipeline) -> None:
        self._set_lease(execution, pipeline)
        # Says, for as long as RQ's record lives, that a missing lease means death, also before the job is claimed.
        pipeline.hset(execution.key, LEASE_FIELD, int(LEASE))
        self._leased = execution.id

    def _set_lease(self, execution: Execution, connection: Redis) -> None:
        connection.set(lease_key(execution.id), self.name, ex=int(LEASE))

    def _renew_lease(self, execution: Execution) -> None:
        try:
            self._set_lease(execution, self.connection)
        except (RedisError, OSError) as error:
            self.log.warning("Worker %s: lease not renewed: %s", self.name, error)


class ContinuableWorker(ContinuableWorkerMixin, Worker):
    """The worker that `manage.py rqworker` uses when `continuations` stands before `django_rq`."""


class ContinuableSpawnWorker(ContinuableWorkerMixin, SpawnWorker):
    """The same, spawning its horses: for platforms where forking is unsafe."""


class ContinuableSimpleWorker(ContinuableWorkerMixin, SimpleWorker):
    """The same in one process. A thread renews the lease while jobs run; it ends soon after the last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lease_keeper: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_busy = False

    def leave_connections(self) -> None:
        """Nobody inherits them: the next job goes on with them, unless they are too old."""
        close_old_connections()

    def execute_job(self, job: Job, queue: Queue) -> None:
        with self._lock:
            self._is_busy = True
            # Not one for each job: starting it is a tenth of what a small job takes.
            if self._lease_keeper is None:
                self._lease_keeper = threading.Thread(target=self._keep_leases, daemon=True)
                self._lease_keeper.start()
        try:
            super().execute_job(job, queue)
        finally:
            self._is_busy = False

    def _keep_leases(self) -> None:
        while True:
            time.sleep(RENEWAL)
            with self._lock:
                if not self._is_busy:
                    self._lease_keeper = None
                    return
            for execution in list(self.executions.values()):
                self._renew_lease(execution)
