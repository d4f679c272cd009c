"""The verbs that the admin offers: each calls the model's, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy

from .. import transitions
from ..errors import ContinuationError, text_of
from ..records import StepRecord
from . import words
from .forms import CursorForm, ForceForm, ReasonForm, RerunForm, RerunManyForm, SendForm

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    from .page import Page

# Calls a verb of a continuation, or of a queryset: the two take the same. Gets the target, the form's data, and who.
Call = Callable[[Any, Mapping[str, Any], str], Any]


class FollowUpError(ContinuationError):
    """What `on_success` raised, when it was run here."""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb. `name`: in `transitions.VERBS`. `permission`: as in `has_<permission>_permission`."""

    slug: str
    name: str
    label: _StrPromise
    # What the history says; `{step}` and the like stand for what the form was told.
    done: _StrPromise
    permission: str
    call: Call
    is_destructive: bool = False
    force: bool = False
    form: type[Any] = ReasonForm
    # What is on the button that does it, to one and to many, where the label would not do.
    confirmation: tuple[_StrPromise, _StrPromise] | None = None
    # Whether nothing goes on after it.
    ends_it: bool = False
    # For many at once; None: only one by one.
    form_for_many: type[Any] | None = ReasonForm

    @property
    def title(self) -> str:
        """What it does."""
        return str(self.label).rstrip("…")

    @property
    def confirm(self) -> str:
        """What is on the button that does it."""
        return self.title if self.confirmation is None else str(self.confirmation[0])

    @property
    def confirm_many(self) -> str:
        """What is on the button that does it to many."""
        return self.title if self.confirmation is None else str(self.confirmation[1])

    def is_offered(self, page: Page) -> bool:
        """Whether it is legal now."""
        row = page.row
        if self.force:
            return transitions.FORCED[self.name] == row.status and page.facts.can_force
        if self.name == "follow_up" and row.follow_up_failed_at is None:
            return False
        if self.name == "set_cursor" and not is_editable(page):
            return False
        if self.name == "rerun_from" and not page.records:
            return False
        return transitions.allows(self.name, row.status)

    def starts_from(self, data: Mapping[str, Any]) -> frozenset[transitions.Status]:
        """Statuses of rows that it can be called for, many at once."""
        forced = {transitions.FORCED[self.name]} if data.get("force") else set()
        return transitions.VERBS[self.name] | forced

    def history(self, data: Mapping[str, Any]) -> str:
        """What was done and why, for the history."""
        text = str(capfirst(self.done)).format_map({key: value for key, value in data.items() if key in TOLD})
        if data.get("keep_cursor"):
            text += " " + gettext("Its cursor was kept.")
        reason = gettext("Reason: %s")
        return f"{text} {reason % data['reason']}" if data.get("reason") else text


# What of a form stands in the history: no payloads, no cursors.
TOLD = frozenset({"step", "name"})


def is_editable(page: Page) -> bool:
    """Whether there is a step in progress that has a cursor, and no rest."""
    step = page.facts.in_progress
    return step is not None and step.kind == StepRecord.Kind.STEP


def _asking(name: str, *, force: bool = False) -> Call:
    def call(target: Any, data: Mapping[str, Any], by: str) -> Any:
        return getattr(target, name)(by=by, reason=data["reason"], force=force or bool(data.get("force")))

    return call


def _letting(name: str) -> Call:
    return lambda target, data, by: getattr(target, name)(by=by, reason=data["reason"])


def _rerun(target: Any, data: Mapping[str, Any], by: str) -> Any:
    return target.rerun_from(data["step"], keep_cursor=data["keep_cursor"], by=by, reason=data["reason"])


def _set_cursor(target: Any, data: Mapping[str, Any], by: str) -> Any:
    return target.set_cursor(data["step"], data["cursor"], by=by, reason=data["reason"])


def _send(target: Any, data: Mapping[str, Any], by: str) -> Any:
    return target.send(data["name"], data["payload"])


