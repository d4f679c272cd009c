"""Who listens on the queues. Redis is asked with little patience: a page must not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_rq.settings import get_queues_map
from redis.exceptions import RedisError
from rq.utils import as_text
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from ..clients import asking
from ..delivery import queue_named
from ..liveness import server_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest

# Seconds for connecting, and for each answer.
PATIENCE = 0.3

# Where a request keeps what was found out for it.
_ANSWER = "_continuations_unheard_queues"


def unheard_queues(request: HttpRequest) -> list[str] | None:
    """Queues of `RQ_QUEUES` on which no worker listens; None if Redis does not say. Asked once per request."""
    if not hasattr(request, _ANSWER):
        setattr(request, _ANSWER, without_listener(get_queues_map()))
    answer: list[str] | None = getattr(request, _ANSWER)
    return answer


def without_listener(queue_names: Iterable[str]) -> list[str] | None:
    """Those of `queue_names` on which no living worker listens; None if Redis does not say."""
    by_server: dict[Any, list[str]] = {}
    try:
        for name in queue_names:
            queue = queue_named(name)
            if queue.is_async:
                by_server.setdefault(server_of(queue.connection), []).append(name)
        return sorted(name for names in by_server.values() for name in _unheard(names))
    except (RedisError, OSError, KeyError):
        return None


def _unheard(names: list[str]) -> list[str]:
    connection = queue_named(names[0]).connection
    with asking(connection, PATIENCE) as client, client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.smembers(WORKERS_BY_QUEUE_KEY % name)
        workers: list[set[str]] = [{as_text(key) for key in keys} for keys in pipeline.execute()]
        # A worker that was killed stays in the set until another one starts; its own key does not.
        registered = sorted(set().union(*workers))
        for key in registered:
            pipeline.exists(key)
        living = {key for key, exists in zip(registered, pipeline.execute(), strict=True) if exists}
    return [name for name, keys in zip(names, workers, strict=True) if not keys & living]
