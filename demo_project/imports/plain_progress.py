"""How the plain RQ job beside an import is getting on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError
from rq.exceptions import NoSuchJobError
from rq.job import Job

from continuations.words import number

from ..queues import quick_redis
from ..stories.workers import workers
from .tally import Tally

if TYPE_CHECKING:
    from .models import AirportImport

# What RQ says of a job, in our words.
STATES = {
    "queued": gettext_lazy("waits for a worker"),
    "started": gettext_lazy("runs"),
    "finished": gettext_lazy("has ended"),
    "failed": gettext_lazy("has failed"),
    "lost": gettext_lazy("is lost: its worker is gone, and RQ has not noticed yet"),
    "unknown": gettext_lazy("is unknown to RQ"),
}


class PlainProgress:
    """The import `plain`, read now."""

    def __init__(self, plain: AirportImport) -> None:
        self.plain = plain
        self.state = self._state()

    @property
    def state_text(self) -> str:
        return str(STATES.get(self.state, self.state))

    @property
    def is_over(self) -> bool:
        return self.state in {"finished", "failed", "unknown"}

    @cached_property
    def stored(self) -> int:
        """Rows that it has stored, and stored again."""
        return self.plain.airports.count() + self.plain.bad_rows.count()

    @property
    def stored_text(self) -> str:
        return number(self.stored)

    @cached_property
    def repeated(self) -> int:
        """How often it did with a row what it had done with it before, counted in the database."""
        return Tally.so_far(self.plain, in_file=0, loaded=0, derived=0).repeated

    @property
    def repeated_text(self) -> str:
        return number(self.repeated)

    @property
    def facts(self) -> tuple[object, ...]:
        """What is shown of it."""
        return (self.plain.starts, self.plain.finished_at, self.state, self.stored, self.repeated)

    def _state(self) -> str:
        if self.plain.finished_at:
            return "finished"
        try:
            with quick_redis() as connection:
                job = Job.fetch(self.plain.rq_job_id, connection=connection)
                status = job.get_status(refresh=False)
                state = status.value if status else "unknown"
        except NoSuchJobError:
            return "unknown"
        except (RedisError, OSError):
            return "?"
        found = workers()
        alive = {worker.entry.rq_name for worker in found if worker.process}
        return "lost" if state == "started" and found and job.worker_name not in alive else state
