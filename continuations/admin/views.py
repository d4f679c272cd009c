"""The page of one continuation, and a page for each verb: GET asks, POST does."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.db import transaction
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django_rq.settings import get_queues_map

from ..errors import ContinuationError
from ..identifiers import rq_job_id
from ..transitions import Status
from . import consequences, verbs
from .changes import etag, watched
from .page import Page
from .permissions import PermissionsMixin

if TYPE_CHECKING:
    from django.forms import Form
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern

    from .verbs import Verb

# A destructive verb is called by the page that has said what it does, and by nothing else.
CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Control:
    """A button of the page."""

    verb: Verb
    url: str
    is_recommended: bool

    @property
    def asks_first(self) -> bool:
        """It leads to a page; others act at once."""
        return self.verb.is_destructive or self.verb is verbs.SEND


class ViewsMixin(PermissionsMixin):
    """The change view shows, the verb views act."""

    def get_urls(self) -> list[URLPattern]:
        """Django's, after ours: its last one takes everything."""
        return [
            path(
                "<path:object_id>/verb/<slug:slug>/",
                self.admin_site.admin_view(self.verb_view),
                name=f"{self.opts.app_label}_{self.opts.model_name}_verb",
            ),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """None of the columns as they are: some hold what should be masked."""
        return self.fieldsets or []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's. The row is watched from before it is read: what changes meanwhile is noticed."""
        watched_row = self.watched_row(request, object_id)
        tag = "" if watched_row is None else self.etag_of(request, watched_row)
        return super().change_view(request, object_id, form_url, {"etag": tag, **(extra_context or {})})

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """The page of a continuation."""
        if obj is not None:
            context.update(self.page_context(request, obj))
        return super().render_change_form(request, context, add, change, form_url, obj)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page's templates show."""
        page = Page(row)
        offered = verbs.offered(page)
        first = verbs.recommended(page)
        allowed = [verb for verb in offered if self.may(request, verb, row)]
        controls = [Control(verb, self._verb_url(row, verb), verb is first) for verb in allowed]
        return {
            "title": str(row.job_name),
            "subtitle": None,
            "page": page,
            "controls": controls,
            "takes_reason": any(not control.asks_first for control in controls),
            "some_forbidden": len(allowed) < len(offered),
            "may_rerun": verbs.RERUN in allowed,
            "may_edit_cursor": verbs.EDIT_CURSOR in allowed,
            "rerun_url": self._verb_url(row, verbs.RERUN),
            "edit_cursor_url": self._verb_url(row, verbs.EDIT_CURSOR),
            "failures_url": f"{self._url('changelist')}?{_failures_of(row)}",
            "live_url": self._url("live", row),
            "rq_url": self._rq_url(row),
        }

    def watched_row(self, request: HttpRequest, object_id: str) -> Any:
        """The row with what `etag_of` needs, or None. `object_id`: as in an address."""
        try:
            pk = uuid.UUID(unquote(object_id))
        except ValueError:
            return None
        rows: Any = self.get_queryset(request)
        return watched(rows.filter(pk=pk)).first()

    def etag_of(self, request: HttpRequest, row: Any) -> str:
        """Changes whenever the page would. `row`: a `watched_row`."""
        return etag(row, [self.may(request, verb, row) for verb in verbs.ALL])

    def verb_view(self, request: HttpRequest, object_id: str, slug: str) -> HttpResponse:
        """GET and HEAD show what would happen; POST does it, if it is confirmed where it has to be."""
        verb = verbs.BY_SLUG.get(slug)
        if verb is None:
            raise Http404
        self.require(request, verb)
        row = self.get_object(request, unquote(object_id))
        if row is None:
            text = gettext("There is no such continuation any more.")
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(self._url("changelist"))
        self.require(request, verb, row)
        page = Page(row)
        if not verb.is_offered(page):
            text = gettext("Nothing was changed: it is %s, and that does not allow it.") % row.get_status_display()
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(self._url("change", row))
        confirmed = CONFIRMED in request.POST or not verb.is_destructive
        if request.method == "POST" and confirmed:
            form = verb.form(page, request.POST)
            if form.is_valid():
                self._call(request, verb, row, form)
                return HttpResponseRedirect(self._url("change", row))
        else:
            given = request.POST if request.method == "POST" else request.GET
            form = verb.form(page, initial={name: given[name] for name in ("reason", "step", "name") if name in given})
        return self._verb_page(request, verb, page, form)

    def _call(self, request: HttpRequest, verb: Verb, row: Any, form: Form) -> None:
        """Call the verb and write the history: both or neither, where both are in one database."""
        try:
            with transaction.atomic(using=row._state.db):
                verb.call(row, form.cleaned_data, request.user.get_username())
                self.log_change(request, row, verb.history(form.cleaned_data))
        except (ContinuationError, ValueError, self.model.DoesNotExist) as error:
            self.message_user(request, gettext("Nothing was changed: %s") % error, messages.ERROR)
        else:
            self.message_user(request, verbs.now_is(row), messages.SUCCESS)

    def _verb_page(self, request: HttpRequest, verb: Verb, page: Page, form: Form) -> HttpResponse:
        step = form["step"].value() if "step" in form.fields else ""
        names = [record.name for record in page.records]
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": page.row,
            "title": f"{verb.title}: {page.row.job_name}",
            "subtitle": None,
            "media": self.media,
            "page": page,
            "verb": verb,
            "form": form,
            "step": step,
            # From which step has to be known before it can be said what that means.
            "choices": [line for line in page.steps if line.record]
            if verb is verbs.RERUN and step not in names
            else [],
            "consequences": consequences.of(verb, page, step or ""),
            "action_url": self._verb_url(page.row, verb),
            "back_url": self._url("change", page.row),
        }
        return TemplateResponse(request, "admin/continuations/continuation/verb.html", context)

    def _verb_url(self, row: Any, verb: Verb) -> str:
        return self._url("verb", row, verb.slug)

    def _url(self, view: str, row: Any = None, *more: str) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        args = [] if row is None else [quote(row.pk), *more]
        return reverse(name, args=args, current_app=self.admin_site.name)

    def _rq_url(self, row: Any) -> str:
        """Its current job's page in django-rq, if that is to be had."""
        queue = get_queues_map().get(row.queue_name)
        if queue is None:
            return ""
        try:
            args = [queue, rq_job_id(row.pk, row.delivery)]
            return reverse("admin:django_rq_job_detail", args=args, current_app=self.admin_site.name)
        except NoReverseMatch:
            return ""


def _failures_of(row: Any) -> str:
    """The query of a list of what failed of its class."""
    return urlencode({"job": row.job_path, "status__exact": Status.FAILED})
