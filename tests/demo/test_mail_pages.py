"""The pages of the stories about mails."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued, run_until_finished
from demo_project.mails import views
from demo_project.mails.jobs import SendNewsletter
from demo_project.mails.models import Dispatch, Newsletter, Person, SignUp
from demo_project.mails.signups import DeliberateError

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("outbox")]

FORM = {"name": "Ada", "email": "ada@example.org", "tips_after": "15", "fault": ""}


def sign_up(client, **changes):
    response = client.post(reverse("mails:welcome"), {**FORM, **changes})
    assert response.status_code == 302, response.context["form"].errors
    return SignUp.objects.get()


def page(client, sign_up):
    return client.get(reverse("mails:signed_up", args=[sign_up.pk])).content.decode()


def live(client, name, row):
    return client.get(reverse(f"mails:{name}_live", args=[row.pk])).content.decode()


def again(client, sign_up, **data):
    return client.post(reverse("mails:run_again", args=[sign_up.pk]), data, follow=True).content.decode()


def root(sign_up):
    return Continuation.objects.get(pk=sign_up.continuation_id)


# Welcome


def test_signing_up_makes_a_person_and_enqueues_the_welcome(client):
    signed_up = sign_up(client)
    assert (signed_up.person.name, signed_up.tips_after_seconds) == ("Ada", 15)
    assert root(signed_up).status == Continuation.Status.ENQUEUED
    assert "No mail has been sent yet." in page(client, signed_up)


def test_who_signs_up_again_stays_one_person(client):
    for name in ("Ada", "Ada Lovelace"):
        client.post(reverse("mails:welcome"), {**FORM, "name": name})
    assert Person.objects.get().name == "Ada Lovelace"
    assert SignUp.objects.count() == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Ada\r\nBcc: everybody@example.org"},
        {"name": ""},
        {"email": "nowhere"},
        {"tips_after": "1"},
        {"fault": "other"},
    ],
    ids=["a header", "no name", "no address", "another delay", "another fault"],
)
def test_a_form_that_is_filled_in_wrongly_starts_nothing(client, changes):
    response = client.post(reverse("mails:welcome"), {**FORM, **changes})
    assert "errorlist" in response.content.decode()
    assert not Continuation.objects.exists()
    assert not Person.objects.exists()


def test_the_page_shows_each_job_of_the_chain_and_each_mail(client):
    signed_up = sign_up(client)
    html = page(client, signed_up)
    assert html.count("to come") == 3
    assert "data-live-end" not in html
    for _ in range(3):
        run_enqueued()
    html = page(client, signed_up)
    assert "to come" not in html
    assert "data-live-end" in html
    assert all(subject in html for subject in ("Welcome, Ada", "Three tips", "A new person"))
    assert "Counted once. Welcomed so far: 1." in html


def test_what_somebody_typed_is_shown_as_text(client):
    signed_up = sign_up(client, name="<b>Ada</b>")
    run_enqueued()
    html = page(client, signed_up)
    assert "<b>Ada" not in html
    assert "Welcome, &lt;b&gt;Ada&lt;/b&gt;" in html


def test_a_follow_up_that_failed_is_shown_beside_a_parent_that_succeeded(client):
    signed_up = sign_up(client, fault="hook")
    run_enqueued()
    html = page(client, signed_up)
    assert "succeeded" in html
    assert "(follow-up failed)" in html
    assert "The address book is away" in html


def test_running_it_again_as_it_is_fails_again_and_says_so(client):
    signed_up = sign_up(client, fault="hook")
    run_enqueued()
    html = again(client, signed_up)
    assert "It failed again: The address book is away." in html
    assert root(signed_up).follow_up_failed_at


def test_mending_a_follow_up_enqueues_the_rest_of_the_chain(client):
    signed_up = sign_up(client, fault="hook")
    run_enqueued()
    html = again(client, signed_up, mend="1")
    assert "WelcomeMail runs again." in html
    assert root(signed_up).children.count() == 2
    assert "Something failed" not in html


def test_mending_a_child_that_failed_retries_that_one(client):
    signed_up = sign_up(client, fault="administrators")
    run_enqueued()
    with pytest.raises(DeliberateError):
        run_enqueued()
    assert "TellAdministrators has failed." in page(client, signed_up)
    assert "TellAdministrators runs again." in again(client, signed_up, mend="1")
    run_enqueued()
    assert "A new person" in page(client, signed_up)
    assert root(signed_up).executions == 1


def test_with_nothing_to_mend_nothing_runs_again(client):
    signed_up = sign_up(client)
    run_enqueued()
    assert "runs again" not in again(client, signed_up, mend="1")


def test_a_sign_up_whose_continuations_were_pruned_keeps_its_page(client):
    signed_up = sign_up(client)
    run_until_finished(root(signed_up))
    Continuation.objects.all().delete()
    assert "Welcome, Ada" in page(client, signed_up)


# Bulk


def write(client, **changes):
    client.post(reverse("mails:bulk"), {"subject": "News", "in_doubt": "again", **changes})
    return Newsletter.objects.get()


def test_people_are_made_up_by_a_button_and_not_without_end(client, monkeypatch):
    monkeypatch.setattr(views, "MOST_PEOPLE", 500)
    said = [client.post(reverse("mails:invent"), follow=True).content.decode() for _ in range(3)]
    assert "400 people were made up." in said[0]
    assert "100 people were made up." in said[1]
    assert "There are enough people already." in said[2]
    assert Person.objects.count() == 500


def test_without_people_there_is_nothing_to_send(client):
    response = client.post(reverse("mails:bulk"), {"subject": "News", "in_doubt": "again"})
    assert "There is nobody yet." in response.content.decode()
    assert not Newsletter.objects.exists()


def test_the_page_of_a_newsletter_on_its_way_shows_cursor_and_counts(client):
    Person.invent(4)
    newsletter = write(client)
    second = newsletter.recipients().order_by("pk")[1]
    with interrupt_during(SendNewsletter, "send", cursor=second.pk, reason="stopping"):
        run_enqueued()
    html = live(client, "newsletter", newsletter)
    assert '<progress value="2" max="4"' in html
    assert f"after person {second.pk}" in html
    assert "data-live-end" not in html


def test_the_page_of_a_newsletter_counts_what_is_in_doubt_repeated_and_skipped(client):
    Person.invent(3)
    newsletter = write(client)
    first = newsletter.recipients().order_by("pk")[0]
    newsletter.send_to(first)
    Dispatch.objects.update(sent_at=None)
    run_enqueued()
    run_enqueued()
    html = client.get(reverse("mails:newsletter", args=[newsletter.pk])).content.decode()
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", html))
    assert counts == {
        "People": "3",
        "Mails in the outbox": "4",
        "People without a mail": "0",
        "Mails repeated": "1",
        "In doubt": "1",
        "Skipped by our records": "0",
    }
    assert "Report: News" in html
    assert "data-live-end" in html


def test_live_parts_are_sent_only_when_they_have_changed(client):
    Person.invent(1)
    for name, row in (("newsletter", write(client)), ("signed_up", sign_up(client))):
        url = reverse(f"mails:{name}_live", args=[row.pk])
        first = client.get(url)
        assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
        run_enqueued()
        second = client.get(url, headers={"if-none-match": first["ETag"]})
        assert second.status_code == 200
        assert "succeeded" in second.content.decode()


def test_an_unchanged_live_part_of_a_newsletter_costs_seven_queries(client, django_assert_num_queries):
    Person.invent(5)
    newsletter = write(client)
    url = reverse("mails:newsletter_live", args=[newsletter.pk])
    etag = client.get(url)["ETag"]
    # The newsletter, its continuation with steps and executions, the records, the people, the report.
    with django_assert_num_queries(7):
        client.get(url, headers={"if-none-match": etag})


def test_an_unchanged_live_part_of_a_whole_chain_costs_four_queries(client, django_assert_num_queries):
    signed_up = sign_up(client)
    for _ in range(3):
        run_enqueued()
    url = reverse("mails:signed_up_live", args=[signed_up.pk])
    etag = client.get(url)["ETag"]
    # The sign-up, its continuations, their steps, their executions.
    with django_assert_num_queries(4):
        client.get(url, headers={"if-none-match": etag})


def test_actions_take_no_get(client):
    signed_up = sign_up(client)
    assert client.get(reverse("mails:run_again", args=[signed_up.pk])).status_code == 405
    assert client.get(reverse("mails:invent")).status_code == 405
