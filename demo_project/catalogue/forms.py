"""How the API of a pull is to behave."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class PullForm(forms.Form):
    """Which of its requests the API does not answer."""

    fails_every = forms.TypedChoiceField(
        label=_("The API answers 503"),
        choices=[(7, _("at every 7th request")), (3, _("at every 3rd request")), (0, _("never"))],
        coerce=int,
        initial=7,
    )
