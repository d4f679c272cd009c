"""The demo's pages: start an import, and watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from continuations.models import Continuation

from ..stories.live import fragment
from .forms import UploadForm
from .jobs import start
from .models import AirportImport
from .progress import ImportProgress
from .story import STORY
from .world import world_airports

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Imports listed on the first page.
RECENT = 20


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Pick the airports of the world or upload a file; below, the imports so far."""
    form = UploadForm()
    if request.method == "POST":
        form = UploadForm(request.POST, request.FILES)
        if "world" in request.POST:
            return redirect("imports:detail", start(world_airports()).pk)
        if form.is_valid():
            return redirect("imports:detail", start(form.airport_import()).pk)
    imports = AirportImport.objects.all()[:RECENT]
    followed = Continuation.objects.in_bulk([each.continuation_id for each in imports])
    recent = [(each, followed.get(each.continuation_id)) for each in imports]
    return render(request, "imports/home.html", {"story": STORY, "form": form, "recent": recent})


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One import: steps, executions, bad rows."""
    progress = ImportProgress(get_object_or_404(AirportImport, pk=pk))
    return render(request, "imports/detail.html", {"story": STORY, "progress": progress})


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of the page that changes; 304 while it has not."""
    progress = ImportProgress(get_object_or_404(AirportImport, pk=pk))
    return fragment(request, "imports/_progress.html", {"progress": progress}, etag=progress.etag)
