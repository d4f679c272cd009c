"""Prometheus: gauges of continuations on the metrics page of django-rq. Needs the extra `[prometheus]`.

One line in the `ready()` of an `AppConfig` of yours adds them to that page::

    continuations.contrib.prometheus.register()

What is counted is what has not ended, and what failed: by the index on status and creation, at most `LIMIT` rows of
each status, oldest first, so that a page costs some ten short queries whatever the table holds. A number that has
reached the limit means "at least". How many have succeeded is not there: that would be a look at every row.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.db import Error
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..conf import database
from ..models import Continuation, Execution, StepRecord
from ..moments import as_ours
from ..transitions import CLAIMABLE, FINISHED, OWNED, Status

if TYPE_CHECKING:
    from ..querysets import ContinuationQuerySet

logger = logging.getLogger("continuations")

# Rows of a status that are counted at most.
LIMIT = 5_000
# Job classes that have series of their own; more are put together, the rarest first.
MAX_JOBS = 100
OTHERS = "(others)"
COUNTED = (*(status for status in Status if status not in FINISHED), Status.FAILED)
# Those among which there are some that need attention; `needing_attention` decides.
NOTABLE = (Status.RUNNING, Status.PAUSING, Status.PAUSED, Status.CANCELLING, Status.FAILED)
LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)

Labels = tuple[str, ...]


def register(registry: CollectorRegistry | None = None) -> None:
    """Add the collector to `registry`, or to the one that django-rq's metrics page shows.

    For a page of another package pass its registry, such as `prometheus_client.REGISTRY`.
    """
    (_page_registry() if registry is None else registry).register(ContinuationCollector())


def _page_registry() -> CollectorRegistry:
    page: Any = import_module("django_rq.stats_views")
    if page.registry is None:
        # As the page itself would make it at its first request.
        page.registry = CollectorRegistry(auto_describe=True)
        page.registry.register(page.RQCollector())
    registry: CollectorRegistry = page.registry
    return registry


class ContinuationCollector(Collector):
    """Gauges that are read from the database when a page asks for them."""

    def describe(self) -> Iterable[Metric]:
        """The names, without a look at the database."""
        return _families().values()

    def collect(self) -> Iterator[Metric]:
        """All gauges; only `continuations_up`, which is 0 then, if the database does not answer."""
        families = _families()
        try:
            _Reading(families).take()
        except Error as error:
            logger.warning("metrics: the database does not answer (%s)", error)
            families = {"up": _families()["up"]}
        families["up"].add_metric([], len(families) > 1)
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    gauges = {
        "up": ("continuations_up", "Whether the database answered", []),
        "count": ("continuations", "Continuations that have not ended, and failed ones", ["status", "queue", "job"]),
        "waiting": (
            "continuations_oldest_waiting_seconds",
            "Age of the delivery that has waited longest for a worker, of those that are due",
            ["queue"],
        ),
        "attention": ("continuations_needing_attention", "Continuations that a person should look at", []),
        "silence": (
            "continuations_oldest_beat_seconds",
            "Longest time since a running step gave a sign of life",
            ["queue", "job"],
        ),
        "limit": ("continuations_count_limit", "Number at which counts end", []),
    }
    return {key: GaugeMetricFamily(name, text, labels=labels) for key, (name, text, labels) in gauges.items()}


class _Reading:
    """One look at the database."""

    def __init__(self, families: dict[str, GaugeMetricFamily]) -> None:
        self._families = families
        self._rows: ContinuationQuerySet = Continuation.objects.using(database())
        self._now = timezone.now()

    def take(self) -> None:
        """Fill the families."""
        counts: Counter[Labels] = Counter()
        oldest: dict[str, dt.datetime] = {}
        for status in COUNTED:
            for queue, job, since in self._facts(status):
                counts[status.value, queue, job] += 1
                if since is not None and since <= self._now:
                    oldest[queue] = min(oldest.get(queue, since), since)
        for labels, count in _bounded(counts, sum).items():
            self._families["count"].add_metric(labels, count)
        for queue, since in oldest.items():
            self._families["waiting"].add_metric([queue], self._seconds(since))
        for labels, seconds in _bounded(self._silences(), max).items():
            self._families["silence"].add_metric(labels, seconds)
        self._families["attention"].add_metric([], self._attention())
        self._families["limit"].add_metric([], LIMIT)

    def _facts(self, status: Status) -> Iterator[tuple[str, str, dt.datetime | None]]:
        """Queue and job of each, and since when a worker could take it: the index gives them in this order."""
        rows = self._rows.filter(status=status).order_by("created_at")
        fields = ("queue_name", "job_path", "enqueued_at", "run_after")
        for queue, job, enqueued_at, run_after in rows.values_list(*fields)[:LIMIT]:
            # Waiting without a time is waiting for somebody.
            takes_part = status in CLAIMABLE and (run_after is not None or status != Status.WAITING)
            yield queue, job, max(enqueued_at, run_after or enqueued_at) if takes_part else None

    def _silences(self) -> dict[Labels, float]:
        """Seconds since the last sign of life of what runs: there are as many as workers."""
        steps = StepRecord.objects.using(self._rows.db).filter(
            continuation=OuterRef("pk"), status=StepRecord.Status.RUNNING
        )
        executions = Execution.objects.using(self._rows.db).filter(pk=OuterRef("owner"))
        rows = self._rows.filter(status__in=OWNED).values_list(
            "queue_name",
            "job_path",
            Subquery(executions.values("started_at")[:1]),
            Subquery(steps.values("heartbeat_at")[:1]),
        )
        silences: dict[Labels, float] = {}
        for queue, job, *signs in rows[:LIMIT]:
            known = [sign for sign in signs if sign is not None]
            if known:
                silences[queue, job] = max(silences.get((queue, job), 0.0), self._seconds(max(known)))
        return silences

    def _attention(self) -> int:
        notable = self._rows.filter(status__in=NOTABLE).needing_attention()[:LIMIT].count()
        # A range, for which every database takes the index; few rows have a moment there.
        others = (
            self._rows.exclude(status__in=NOTABLE).filter(follow_up_failed_at__gt=as_ours(LONG_AGO))[:LIMIT].count()
        )
        return notable + others

    def _seconds(self, since: dt.datetime) -> float:
        return max(0.0, (self._now - since).total_seconds())


def _bounded(values: Mapping[Labels, float], combine: Callable[[list[float]], float]) -> dict[Labels, float]:
    """The same with at most `MAX_JOBS` jobs, which are the last of the labels."""
    weights: Counter[str] = Counter()
    for labels, value in values.items():
        weights[labels[-1]] += math.ceil(value)
    kept = {job for job, _ in weights.most_common(MAX_JOBS)}
    groups: dict[Labels, list[float]] = {}
    for (*others, job), value in values.items():
        groups.setdefault((*others, job if job in kept else OTHERS), []).append(value)
    return {labels: combine(group) for labels, group in groups.items()}
