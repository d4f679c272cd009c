"""The welcome mail: a chain of jobs, each enqueued by the success of the one before."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from django.utils import timezone

from continuations.models import Continuation
from continuations.testing import assert_resumable, run_enqueued, run_until_finished
from demo_project.mails.jobs import CountPerson, TellAdministrators, TipsMail, WelcomeMail, sign_up
from demo_project.mails.models import Metric, Person, SignUp
from demo_project.mails.signups import DeliberateError

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("outbox")]


def ada(fault="", tips_after_seconds=10):
    person = Person.objects.create(name="Ada", email="ada@example.org")
    return sign_up(SignUp(person=person, fault=fault, tips_after_seconds=tips_after_seconds))


def welcome(signed_up):
    return run_until_finished(Continuation.objects.get(pk=signed_up.continuation_id))


def names(continuation):
    return sorted(child.job_name for child in continuation.children.all())


def subjects(signed_up):
    return [mail.subject for mail in signed_up.outbox.mails(10)]


def test_the_whole_chain_sends_three_mails_and_counts_the_person_once():
    signed_up = ada()
    assert welcome(signed_up).status == Continuation.Status.SUCCEEDED
    assert subjects(signed_up) == ["Welcome, Ada"]
    run_enqueued()
    assert sorted(subjects(signed_up)) == ["A new person", "Three tips", "Welcome, Ada"]
    run_enqueued()
    signed_up.refresh_from_db()
    assert signed_up.counted == 1
    assert Metric.objects.get(name="welcomed").value == 1


def test_the_success_enqueues_the_tips_for_later_and_the_administrators_for_now():
    before, wait = timezone.now(), timedelta(seconds=60)
    root = welcome(ada(tips_after_seconds=60))
    assert names(root) == ["TellAdministrators", "TipsMail"]
    tips, told = (
        root.children.get(job_path__endswith="TipsMail"),
        root.children.get(job_path__endswith="Administrators"),
    )
    assert before + wait <= tips.run_after <= timezone.now() + wait
    assert told.run_after is None


def test_a_hook_that_fails_leaves_the_parent_succeeded_and_nothing_of_it_behind():
    root = welcome(ada(fault="hook"))
    assert root.status == Continuation.Status.SUCCEEDED
    assert root.follow_up_failed_at
    assert "The address book is away" in root.follow_up_error
    assert names(root) == []


def test_following_up_again_while_the_cause_is_there_keeps_the_mark():
    root = welcome(ada(fault="hook"))
    with pytest.raises(DeliberateError):
        root.follow_up()
    root.refresh_from_db()
    assert root.follow_up_failed_at
    assert names(root) == []


def test_following_up_again_once_the_cause_is_mended_enqueues_what_was_missing():
    signed_up = ada(fault="hook")
    root = welcome(signed_up)
    signed_up.mend()
    root.follow_up()
    root.refresh_from_db()
    assert root.follow_up_failed_at is None
    assert names(root) == ["TellAdministrators", "TipsMail"]
    assert subjects(signed_up) == ["Welcome, Ada"]


def test_a_child_that_fails_leaves_parent_and_siblings_alone_and_can_be_retried():
    signed_up = ada(fault="administrators")
    root = welcome(signed_up)
    with pytest.raises(DeliberateError):
        run_enqueued()
    told = root.children.get(job_path__endswith="Administrators")
    root.refresh_from_db()
    assert (root.status, told.status) == (Continuation.Status.SUCCEEDED, Continuation.Status.FAILED)
    assert subjects(signed_up) == ["Welcome, Ada", "Three tips"]
    signed_up.mend()
    told.retry()
    run_until_finished(told)
    assert subjects(signed_up) == ["Welcome, Ada", "Three tips", "A new person"]


@pytest.mark.parametrize("job_class", [WelcomeMail, TellAdministrators, TipsMail, CountPerson])
def test_each_job_of_the_chain_is_resumable(job_class, outbox):
    signed_up = ada()

    def effects():
        signed_up.refresh_from_db()
        return signed_up.counted, signed_up.outbox.counts()

    def reset():
        SignUp.objects.update(counted=0)
        shutil.rmtree(outbox, ignore_errors=True)

    assert_resumable(job_class, signed_up.pk, effects=effects, reset=reset)
