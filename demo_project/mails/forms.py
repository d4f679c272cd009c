"""What a visitor fills in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from .newsletters import Newsletter
from .people import Person, validate_one_line
from .signups import SignUp

DELAYS = [(5, _("5 seconds")), (15, _("15 seconds")), (60, _("a minute"))]


class SignUpForm(forms.Form):
    """Somebody signs up; who has done so before is welcomed once more."""

    name = forms.CharField(label=_("Name"), max_length=100, initial="Ada", validators=[validate_one_line])
    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("Nothing is sent there: mails become files, and this page shows them."),
        initial="ada@example.org",
    )
    tips_after = forms.TypedChoiceField(label=_("Tips come after"), choices=DELAYS, coerce=int, initial=15)
    fault = forms.ChoiceField(
        label=_("What shall fail"), choices=SignUp.Fault.choices, required=False, widget=forms.RadioSelect
    )

    def sign_up(self) -> SignUp:
        """The sign-up, not yet saved, of a person who is."""
        data = self.cleaned_data
        person, _is_new = Person.objects.update_or_create(email=data["email"], defaults={"name": data["name"]})
        return SignUp(person=person, tips_after_seconds=data["tips_after"], fault=data["fault"])


class NewsletterForm(forms.Form):
    """One mail to everybody."""

    subject = forms.CharField(label=_("Subject"), max_length=100, initial=_("News"), validators=[validate_one_line])
    in_doubt = forms.ChoiceField(
        label=_("A mail that a crash leaves in doubt"),
        choices=Newsletter.InDoubt.choices,
        initial=Newsletter.InDoubt.AGAIN,
        widget=forms.RadioSelect,
    )

    def clean(self) -> dict[str, Any]:
        """There must be somebody."""
        if not Person.objects.exists():
            raise ValidationError(_("There is nobody yet. Make some people up first."))
        return super().clean() or {}

    def newsletter(self) -> Newsletter:
        """The newsletter, not yet saved, to all people there are now."""
        return Newsletter.to_everybody(**self.cleaned_data)
