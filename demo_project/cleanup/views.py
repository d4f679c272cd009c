"""The page of the story: begin a sweep, and watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from continuations.models import Continuation

from ..stories.live import fragment
from .jobs import start
from .models import Sweep
from .progress import SweepProgress
from .story import STORY

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Visits that are to be deleted, a quarter of a minute of work, and visits that are to stay.
OLD, RECENT_VISITS = 1_200, 400
# Listed on the first page of the story.
RECENT = 10


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Begin a sweep; below, those so far."""
    if request.method == "POST":
        return redirect("cleanup:detail", start(old=OLD, recent=RECENT_VISITS).pk)
    sweeps = Sweep.objects.all()[:RECENT]
    followed = Continuation.objects.in_bulk([each.continuation_id for each in sweeps])
    recent = [(each, followed.get(each.continuation_id)) for each in sweeps]
    return render(request, "cleanup/home.html", {"story": STORY, "recent": recent})


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One sweep: its steps, its executions, its counts."""
    progress = SweepProgress(get_object_or_404(Sweep, pk=pk))
    return render(request, "cleanup/detail.html", {"story": STORY, "progress": progress})


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of the page that changes; 304 while it has not."""
    progress = SweepProgress(get_object_or_404(Sweep, pk=pk))
    return fragment(request, "cleanup/_progress.html", {"progress": progress}, etag=progress.etag)
