"""The workers as the pages show them, and the signals that a visitor may send to them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import psutil
from django.conf import settings
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rq.exceptions import NoSuchJobError
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.job import Job
from rq.utils import as_text
from rq.worker import BaseWorker

from continuations.delivery import RUNNER
from continuations.identifiers import parse_token
from continuations.models import Continuation

from ..queues import quick_redis
from ..roster import Roster
from .live import etag

if TYPE_CHECKING:
    from redis import Redis

    from ..roster import Entry


class Kill(StrEnum):
    """What happens to workers out there."""

    # A deploy tells the worker to end.
    DEPLOY = "deploy"
    # The machine is lost: the worker and all its processes end at once.
    CRASH = "crash"
    # The kernel kills the process of the job, for example when memory runs out; the worker stays.
    JOB = "job"


@dataclass(frozen=True)
class Worker:
    """One of the supervisor's workers, now."""

    entry: Entry
    process: psutil.Process | None
    # The process that runs a job for it.
    horse: psutil.Process | None
    note: Note

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def title(self) -> str:
        return _("Worker %(number)s") % {"number": self.name.rpartition("-")[2]}

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def state(self) -> str:
        """A code: restarting, stopping, busy or idle."""
        if self.process is None:
            return "restarting"
        if self.note.stopping:
            return "stopping"
        return "busy" if self.horse else "idle"

    @property
    def state_text(self) -> str:
        return {
            "restarting": _("restarting"),
            "stopping": _("alive, was told to stop"),
            "busy": _("alive, runs %(job)s") % {"job": self.note.job_name or _("a job")},
            "idle": _("alive, waits for a job"),
        }[self.state]

    @property
    def facts(self) -> tuple[object, ...]:
        """What is shown of it."""
        return (self.name, self.pid, self.horse.pid if self.horse else None, self.state_text)

    def kill(self, kill: Kill) -> bool:
        """Do it to this worker. Whether there was anything to send a signal to."""
        process = self.horse if kill is Kill.JOB else self.process
        if process is None:
            return False
        try:
            # psutil looks once more whether it is still the same process.
            if kill is Kill.DEPLOY:
                process.send_signal(signal.SIGTERM)
            elif kill is Kill.JOB:
                process.kill()
            else:
                _kill_all(process)
        except psutil.NoSuchProcess:
            return False
        return True


def workers() -> list[Worker]:
    """Those that the demo's supervisor runs; none without DEBUG, or if this server was started by somebody else."""
    if not settings.DEBUG:
        return []
    found = Roster(settings.DEMO_DIR).read()
    notes = _notes([entry.rq_name for entry, process in found if process])
    return [Worker(entry, process, _horse(process), notes.get(entry.rq_name, Note())) for entry, process in found]


def etag_of(found: list[Worker]) -> str:
    """Changes whenever the control bar of these workers would."""
    return etag([worker.facts for worker in found])


def _horse(worker: psutil.Process | None) -> psutil.Process | None:
    """RQ gives the process of a job a process group of its own, which its scheduler has not."""
    if worker is None:
        return None
    try:
        return next((each for each in worker.children() if os.getpgid(each.pid) == each.pid), None)
    except (psutil.Error, ProcessLookupError):
        return None


def _kill_all(worker: psutil.Process) -> None:
    # Stopped first, so that it starts nothing while its processes are counted.
    worker.suspend()
    for process in [*worker.children(recursive=True), worker]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


@dataclass(frozen=True)
class Note:
    """What RQ has noted of a worker."""

    # It was told to end, and finishes what it does.
    stopping: bool = False
    # The job class or function that it runs.
    job_name: str = ""


def _notes(rq_names: list[str]) -> dict[str, Note]:
    """Notes by the worker's name in RQ. None at all while Redis does not answer."""
    try:
        with quick_redis() as connection:
            return {name: _note(name, connection) for name in rq_names}
    except (RedisError, OSError):
        return {}


def _note(rq_name: str, connection: Redis) -> Note:
    key = f"{BaseWorker.redis_worker_namespace_prefix}{rq_name}"
    asked = connection.hget(key, "shutdown_requested_date")
    # Job and execution, with a colon between them.
    running = connection.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(rq_name))
    names = [_job_name(as_text(member).rpartition(":")[0], connection) for member in running]
    return Note(bool(asked), ", ".join(filter(None, names)))


def _job_name(job_id: str, connection: Redis) -> str:
    try:
        job = Job.fetch(job_id, connection=connection)
    except NoSuchJobError:
        return ""
    if job.func_name != RUNNER:
        return str(job.func_name).rpartition(".")[2]
    pk, _delivery = parse_token(job.args[0])
    row = Continuation.objects.filter(pk=pk).only("job_path").first()
    return row.job_name if row else ""
