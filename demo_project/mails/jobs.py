"""Mails as continuations: a chain of small jobs that follow each other, and one long job that can be stopped."""

from __future__ import annotations

from django.db import transaction

from continuations import ContinuableJob, Step

from .models import Newsletter, SignUp


class WelcomeMail(ContinuableJob):
    """Welcomes somebody who has signed up. What comes next is enqueued in the transaction that marks the success."""

    def perform(self, sign_up_pk: int) -> None:
        self.step("send", SignUp.objects.get(pk=sign_up_pk).welcome)

    def on_success(self, sign_up_pk: int) -> None:
        sign_up = SignUp.objects.get(pk=sign_up_pk)
        TipsMail.using(run_after=sign_up.tips_after).enqueue(sign_up_pk)
        TellAdministrators.enqueue(sign_up_pk)
        sign_up.check_fault("hook")  # raises if the form said so


class TellAdministrators(ContinuableJob):
    """Runs beside the others: whether it fails is nobody else's business."""

    def perform(self, sign_up_pk: int) -> None:
        self.step("send", SignUp.objects.get(pk=sign_up_pk).tell_administrators)


class TipsMail(ContinuableJob):
    """Comes some time after the welcome."""

    def perform(self, sign_up_pk: int) -> None:
        self.step("send", SignUp.objects.get(pk=sign_up_pk).send_tips)

    def on_success(self, sign_up_pk: int) -> None:
        CountPerson.enqueue(sign_up_pk)


class CountPerson(ContinuableJob):
    """The end of the chain: counted exactly once."""

    def perform(self, sign_up_pk: int) -> int:
        return self.step("count", SignUp.objects.get(pk=sign_up_pk).count, atomic=True)


class SendNewsletter(ContinuableJob):
    """A mail to everybody, and then a report. Stopped anywhere, it goes on with the next person."""

    def perform(self, newsletter_pk: int) -> None:
        self.newsletter = Newsletter.objects.get(pk=newsletter_pk)
        self.step(self.send)

    def send(self, step: Step) -> None:
        for person in step.iterate(self.newsletter.recipients()):
            self.newsletter.send_to(person)

    def on_success(self, newsletter_pk: int) -> None:
        ReportNewsletter.enqueue(newsletter_pk)


class ReportNewsletter(ContinuableJob):
    """Counts what was sent, and tells the administrators."""

    def perform(self, newsletter_pk: int) -> dict[str, int]:
        newsletter = Newsletter.objects.get(pk=newsletter_pk)
        found = self.step("count", newsletter.count, atomic=True)
        self.step("tell", newsletter.send_report)
        return found


@transaction.atomic
def sign_up(new: SignUp) -> SignUp:
    """Store a sign-up and enqueue its welcome: both or neither."""
    new.save()
    new.follow(WelcomeMail.enqueue(new.pk))
    return new


@transaction.atomic
def start(newsletter: Newsletter) -> Newsletter:
    """Store a newsletter and enqueue its job: both or neither."""
    newsletter.save()
    newsletter.follow(SendNewsletter.enqueue(newsletter.pk))
    return newsletter
