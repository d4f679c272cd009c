"""The first page, and what every story has: the workers, the signals sent to them, and another try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from continuations import ContinuationError
from continuations.models import Continuation

from .live import fragment
from .registry import stories
from .workers import Kill, Worker, etag_of, workers

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse, HttpResponseBase

WHAT_WAS_DONE = {
    Kill.DEPLOY: gettext_lazy("it was told to end, as by a deploy."),
    Kill.CRASH: gettext_lazy("it and its job were killed, as by the loss of a machine."),
    Kill.JOB: gettext_lazy("the process of its job was killed, as when memory runs out."),
}

# Whom the records name who asked.
VISITOR = "a visitor of the demo"


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """All stories, and the workers."""
    return render(request, "stories/home.html", {"stories": stories()})


@require_safe
def workers_live(request: HttpRequest) -> HttpResponseBase:
    """The control bar; 304 while it has not changed."""
    found = _found()
    return fragment(request, "stories/_workers.html", {"workers": found}, etag=etag_of(found))


@require_POST
def kill(request: HttpRequest, name: str, kill: Kill) -> HttpResponseBase:
    """Send a signal to one of the workers that the supervisor started. 404 for anything else."""
    worker = next((each for each in _found() if each.name == name), None)
    if worker is None:
        raise Http404
    if not worker.kill(kill):
        return answer(request, _("%(worker)s: there was nothing to stop.") % {"worker": worker.title}, messages.WARNING)
    return answer(request, _("%(worker)s: %(what)s") % {"worker": worker.title, "what": WHAT_WAS_DONE[kill]})


@require_POST
def retry(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Run a failed continuation of a story again."""
    paths = [path for story in stories() for path in story.job_paths]
    row = get_object_or_404(Continuation, pk=pk, job_path__in=paths)
    try:
        row.retry(by=VISITOR)
    except ContinuationError as error:
        return answer(request, str(error), messages.WARNING)
    return answer(request, _("It goes on where it failed."))


def answer(request: HttpRequest, text: str, level: int = messages.SUCCESS) -> HttpResponseBase:
    """Say what was done: to a script as JSON, else on the page the visitor came from."""
    if request.headers.get("X-Requested-With") == "live":
        return JsonResponse({"said": text})
    messages.add_message(request, level, text)
    return redirect(_page_before(request))


def _page_before(request: HttpRequest) -> str:
    before = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure())
    return before if ours else "stories:home"


def _found() -> list[Worker]:
    if not (found := workers()):
        raise Http404
    return found
