"""The verbs for many continuations at once: admin actions, each with a page that says what will happen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.utils.translation import gettext, gettext_lazy, ngettext

from ..querysets import LIMIT
from ..transitions import Status
from ..words import number
from . import consequences, verbs
from .permissions import PermissionsMixin
from .views import CONFIRMED

if TYPE_CHECKING:
    from django.forms import Form
    from django.http import HttpRequest, HttpResponse

    from ..querysets import Changed, ContinuationQuerySet
    from .verbs import Verb

# Names on the page that asks, and refusals in the message that answers.
NAMED = 10
REFUSALS = 3


class BulkMixin(PermissionsMixin):
    """Actions of the list."""

    actions = (
        "pause_selected",
        "resume_selected",
        "retry_selected",
        "send_to_selected",
        "rerun_selected",
        "cancel_selected",
    )

    @admin.action(permissions=["control"], description=gettext_lazy("Pause selected %(verbose_name_plural)s"))
    def pause_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Pause many."""
        return self._act(request, queryset, verbs.PAUSE)

    @admin.action(permissions=["control"], description=gettext_lazy("Resume selected %(verbose_name_plural)s"))
    def resume_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Resume many."""
        return self._act(request, queryset, verbs.RESUME)

    @admin.action(permissions=["retry"], description=gettext_lazy("Retry selected %(verbose_name_plural)s"))
    def retry_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Retry many."""
        return self._act(request, queryset, verbs.RETRY)

    @admin.action(
        permissions=["control"], description=gettext_lazy("Send an event to selected %(verbose_name_plural)s")
    )
    def send_to_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Send an event to many."""
        return self._act(request, queryset, verbs.SEND)

    @admin.action(
        permissions=["retry"], description=gettext_lazy("Run selected %(verbose_name_plural)s again from a step")
    )
    def rerun_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Run many again."""
        return self._act(request, queryset, verbs.RERUN)

    @admin.action(permissions=["control"], description=gettext_lazy("Cancel selected %(verbose_name_plural)s"))
    def cancel_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Cancel many."""
        return self._act(request, queryset, verbs.CANCEL)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list. Django would only say that there is no such action to somebody who may not call it."""
        if request.method == "POST":
            self._refuse_forbidden(request)
        return super().changelist_view(request, extra_context)

    def _refuse_forbidden(self, request: HttpRequest) -> None:
        for name in request.POST.getlist("action"):
            action = getattr(self, name, None) if name in BulkMixin.actions else None
            for permission in getattr(action, "allowed_permissions", ()):
                if not getattr(self, f"has_{permission}_permission")(request):
                    raise PermissionDenied

    def _act(self, request: HttpRequest, rows: ContinuationQuerySet, verb: Verb) -> HttpResponse | None:
        """Ask first; do it once that is confirmed."""
        self.require(request, verb)
        assert verb.form_for_many is not None
        confirmed = CONFIRMED in request.POST
        form = verb.form_for_many(None, request.POST if confirmed else None)
        if not confirmed or not form.is_valid():
            return self._ask(request, rows, verb, form)
        data = form.cleaned_data
        # Those that it cannot be called for must not use up the limit.
        ready = rows.filter(status__in=verb.starts_from(data)).order_by("created_at", "pk")
        found = list(ready.only("job_path", "queue_name", "key", "status", "created_at")[: LIMIT + 1])
        allowed = [row.pk for row in found[:LIMIT] if self.may(request, verb, row)]
        changed: Changed = verb.call(rows.filter(pk__in=allowed), data, request.user.get_username())
        changed.more = len(found) > LIMIT
        if changed.changed:
            user: Any = request.user
            LogEntry.objects.log_actions(
                user_id=user.pk,
                queryset=changed.changed,
                action_flag=CHANGE,
                change_message=verb.history(data),
            )
        self._report(request, changed, forbidden=len(found[:LIMIT]) - len(allowed))
        return None

    def _ask(self, request: HttpRequest, rows: ContinuationQuerySet, verb: Verb, form: Form) -> HttpResponse:
        found = list(rows.order_by("created_at", "pk").values_list("pk", "job_path", "status")[: LIMIT + 1])
        possible = verb.starts_from({})
        ready = [each for each in found if each[2] in possible]
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": verb.title,
            "subtitle": None,
            "media": self.media,
            "verb": verb,
            "form": form,
            "ready": len(ready[:LIMIT]),
            "others": len(found) - len(ready),
            "is_limited": len(found) > LIMIT,
            "limit": number(LIMIT),
            "named": [f"{path.rpartition('.')[2]} {pk}" for pk, path, _ in ready[:NAMED]],
            "unnamed": max(len(ready[:LIMIT]) - NAMED, 0),
            "consequences": consequences.of_many(verb),
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
            "action": _chosen_action(request),
            "select_across": request.POST.get("select_across", "0"),
            "back_url": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/continuations/continuation/verb_for_many.html", context)

    def _report(self, request: HttpRequest, changed: Changed, *, forbidden: int) -> None:
        labels = dict(Status.choices)
        for status, count in Counter(row.status for row in changed.changed).items():
            text = ngettext("%(count)s is now %(state)s.", "%(count)s are now %(state)s.", count)
            values = {"count": number(count), "state": labels[Status(status)]}
            self.message_user(request, text % values, messages.SUCCESS)
        if changed.refused:
            count = len(changed.refused)
            text = ngettext("%s was left as it is:", "%s were left as they are:", count) % number(count)
            reasons = " ".join(str(error) for _, error in changed.refused[:REFUSALS])
            self.message_user(request, f"{text} {reasons}", messages.WARNING)
        if forbidden:
            text = ngettext("You may not do that to %s of them.", "You may not do that to %s of them.", forbidden)
            self.message_user(request, text % number(forbidden), messages.WARNING)
        if changed.more:
            text = gettext("There are more than %s. Do it again for the rest.") % number(LIMIT)
            self.message_user(request, text, messages.WARNING)
        if not changed.changed and not changed.refused and not forbidden:
            self.message_user(
                request, gettext("Nothing was changed: none of them is in a state for it."), messages.WARNING
            )


def _chosen_action(request: HttpRequest) -> str:
    """The action whose button was pressed: there may be two forms, above and below the list."""
    actions = request.POST.getlist("action")
    index = request.POST.get("index", "0")
    position = int(index) if index.isdecimal() else 0
    return actions[position] if position < len(actions) else (actions[0] if actions else "")
