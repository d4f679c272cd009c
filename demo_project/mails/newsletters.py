"""A mail to everybody, and a record for each person that keeps it from being sent twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from django.core.mail import EmailMessage
from django.db import models
from django.db.models import Count, F, Max, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as text
from django.utils.translation import gettext_lazy as _

from .followed import Followed
from .outbox import ADMINISTRATORS, SENDER, Outbox, message_id
from .people import Person, validate_one_line

if TYPE_CHECKING:
    from typing import Self

    from django.db.models import QuerySet


# What `Sent` counts, for people.
NAMES = {
    "people": _("People"),
    "sent": _("Sent by our records"),
    "skipped": _("Skipped by our records"),
    "in_doubt": _("In doubt"),
    "mails": _("Mails in the outbox"),
    "twice": _("Mails repeated"),
    "missing": _("People without a mail"),
}


class Newsletter(Followed):
    """One mail, the same to everybody."""

    class InDoubt(models.TextChoices):
        """What is done about a mail that was begun by a process that died, so that nobody knows."""

        AGAIN = "again", _("send it again: nobody misses it, somebody may get it twice")
        LEAVE = "leave", _("leave it: nobody gets it twice, somebody may miss it")

    subject = models.CharField(_("subject"), max_length=100, validators=[validate_one_line])
    in_doubt = models.CharField(_("in doubt"), max_length=10, choices=InDoubt, default=InDoubt.AGAIN)
    # People who come later get the next one.
    last_person_pk = models.BigIntegerField(editable=False)
    # Counted by the follow-up, once: what `Sent.of` gives, by name.
    report = models.JSONField(_("report"), null=True, editable=False)

    class Meta:
        verbose_name = _("newsletter")
        verbose_name_plural = _("newsletters")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.subject

    @property
    def topic(self) -> str:
        # Not our own key: with another database, that of another newsletter.
        return f"newsletter-{self.continuation_id}"

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.topic)

    @classmethod
    def to_everybody(cls, *, subject: str, in_doubt: str) -> Self:
        """A newsletter, not yet saved, to all people there are now."""
        last = Person.objects.aggregate(pk=Max("pk", default=0))["pk"]
        return cls(subject=subject, in_doubt=in_doubt, last_person_pk=last)

    def recipients(self) -> QuerySet[Person]:
        return Person.objects.filter(pk__lte=self.last_person_pk).order_by()

    def send_to(self, person: Person) -> None:
        """Send it to this person, unless the record says that this was done.

        The record is committed before the mail is sent, and again after it. A process that dies in between leaves one
        mail in doubt, never more.
        """
        dispatch, is_new = Dispatch.objects.get_or_create(newsletter=self, person=person)
        if dispatch.sent_at or not (is_new or self.in_doubt == self.InDoubt.AGAIN):
            dispatch.skip()
            return
        if not is_new:
            dispatch.begin_again()
        self._message(person.email, f"person-{person.pk}", self.subject, text("Hello, %s!") % person.name).send()
        dispatch.finish()

    def count(self) -> dict[str, int]:
        """Count what was sent and store it as the report."""
        self.report = asdict(Sent.of(self))
        self.save(update_fields=["report"])
        return self.report

    def send_report(self) -> None:
        """Tell the administrators what was counted."""
        body = "\n".join(f"{NAMES[field]}: {count}" for field, count in (self.report or {}).items())
        self._message(ADMINISTRATORS, "report", text("Report: %s") % self.subject, body).send()

    def _message(self, to: str, what: str, subject: str, body: str) -> EmailMessage:
        headers = {"Message-ID": message_id(what, self.topic)}
        return EmailMessage(subject, body, SENDER, [to], headers=headers)


class Dispatch(models.Model):
    """What is known of one mail to one person."""

    newsletter = models.ForeignKey(Newsletter, models.CASCADE, related_name="dispatches")
    person = models.ForeignKey(Person, models.CASCADE, related_name="+", verbose_name=_("person"))
    begun_at = models.DateTimeField(_("begun at"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent at"), null=True)
    # How often it was begun: more than once is a mail that may have come twice.
    tries = models.PositiveIntegerField(_("tries"), default=1)
    # How often the job came by again, and this record kept it from sending.
    skips = models.PositiveIntegerField(_("skips"), default=0)

    class Meta:
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["newsletter", "person"], name="dispatch_once")]

    def __str__(self) -> str:
        return f"{self.newsletter_id}: {self.person_id}"

    def skip(self) -> None:
        """The job came by again."""
        Dispatch.objects.filter(pk=self.pk).update(skips=F("skips") + 1)

    def begin_again(self) -> None:
        """It was begun before, and nobody knows whether it was sent."""
        Dispatch.objects.filter(pk=self.pk).update(tries=F("tries") + 1)

    def finish(self) -> None:
        """The mail server has accepted it."""
        Dispatch.objects.filter(pk=self.pk).update(sent_at=timezone.now())


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a newsletter: by our books, and by the mails that are really there."""

    people: int
    sent: int
    # Sent already when the job came by again: the cursor alone would have repeated them.
    skipped: int
    # Begun by a process that died.
    in_doubt: int
    # From here on, of the outbox.
    mails: int
    twice: int
    missing: int

    @classmethod
    def of(cls, newsletter: Newsletter) -> Self:
        books = newsletter.dispatches.aggregate(
            sent=Count("pk", filter=Q(sent_at__isnull=False)),
            skipped=Sum("skips", filter=Q(sent_at__isnull=False), default=0),
            in_doubt=Count("pk", filter=Q(tries__gt=1) | Q(sent_at__isnull=True, skips__gt=0)),
        )
        counts = newsletter.outbox.counts()
        del counts["report"]
        people = newsletter.recipients().count()
        return cls(
            people=people,
            **books,
            mails=counts.total(),
            twice=counts.total() - len(counts),
            missing=max(people - len(counts), 0),
        )
