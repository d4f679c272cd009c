"""The stories of this app."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from ..stories.registry import Story, register
from .jobs import CountPerson, ReportNewsletter, SendNewsletter, TellAdministrators, TipsMail, WelcomeMail
from .newsletters import Newsletter

WELCOME = register(
    Story(
        slug="welcome",
        title=_("Welcome mail"),
        summary=_("Small jobs that follow each other: neither lost nor doubled, and failing one by one."),
        button=_("Sign somebody up"),
        url_name="mails:welcome",
        jobs=(WelcomeMail, TellAdministrators, TipsMail, CountPerson),
        shows=(WelcomeMail, TellAdministrators, TipsMail, CountPerson),
    )
)
BULK = register(
    Story(
        slug="bulk",
        title=_("Bulk mail"),
        summary=_("A mail to everybody and a report at the end, in one job that can be stopped between any two mails."),
        button=_("Write to everybody"),
        url_name="mails:bulk",
        jobs=(SendNewsletter, ReportNewsletter),
        shows=(SendNewsletter, Newsletter.send_to),
    )
)
