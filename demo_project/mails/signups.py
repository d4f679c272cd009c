"""Sign-ups, and the mails that follow them. The methods are the work; the jobs decide when."""

from __future__ import annotations

from datetime import timedelta

from django.core.mail import EmailMessage
from django.db import models
from django.db.models import F
from django.utils.translation import gettext as text
from django.utils.translation import gettext_lazy as _

from .followed import Followed
from .metrics import Metric
from .outbox import ADMINISTRATORS, SENDER, Outbox, message_id
from .people import Person


class DeliberateError(Exception):
    """Raised because somebody chose it in a form, to see what happens then."""


class SignUp(Followed):
    """Somebody has signed up, and is welcomed."""

    class Fault(models.TextChoices):
        """What fails on purpose."""

        NONE = "", _("nothing")
        HOOK = "hook", _("what on_success of the welcome mail enqueues")
        ADMINISTRATORS = "administrators", _("the job that tells the administrators")

    person = models.ForeignKey(Person, models.CASCADE, related_name="sign_ups", verbose_name=_("person"))
    tips_after_seconds = models.PositiveIntegerField(_("seconds until the tips"), default=10)
    fault = models.CharField(_("fault"), max_length=20, choices=Fault, blank=True, default=Fault.NONE)
    # How often it was counted: more than once is a repetition.
    counted = models.PositiveIntegerField(_("counted"), default=0, editable=False)

    class Meta:
        verbose_name = _("sign-up")
        verbose_name_plural = _("sign-ups")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return str(self.person)

    @property
    def topic(self) -> str:
        # Not our own key: with another database, that of somebody else.
        return f"sign-up-{self.continuation_id}"

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.topic)

    @property
    def tips_after(self) -> timedelta:
        return timedelta(seconds=self.tips_after_seconds)

    def welcome(self) -> None:
        self._send("welcome", text("Welcome, %(name)s"), text("It is good to have you here."), to=self.person.email)

    def send_tips(self) -> None:
        self._send("tips", text("Three tips"), text("Save often. Stop any time. Go on where you were."))

    def tell_administrators(self) -> None:
        self.check_fault(self.Fault.ADMINISTRATORS)
        body = text("%(name)s has signed up.")
        self._send("administrators", text("A new person"), body, to=ADMINISTRATORS)

    def count(self) -> int:
        """Count this person, and return how many there are by now. For a step with `atomic=True`."""
        SignUp.objects.filter(pk=self.pk).update(counted=F("counted") + 1)
        return Metric.increment("welcomed")

    def check_fault(self, fault: str) -> None:
        """Raise `DeliberateError` if this is what shall fail."""
        if self.fault == fault:
            raise DeliberateError(text("The address book is away. Somebody wanted it so."))

    def mend(self) -> None:
        """Nothing fails any more."""
        self.fault = self.Fault.NONE
        self.save(update_fields=["fault"])

    def _send(self, what: str, subject: str, body: str, to: str | None = None) -> None:
        values = {"name": self.person.name}
        EmailMessage(
            subject % values,
            body % values,
            SENDER,
            [to or self.person.email],
            headers={"Message-ID": message_id(what, self.topic)},
        ).send()
