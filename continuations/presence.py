"""Who is there: workers that listen on a queue, and whether an owner is alive. For people; nothing is decided by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_rq.settings import get_queues_map
from redis.exceptions import RedisError
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from .clients import asking
from .delivery import queue_named
from .liveness import proof_of_death, remembers_since

if TYPE_CHECKING:
    from .models import Continuation, Execution

# Seconds a person waits for a Redis that does not answer.
PATIENCE = 1.0


def listeners(queue_name: str) -> int | None:
    """How many workers are registered on a queue. None: nobody knows, since Redis does not answer or RQ needs none."""
    if queue_name not in get_queues_map():
        return None
    queue = queue_named(queue_name)
    if not queue.is_async:
        return None
    try:
        with asking(queue.connection, PATIENCE) as connection:
            return int(connection.scard(WORKERS_BY_QUEUE_KEY % queue_name))
    except (RedisError, OSError):
        return None


def death(continuation: Continuation, owner: Execution) -> str | None:
    """What proves that the owner of a continuation is dead, so that recovery will take over; None if nothing does."""
    if continuation.queue_name not in get_queues_map():
        return None
    try:
        with asking(queue_named(continuation.queue_name).connection, PATIENCE) as connection:
            return proof_of_death(owner, connection, remembers_since(connection))
    except (RedisError, OSError):
        return None
