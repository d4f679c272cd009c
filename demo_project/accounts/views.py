"""The page of the story: open a ledger, and watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from continuations.models import Continuation

from ..stories.live import fragment
from .jobs import start
from .models import Ledger
from .progress import LedgerProgress
from .story import STORY

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Accounts of a ledger, which have about 1,600 records: a quarter of a minute of work.
ACCOUNTS = 40
# Listed on the first page of the story.
RECENT = 10


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Open a ledger; below, those so far."""
    if request.method == "POST":
        return redirect("accounts:detail", start(ACCOUNTS).pk)
    ledgers = Ledger.objects.all()[:RECENT]
    followed = Continuation.objects.in_bulk([each.continuation_id for each in ledgers])
    recent = [(each, followed.get(each.continuation_id)) for each in ledgers]
    return render(request, "accounts/home.html", {"story": STORY, "recent": recent})


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One ledger: its steps, its executions, its counts."""
    progress = LedgerProgress(get_object_or_404(Ledger, pk=pk))
    return render(request, "accounts/detail.html", {"story": STORY, "progress": progress})


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of the page that changes; 304 while it has not."""
    progress = LedgerProgress(get_object_or_404(Ledger, pk=pk))
    return fragment(request, "accounts/_progress.html", {"progress": progress}, etag=progress.etag)
