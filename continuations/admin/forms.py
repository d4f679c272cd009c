"""What somebody fills in before a verb is called."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from .. import codec
from ..models import EVENT_NAME_LENGTH
from . import plain

if TYPE_CHECKING:
    from .page import Page


class ReasonForm(forms.Form):
    """Why. It is kept with the continuation and in its history."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )

    def __init__(self, page: Page | None, *args: Any, **kwargs: Any) -> None:
        self.page = page
        super().__init__(*args, **kwargs)


class ForceForm(ReasonForm):
    """For many at once: some of them may have been asked before."""

    force = forms.BooleanField(
        label=gettext_lazy("Take those away by force that were asked more than five minutes ago and have not stopped"),
        required=False,
    )
    field_order = ("force", "reason")


class RerunForm(ReasonForm):
    """From which step, and whether it goes on where it stood."""

    step = forms.CharField(max_length=200, widget=forms.HiddenInput)
    keep_cursor = forms.BooleanField(
        label=gettext_lazy("Keep the cursor of that step"),
        help_text=gettext_lazy("It then goes on behind it, for example to do rows that were added since."),
        required=False,
    )
    field_order = ("step", "keep_cursor", "reason")


class RerunManyForm(RerunForm):
    """The same for many: they need not have the same steps."""

    step = forms.CharField(
        label=gettext_lazy("Step"), max_length=200, widget=forms.TextInput(attrs={"class": "vTextField"})
    )


class StoredValueField(forms.CharField):
    """JSON as the codec writes it, types and all. Cleans to the value."""

    widget = forms.Textarea(attrs={"class": "vLargeTextField continuations-json", "rows": 6, "spellcheck": "false"})

    def clean(self, value: Any) -> Any:
        """The value that the codec reads from it."""
        text = super().clean(value)
        if not text:
            return None
        try:
            return codec.decode(json.dumps(json.loads(text)))
        except json.JSONDecodeError as error:
            raise forms.ValidationError(gettext("This is no JSON: %s") % error) from error
        except Exception as error:
            # Whatever somebody types: an unknown database, a nesting without end.
            raise forms.ValidationError(gettext("This is not what the codec writes: %s") % error) from error


class CursorForm(ReasonForm):
    """A new cursor for the step in progress."""

    step = forms.CharField(max_length=200, widget=forms.HiddenInput)
    # What the cursor was when the page was made.
    was = forms.CharField(required=False, widget=forms.HiddenInput)
    cursor = StoredValueField(
        label=gettext_lazy("Cursor"),
        help_text=gettext_lazy(
            'JSON. What JSON does not know has a tag, such as {"$": "date", "v": "2026-01-31"}: leave the tag in place.'
        ),
    )
    other_type = forms.BooleanField(label=gettext_lazy("The new cursor may be of another type"), required=False)
    field_order = ("step", "was", "cursor", "other_type", "reason")

    def __init__(self, page: Page, *args: Any, **kwargs: Any) -> None:
        super().__init__(page, *args, **kwargs)
        record = page.facts.in_progress
        self._stored = None if record is None else record.cursor_json
        self.initial.setdefault("step", "" if record is None else record.name)
        self.initial.setdefault("was", fingerprint(self._stored))
        # What is masked is not given away here either.
        self.initial.setdefault("cursor", "" if page.values.is_masked(self._stored) else plain.pretty(self._stored))

    def clean(self) -> dict[str, Any]:
        """Refuse a cursor of another type, and one that has moved since."""
        data = super().clean() or {}
        if data.get("was") != fingerprint(self._stored):
            raise forms.ValidationError(gettext("The cursor has moved since this page was opened. Look at it again."))
        kinds = plain.kind(plain.parse(self._stored)), plain.kind(plain.parse(codec.encode(data.get("cursor"))))
        if "cursor" in data and self._stored is not None and kinds[0] != kinds[1] and not data.get("other_type"):
            text = gettext("The cursor is of type %(old)s, and this is of type %(new)s.")
            self.add_error("cursor", text % {"old": kinds[0], "new": kinds[1]})
        return data


class SendForm(ReasonForm):
    """An event and what it brings."""

    name = forms.CharField(
        label=gettext_lazy("Event"),
        max_length=EVENT_NAME_LENGTH,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )
    payload = StoredValueField(
        label=gettext_lazy("Payload"), help_text=gettext_lazy("JSON; empty for none."), required=False
    )
    field_order = ("name", "payload", "reason")

    def __init__(self, page: Page | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(page, *args, **kwargs)
        step = None if page is None else page.facts.in_progress
        if step is not None and step.kind == step.Kind.EVENT:
            self.initial.setdefault("name", step.name)


def fingerprint(text: str | None) -> str:
    """Tells whether a stored value is still what it was, without telling what it is."""
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]
