"""What the list can be narrowed to. Every choice comes from code: asking the rows would read all of them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django_rq.settings import get_queues_map

from ..loading import all_registered
from .listeners import unheard_queues

if TYPE_CHECKING:
    from django.http import HttpRequest


class JobFilter(admin.SimpleListFilter):
    """By job class, of those that this process has loaded."""

    title = gettext_lazy("job class")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Paths, each with the shortest name that is its alone."""
        paths = {path for path, job_class in all_registered().items() if hasattr(job_class, "perform")}
        if (chosen := self.value()) is not None:
            paths.add(chosen)
        names = [path.rpartition(".")[2] for path in paths]
        labels = [(path, name if names.count(name := path.rpartition(".")[2]) == 1 else path) for path in paths]
        return sorted(labels, key=lambda pair: pair[1].casefold())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Rows of exactly this class."""
        return queryset.filter(job_path=self.value()) if self.value() else None


class QueueFilter(admin.SimpleListFilter):
    """By queue, of those in `RQ_QUEUES`."""

    title = gettext_lazy("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Names."""
        names = {*get_queues_map(), *filter(None, [self.value()])}
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Rows of this queue."""
        return queryset.filter(queue_name=self.value()) if self.value() else None


class AgeFilter(admin.SimpleListFilter):
    """By when it was enqueued first."""

    title = gettext_lazy("age")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Hours."""
        return [
            ("1", gettext_lazy("Last hour")),
            ("24", gettext_lazy("Last 24 hours")),
            ("168", gettext_lazy("Last 7 days")),
            ("720", gettext_lazy("Last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Rows that are not older."""
        hours = dict(self.lookup_choices)
        if self.value() not in hours:
            return None
        return queryset.filter(created_at__gte=timezone.now() - dt.timedelta(hours=int(self.value() or 0)))


class AttentionFilter(admin.SimpleListFilter):
    """What a person should look at."""

    title = gettext_lazy("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """All that needs it, or what is stalled."""
        return [("yes", gettext_lazy("Needs attention")), ("stalled", gettext_lazy("Stalled"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Failed, stalled, deaf to a request, or waiting where no worker listens."""
        if self.value() == "stalled":
            return queryset.stalled()
        if self.value() == "yes":
            found = queryset.needing_attention(unheard_queues=unheard_queues(request) or ())
            # Found by status first: PostgreSQL would walk from the newest row backwards, and where one in a thousand
            # has failed, past fifty thousand.
            return queryset.filter(pk__in=found.order_by().values("pk"))
        return None
