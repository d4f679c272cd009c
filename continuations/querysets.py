"""Named questions about continuations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Q
from django.utils.module_loading import import_string

from .loading import paths_of
from .transitions import CLAIMABLE, FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from .models import Continuation  # noqa: F401 - names the queryset's model
    from .recovery import Recovered


class ContinuationQuerySet(models.QuerySet["Continuation"]):
    """`Continuation.objects`."""

    def for_job(self, job_class: type[Any]) -> ContinuationQuerySet:
        """Those of `job_class` and its subclasses, under the paths in their `aliases` too."""
        classes = (job_class, *_descendants(job_class))
        return self.filter(job_path__in=[path for each in classes for path in paths_of(each)])

    def active(self) -> ContinuationQuerySet:
        """Those that have not ended."""
        return self.exclude(status__in=FINISHED)

    def waiting_to_run(self) -> ContinuationQuerySet:
        """Those that a worker will claim, due or not, oldest first."""
        return self.filter(status__in=CLAIMABLE).order_by("created_at", "pk")

    def recover(self, *, limit: int = 200, dry_run: bool = False) -> list[Recovered]:
        """Put back what was lost, of all continuations: see `continuations.recovery.recover`."""
        # By name, as a delivery names its runner: the models know nothing of running.
        run: Callable[..., list[Recovered]] = import_string("continuations.recovery.recover")
        return run(limit=limit, dry_run=dry_run)

    def due(self, now: Any) -> ContinuationQuerySet:
        """Those without a time to wait for, or whose time has come at `now`."""
        return self.filter(Q(run_after__isnull=True) | Q(run_after__lte=now))


def _descendants(job_class: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for subclass in job_class.__subclasses__():
        found += [subclass, *_descendants(subclass)]
    return found
