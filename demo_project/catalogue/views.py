"""The page of the story: begin a pull, and watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from continuations.models import Continuation

from ..stories.live import fragment
from .forms import PullForm
from .jobs import start
from .models import Pull
from .progress import PullProgress
from .story import STORY

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Pages of the catalogue: a third of a minute of work, with the waits after errors.
PAGES = 48
# Listed on the first page of the story.
RECENT = 10


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Begin a pull; below, those so far."""
    form = PullForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        pull = start(
            pages=PAGES,
            fails_every=form.cleaned_data["fails_every"],
            address_of=lambda pull: request.build_absolute_uri(reverse("catalogue:api", args=[pull.pk])),
        )
        return redirect("catalogue:detail", pull.pk)
    pulls = Pull.objects.all()[:RECENT]
    followed = Continuation.objects.in_bulk([each.continuation_id for each in pulls])
    recent = [(each, followed.get(each.continuation_id)) for each in pulls]
    return render(request, "catalogue/home.html", {"story": STORY, "form": form, "recent": recent})


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One pull: its steps, its executions, its counts."""
    progress = PullProgress(get_object_or_404(Pull, pk=pk))
    return render(request, "catalogue/detail.html", {"story": STORY, "progress": progress})


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of the page that changes; 304 while it has not."""
    progress = PullProgress(get_object_or_404(Pull, pk=pk))
    return fragment(request, "catalogue/_progress.html", {"progress": progress}, etag=progress.etag)