def _follow_up(target: Any, data: Mapping[str, Any], by: str) -> None:
    try:
        target.follow_up()
    except ContinuationError:
        raise
    except Exception as error:
        raise FollowUpError(f"on_success raised {type(error).__name__}: {text_of(error)}") from error


RESUME = Verb(
    slug="resume",
    name="resume",
    label=words.RESUME,
    done=gettext_lazy("resumed it."),
    permission="control",
    call=_letting("resume"),
)
RETRY = Verb(
    slug="retry",
    name="retry",
    label=words.RETRY,
    done=gettext_lazy("retried it."),
    permission="retry",
    call=_letting("retry"),
)
FOLLOW_UP = Verb(
    slug="follow-up",
    name="follow_up",
    label=words.FOLLOW_UP,
    done=gettext_lazy("ran again what follows its success."),
    permission="retry",
    call=_follow_up,
    form_for_many=None,
)
PAUSE = Verb(
    slug="pause",
    name="pause",
    label=words.PAUSE,
    done=gettext_lazy("paused it."),
    permission="control",
    call=_asking("pause"),
    form_for_many=ForceForm,
)
SEND = Verb(
    slug="send",
    name="send",
    label=words.SEND,
    done=gettext_lazy("sent it event “{name}”."),
    permission="control",
    call=_send,
    form=SendForm,
    form_for_many=SendForm,
)
EDIT_CURSOR = Verb(
    slug="cursor",
    name="set_cursor",
    label=words.EDIT_CURSOR,
    done=gettext_lazy("edited the cursor of step “{step}”."),
    permission="edit_cursor",
    call=_set_cursor,
    is_destructive=True,
    form=CursorForm,
    form_for_many=None,
)
RERUN = Verb(
    slug="rerun",
    name="rerun_from",
    label=words.RERUN,
    done=gettext_lazy("ran it again from step “{step}”."),
    permission="retry",
    call=_rerun,
    is_destructive=True,
    form=RerunForm,
    form_for_many=RerunManyForm,
)
CANCEL = Verb(
    slug="cancel",
    name="cancel",
    label=words.CANCEL,
    done=gettext_lazy("cancelled it."),
    permission="control",
    call=_asking("cancel"),
    is_destructive=True,
    confirmation=(words.REALLY_CANCEL, words.REALLY_CANCEL_MANY),
    ends_it=True,
    form_for_many=ForceForm,
)
FORCE_PAUSE = Verb(
    slug="force-pause",
    name="pause",
    label=words.FORCE_PAUSE,
    done=gettext_lazy("paused it by force."),
    permission="control",
    call=_asking("pause", force=True),
    is_destructive=True,
    force=True,
    form_for_many=None,
)
FORCE_CANCEL = Verb(
    slug="force-cancel",
    name="cancel",
    label=words.FORCE_CANCEL,
    done=gettext_lazy("cancelled it by force."),
    permission="control",
    call=_asking("cancel", force=True),
    is_destructive=True,
    force=True,
    form_for_many=None,
)

# In the order of their buttons: what helps first, what ends last.
ALL: tuple[Verb, ...] = (
    RESUME,
    RETRY,
    FOLLOW_UP,
    PAUSE,
    SEND,
    EDIT_CURSOR,
    RERUN,
    FORCE_PAUSE,
    FORCE_CANCEL,
    CANCEL,
)
BY_SLUG = {verb.slug: verb for verb in ALL}


def offered(page: Page) -> list[Verb]:
    """The verbs that are legal now."""
    return [verb for verb in ALL if verb.is_offered(page)]


def recommended(page: Page) -> Verb | None:
    """The one to try first, if any."""
    row, step = page.row, page.facts.in_progress
    if row.is_told_only and step is not None and step.kind == StepRecord.Kind.EVENT:
        return SEND
    if row.status in transitions.OWNED:
        # Resuming would take back what somebody asked for.
        return None
    return next((verb for verb in (RESUME, RETRY, FOLLOW_UP) if verb.is_offered(page)), None)


def now_is(row: Any) -> str:
    """What became of it, in a sentence."""
    values = {"name": row.job_name, "state": row.get_status_display()}
    return gettext("%(name)s is now %(state)s.") % values
