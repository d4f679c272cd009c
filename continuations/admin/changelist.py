"""The list: what its columns show, how it is searched, and that it stays quick at a million rows."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Q
from django.forms import Script
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from ..conf import database
from ..loading import all_registered
from .banners import banners
from .filters import AgeFilter, AttentionFilter, JobFilter, QueueFilter
from .listeners import unheard_queues
from .paginator import CappedPaginator
from .rows import CELLS, Row, shown

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

    from ..models import Continuation

    Base = admin.ModelAdmin[Continuation]
else:
    Base = object

# The id of an RQ job of a continuation: `c-<uuid>`, or `c-<uuid>-<number of the delivery>`.
RQ_ID = re.compile(r"^c-([0-9a-f-]{36})(?:-\d+)?$")


class ListMixin(Base):
    """The change list of continuations."""

    class Media:
        css = {"all": ["continuations/admin.css"]}
        js = [Script("continuations/live.js", defer=True)]

    list_display = ("job", *CELLS)
    list_filter = (AttentionFilter, "status", JobFilter, QueueFilter, AgeFilter)
    search_fields = ("pk",)
    ordering = ("-created_at",)
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_select_related = ()
    paginator = CappedPaginator

    def get_queryset(self, request: HttpRequest) -> Any:
        """Rows of the database that holds the continuations."""
        return super().get_queryset(request).using(database())

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The theme's change list, which loads only what the cells show."""
        base = super().get_changelist(request, **kwargs)
        return type("ContinuationChangeList", (_LoadsCells, base), {})

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Lookups that an index serves, each of them."""
        term = search_term.strip()
        return (queryset.filter(_matching(term)) if term else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with its banners."""
        if request.method == "GET" and self.has_view_permission(request):
            found = banners(self.get_queryset(request), unheard_queues(request))
            extra_context = {"continuations_banners": found, **(extra_context or {})}
        return super().changelist_view(request, extra_context)

    @admin.display(description=gettext_lazy("job"))
    def job(self, obj: Any) -> SafeString:
        """The class, the end of the id, the key."""
        return Row(obj).job()

    @admin.display(description=gettext_lazy("state"))
    def state(self, obj: Any) -> SafeString:
        """The state, and what there is to say about it."""
        return _cell(obj, "state")

    @admin.display(description=gettext_lazy("step"))
    def step(self, obj: Any) -> SafeString:
        """The number and name of the step, and how far it has come."""
        return _cell(obj, "step")

    @admin.display(description=gettext_lazy("started"))
    def started(self, obj: Any) -> SafeString:
        """When it first ran."""
        return _cell(obj, "started")

    @admin.display(description=gettext_lazy("executions"))
    def runs(self, obj: Any) -> SafeString:
        """How often it ran."""
        return _cell(obj, "runs")

    @admin.display(description=gettext_lazy("last error"))
    def error(self, obj: Any) -> SafeString:
        """The last error."""
        return _cell(obj, "error")


def _cell(obj: Any, name: str) -> SafeString:
    """A cell that the page's script finds by its name."""
    return format_html('<span data-continuations-cell="{}">{}</span>', name, CELLS[name](Row(obj)))


class _LoadsCells:
    """Part of a change list class."""

    queryset: Any

    def get_results(self, request: HttpRequest) -> None:
        """Count and page the narrow rows; actions get theirs from `get_queryset`, without what cells need."""
        self.queryset = shown(self.queryset)
        super().get_results(request)  # type: ignore[misc]


def _matching(term: str) -> Q:
    rq_id = RQ_ID.match(term.lower())
    if (key := _uuid(rq_id[1] if rq_id else term)) is not None:
        return Q(pk=key)
    beginning = term.casefold()
    paths = [
        path
        for path in all_registered()
        if path.casefold().startswith(beginning) or path.rpartition(".")[2].casefold().startswith(beginning)
    ]
    # Not both at once: MySQL would read and sort all rows of those classes.
    return Q(job_path__in=paths) if paths else Q(key=term) | Q(job_path=term)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
