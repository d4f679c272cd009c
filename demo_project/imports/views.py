"""The demo's pages: start an import, watch it, and put the row right at which it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from continuations.models import Continuation
from continuations.words import number

from ..stories.live import fragment
from .atlas import points
from .forms import MendForm, UploadForm, WorldForm
from .jobs import start
from .mending import Mending
from .models import AirportImport
from .plain import start_beside
from .progress import ImportProgress
from .story import STORY

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Imports listed on the first page.
RECENT = 20


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Pick the airports of the world or upload a file; below, the imports so far."""
    world, upload = WorldForm(auto_id="world_%s"), UploadForm(auto_id="upload_%s")
    if "world" in request.POST:
        world = WorldForm(request.POST, auto_id="world_%s")
    elif request.method == "POST":
        upload = UploadForm(request.POST, request.FILES, auto_id="upload_%s")
    for form in (world, upload):
        if form.is_valid():
            return redirect("imports:detail", _start(form).pk)
    imports = AirportImport.objects.filter(beside=None)[:RECENT]
    followed = Continuation.objects.in_bulk([each.continuation_id for each in imports])
    recent = [(each, followed.get(each.continuation_id)) for each in imports]
    context = {"story": STORY, "world": world, "upload": upload, "recent": recent}
    return render(request, "imports/home.html", context)


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One import: map, steps, executions, bad rows."""
    return _page(request, ImportProgress(_import(pk)))


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of the page that changes; 304 while it has not."""
    progress = ImportProgress(_import(pk))
    return fragment(request, "imports/_progress.html", {"progress": progress}, etag=progress.etag)


@require_safe
@never_cache
def dots(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Where the airports are that were stored after the one with the key `after`, the first some thousand of them."""
    after = request.GET.get("after", "0")
    return JsonResponse(points(_import(pk), after=int(after) if after.isdecimal() else 0))


@require_POST
def mend(request: HttpRequest, pk: int) -> HttpResponse:
    """Put the row right at which the import stopped."""
    airport_import = _import(pk)
    mending = Mending(airport_import)
    if mending.row is None:
        messages.warning(request, _("There is no row to fix."))
        return redirect("imports:detail", pk)
    form = MendForm(request.POST, mending=mending)
    if not form.is_valid():
        progress = ImportProgress(airport_import)
        progress.mend_form = form
        return _page(request, progress)
    form.save()
    line = number(mending.row.line)
    messages.success(request, _("Line %(line)s is fixed. Retry goes on there, not at the start.") % {"line": line})
    return redirect("imports:detail", pk)


@transaction.atomic
def _start(form: WorldForm | UploadForm) -> AirportImport:
    airport_import = start(form.airport_import())
    if form.cleaned_data["beside"]:
        start_beside(airport_import)
    return airport_import


def _import(pk: int) -> AirportImport:
    return get_object_or_404(AirportImport, pk=pk, beside=None)


def _page(request: HttpRequest, progress: ImportProgress) -> HttpResponse:
    page_url = reverse("imports:detail", args=[progress.airport_import.pk])
    return render(request, "imports/detail.html", {"story": STORY, "progress": progress, "page_url": page_url})
