"""The pages of the reports: hand in a document, watch its report being made, and take it home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from continuations.models import Continuation

from ..stories.live import fragment
from .forms import ReportForm
from .jobs import start
from .models import Rendering, Report
from .progress import ReportProgress
from .story import STORY

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

# Reports listed on the first page.
RECENT = 20


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Hand in a document; below, the reports so far."""
    form = ReportForm(request.POST, request.FILES) if request.method == "POST" else ReportForm()
    if form.is_bound and form.is_valid():
        return redirect("reports:detail", start(form.report()).pk)
    reports = Report.objects.all()[:RECENT]
    followed = Continuation.objects.in_bulk([each.continuation_id for each in reports])
    recent = [(each, followed.get(each.continuation_id)) for each in reports]
    return render(request, "reports/home.html", {"story": STORY, "form": form, "recent": recent})


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One report: steps, executions, calls of the model, and what came of it."""
    progress = ReportProgress(get_object_or_404(Report, pk=pk))
    return render(request, "reports/detail.html", {"story": STORY, "progress": progress})


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of the page that changes; 304 while it has not."""
    progress = ReportProgress(get_object_or_404(Report, pk=pk))
    return fragment(request, "reports/_progress.html", {"progress": progress}, etag=progress.etag)


@require_safe
def download(request: HttpRequest, pk: int, format_name: str) -> HttpResponse:
    """A report as a file. Strangers' words are in it, so no browser shows it as a page of ours."""
    rendering = get_object_or_404(Rendering, report=pk, format=format_name)
    return HttpResponse(
        bytes(rendering.content),
        content_type=rendering.content_type,
        headers={
            "Content-Disposition": content_disposition_header(as_attachment=True, filename=rendering.filename),
            "X-Content-Type-Options": "nosniff",
        },
    )
