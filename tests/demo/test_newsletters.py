"""A mail to everybody: what is repeated by a crash, and how the record bounds it."""

from __future__ import annotations

import shutil
from email import message_from_bytes

import pytest
from django.utils import timezone

from continuations.models import Continuation
from continuations.testing import assert_resumable, crash_during, run_enqueued, run_until_finished
from demo_project.mails.jobs import ReportNewsletter, SendNewsletter, start
from demo_project.mails.models import Dispatch, Newsletter, Person
from demo_project.mails.newsletters import Sent
from demo_project.mails.outbox import message_id

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("outbox")]


def newsletter_to(people, in_doubt="again"):
    Person.invent(people)
    return start(Newsletter.to_everybody(subject="News", in_doubt=in_doubt))


def finish(newsletter):
    return run_until_finished(Continuation.objects.get(pk=newsletter.continuation_id))


def begun(newsletter, person, *, sent=False):
    """What a process leaves behind that died while it sent to this person."""
    Dispatch.objects.create(newsletter=newsletter, person=person, sent_at=timezone.now() if sent else None)


def test_everybody_gets_one_mail_and_the_administrators_a_report():
    newsletter = newsletter_to(5)
    assert finish(newsletter).status == Continuation.Status.SUCCEEDED
    assert [mail.to for mail in newsletter.outbox.mails(9)] == [person.email for person in Person.objects.all()]
    run_enqueued(ReportNewsletter)
    newsletter.refresh_from_db()
    assert newsletter.report["mails"] == newsletter.report["people"] == newsletter.report["sent"] == 5
    report = newsletter.outbox.mails(1)[0]
    assert report.subject == "Report: News"
    assert "Mails in the outbox: 5" in report.text


def test_people_who_come_after_the_start_get_the_next_one():
    newsletter = newsletter_to(2)
    Person.invent(3)
    finish(newsletter)
    assert Sent.of(newsletter) == Sent(people=2, sent=2, skipped=0, in_doubt=0, mails=2, twice=0, missing=0)


def test_a_newsletter_stopped_at_any_checkpoint_or_crashed_there_is_sent_once_to_each(outbox):
    newsletter = newsletter_to(3)

    def reset():
        newsletter.dispatches.all().delete()
        shutil.rmtree(outbox, ignore_errors=True)

    assert_resumable(SendNewsletter, newsletter.pk, effects=newsletter.outbox.counts, reset=reset)
    assert_resumable(ReportNewsletter, newsletter.pk, effects=newsletter.outbox.counts, reset=reset)


def test_what_a_crash_makes_the_job_do_again_the_record_skips_and_counts(settings):
    # Long: nothing is written between the first movement and the crash.
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "CHECKPOINT_INTERVAL": 3600}
    newsletter = newsletter_to(5)
    with crash_during(SendNewsletter, "send", cursor=newsletter.recipients().order_by("pk")[3].pk):
        run_enqueued()
    finish(newsletter)
    # The first movement was written at once, the next three were not.
    assert Sent.of(newsletter) == Sent(people=5, sent=5, skipped=3, in_doubt=0, mails=5, twice=0, missing=0)


def test_a_mail_in_doubt_is_sent_again_and_may_be_there_twice():
    newsletter = newsletter_to(3)
    person = newsletter.recipients().first()
    newsletter.send_to(person)
    # Accepted by the mail server, but the process died before it could write that down.
    Dispatch.objects.update(sent_at=None)
    finish(newsletter)
    assert Sent.of(newsletter) == Sent(people=3, sent=3, skipped=0, in_doubt=1, mails=4, twice=1, missing=0)


def test_both_mails_of_a_repetition_have_the_same_message_id(outbox):
    newsletter = newsletter_to(1)
    for _ in range(2):
        newsletter.send_to(Person.objects.get())
        Dispatch.objects.update(sent_at=None)
    ids = {message_from_bytes(path.read_bytes())["Message-ID"].strip() for path in outbox.rglob("*.eml")}
    assert ids == {message_id(f"person-{Person.objects.get().pk}", newsletter.topic)}
    assert newsletter.outbox.counts().total() == 2


def test_a_mail_in_doubt_that_shall_be_left_is_missing_if_it_was_not_sent():
    newsletter = newsletter_to(3, in_doubt="leave")
    begun(newsletter, newsletter.recipients().first())
    finish(newsletter)
    assert Sent.of(newsletter) == Sent(people=3, sent=2, skipped=0, in_doubt=1, mails=2, twice=0, missing=1)


def test_the_record_keeps_a_second_run_of_the_job_from_sending_anything():
    newsletter = newsletter_to(4)
    continuation = finish(newsletter)
    continuation.rerun_from("send")
    run_until_finished(continuation)
    assert Sent.of(newsletter) == Sent(people=4, sent=4, skipped=4, in_doubt=0, mails=4, twice=0, missing=0)


def test_people_are_made_up_without_end_and_without_repetition():
    Person.invent(2)
    Person.invent(2)
    assert len({person.email for person in Person.objects.all()}) == 4
