"""What a visitor fills in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .answers import NAME_LENGTH
from .models import PriceList

# Characters.
LONGEST = 20_000
SAMPLE = """Espresso,2.20
Cappuccino,3.10
Flat white,3.60
Earl Grey,2.90
Cheesecake,4.80
Carrot cake,4.50
Croissant,1.90
Sandwich,5.40
"""
PATIENCES = [("15", _("15 seconds")), ("60", _("a minute")), ("600", _("ten minutes")), ("", _("for ever"))]


class PriceListForm(forms.Form):
    """New prices."""

    name = forms.CharField(label=_("Name"), max_length=100, initial=_("Prices for spring"))
    text = forms.CharField(
        label=_("Articles and prices"),
        help_text=_("One to a line, with a comma between them."),
        max_length=LONGEST,
        initial=SAMPLE,
        widget=forms.Textarea(attrs={"rows": 9, "spellcheck": "false"}),
    )
    patience = forms.TypedChoiceField(
        label=_("It waits for an answer"),
        choices=PATIENCES,
        coerce=int,
        empty_value=None,
        required=False,
        initial="60",
        widget=forms.RadioSelect,
    )

    def price_list(self) -> PriceList:
        """The price list, not yet saved."""
        return PriceList(**self.cleaned_data)


class AnswerForm(forms.Form):
    """Yes or no, and who says so: whoever is signed in, or else a name."""

    by = forms.CharField(label=_("Your name"), max_length=NAME_LENGTH)

    def __init__(self, *args: Any, user_name: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user_name = user_name
        if user_name:
            del self.fields["by"]

    @property
    def who(self) -> str:
        return self.user_name or self.cleaned_data["by"]
