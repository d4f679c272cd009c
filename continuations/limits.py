"""RQ's concurrency limits (`rq.RateLimit`), whose slots are held by RQ job ids and must follow the deliveries.

`Queue.enqueue` knows limits, but takes no pipeline for such a job. What is here does the same inside one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rq.job import Job, JobStatus
from rq.rate_limit import RateLimitRegistry

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

    from .models import Continuation

# In the frozen form of a row's `rq_options`: [key, concurrency].
OPTION = "rate_limit"
# What RQ keeps of a job's limit in the job's hash.
_FIELDS = ("rate_limit_key", "rate_limit_concurrency")


class Limit:
    """One limit in one Redis: its slots, and the line of those that wait for one."""

    def __init__(self, key: str, concurrency: int, connection: Redis) -> None:
        self.key = key
        self.concurrency = concurrency
        self.connection = connection
        self.registry = RateLimitRegistry(key, connection)

    @classmethod
    def of(cls, continuation: Continuation, connection: Redis) -> Self | None:
        """The limit of the continuation's deliveries, if it has one."""
        frozen = continuation.rq_options_json.get(OPTION)
        if frozen is None:
            return None
        key, concurrency = frozen
        return cls(key, concurrency, connection)

    def join(self, job: Job, pipeline: Pipeline, *, since: float) -> None:
        """Put a job in line as one that has waited `since`, a timestamp; the oldest is let in first."""
        job.set_status(JobStatus.RATE_LIMITED, pipeline=pipeline)
        self.registry.register(self.concurrency, pipeline)
        job.save(pipeline=pipeline)
        self.registry.add_to_rate_limited(job.id, pipeline, timestamp=since)

    def leave(self, rq_job_id: str, pipeline: Pipeline) -> None:
        """Take a job out of the line, and its slot from it."""
        pipeline.zrem(self.registry.rate_limited_key, rq_job_id)
        pipeline.zrem(self.registry.allowed_key, rq_job_id)

    def let_in(self, pipeline: Pipeline) -> None:
        """Give free slots to those first in line."""
        self.registry.acquire_and_enqueue(self.concurrency, pipeline=pipeline)

    def release(self, rq_job_id: str) -> None:
        """`leave` and `let_in`, now."""
        self.connection.zrem(self.registry.rate_limited_key, rq_job_id)
        self.registry.release_and_enqueue(rq_job_id)

    def lift(self, job: Job) -> None:
        """Let a job run without a slot: it has nothing to do any more but to report."""
        self.release(job.id)
        job.rate_limit_key = job.rate_limit_concurrency = None
        self.connection.hdel(job.key, *_FIELDS)
