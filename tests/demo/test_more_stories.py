"""The pages of accounts, clean-up and catalogue: starting, watching, and what they count."""

from __future__ import annotations

import pytest
from django.urls import reverse

from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued, run_until_finished, stopping_when
from demo_project.accounts.jobs import PostRecords
from demo_project.accounts.models import Ledger
from demo_project.catalogue.models import Pull
from demo_project.catalogue.progress import next_page
from demo_project.cleanup.jobs import DeleteOldVisits
from demo_project.cleanup.models import Sweep
from demo_project.stories.registry import stories

pytestmark = pytest.mark.django_db

PAGES = {"accounts": Ledger, "cleanup": Sweep, "catalogue": Pull}
FORMS = {"accounts": {}, "cleanup": {}, "catalogue": {"fails_every": "7"}}
JOBS = {"accounts": "PostRecords", "cleanup": "DeleteOldVisits", "catalogue": "PullCatalogue"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(PostRecords, "pace", 0)
    monkeypatch.setattr(DeleteOldVisits, "pace", 0)


@pytest.fixture(params=PAGES)
def app(request):
    return request.param


def begin(client, app):
    client.post(reverse(f"{app}:home"), FORMS[app])
    return PAGES[app].objects.get()


def continuation_of(started):
    return Continuation.objects.get(pk=started.continuation_id)


def count(page, name):
    return int(page.split(f"<dt>{name}</dt><dd>")[1].split("<")[0].replace(",", ""))


def test_the_first_page_leads_to_each_story(client, app):
    assert f'href="{reverse(f"{app}:home")}"' in client.get("/").content.decode()
    assert app in [story.slug for story in stories()]


def test_a_button_starts_a_job_and_shows_it(client, app):
    response = client.post(reverse(f"{app}:home"), FORMS[app], follow=True)
    row = Continuation.objects.get()
    assert row.job_name == JOBS[app]
    assert response.redirect_chain == [(PAGES[app].objects.get().get_absolute_url(), 302)]
    assert f"class {row.job_name}(ContinuableJob)" in response.content.decode()
    assert "No worker has started it yet." in response.content.decode()


def test_what_was_started_is_found_again_on_the_first_page_of_the_story_also_once_it_was_pruned(client, app):
    started = begin(client, app)
    home = reverse(f"{app}:home")
    assert f'<a href="{started.get_absolute_url()}">{started}</a>:' in client.get(home).content.decode()
    assert "enqueued" in client.get(home).content.decode()
    Continuation.objects.all().delete()
    assert "no longer recorded" in client.get(home).content.decode()
    assert "no longer recorded" in client.get(started.get_absolute_url()).content.decode()


def test_a_story_that_was_never_started_says_so(client, app):
    assert "None yet." in client.get(reverse(f"{app}:home")).content.decode()


def test_looking_at_a_page_starts_nothing(client, app):
    client.get(reverse(f"{app}:home"))
    client.head(reverse(f"{app}:home"))
    assert not Continuation.objects.exists()
    assert client.put(reverse(f"{app}:home")).status_code == 405


def test_what_is_not_there_is_not_found(client, app):
    assert client.get(reverse(f"{app}:detail", args=[1])).status_code == 404
    assert client.get(reverse(f"{app}:live", args=[1])).status_code == 404


def test_the_live_part_is_sent_only_when_it_has_changed(client, app):
    started = begin(client, app)
    url = reverse(f"{app}:live", args=[started.pk])
    first = client.get(url)
    assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
    continuation_of(started).cancel()
    second = client.get(url, headers={"if-none-match": first["ETag"]})
    assert second.status_code == 200
    assert "cancelled" in second.content.decode()
    assert "data-live-end" in second.content.decode()


def test_the_page_of_a_ledger_shows_both_parts_of_the_cursor_and_counts_as_the_job_goes_on(client):
    ledger = begin(client, "accounts")
    first = ledger.accounts.first()
    record = first.records.all()[4]
    cursor = (None, (first.pk, record.pk))
    with interrupt_during(PostRecords, "post", cursor=cursor, reason="stopping"):
        run_enqueued()
    page = client.get(ledger.get_absolute_url()).content.decode()
    assert str(cursor) in page
    assert (count(page, "Posted"), count(page, "Records posted twice"), count(page, "Wrong balances")) == (5, 0, 0)
    run_until_finished(continuation_of(ledger))
    page = client.get(ledger.get_absolute_url()).content.decode()
    assert count(page, "Posted") == count(page, "Records") == ledger.records().count()
    assert count(page, "Records lost") == 0
    assert "demo-tally-exact" in page


def test_the_page_of_a_sweep_counts_what_is_gone(client):
    sweep = begin(client, "cleanup")
    with stopping_when(lambda job: sweep.old_visits().count() == 1_150):
        run_enqueued()
    page = client.get(sweep.get_absolute_url()).content.decode()
    assert [
        count(page, name) for name in ("Old visits", "Deleted", "Recent visits lost", "Deleted without farewell")
    ] == [
        1_200,
        50,
        0,
        0,
    ]


def test_of_a_token_the_beginning_is_enough():
    assert next_page(("20:vVw0ozX7MUa2L",)) == "('20:vVw0o…',)"
    assert (next_page(("20",)), next_page(()), next_page(None)) == ("('20',)", "()", "")


def test_the_address_of_the_api_is_that_under_which_the_visitor_came(client):
    pull = begin(client, "catalogue")
    assert pull.address == f"http://testserver{reverse('catalogue:api', args=[pull.pk])}"
    assert pull.fails_every == 7


@pytest.mark.parametrize("choice", ["", "1", "-7", "many"])
def test_a_choice_that_is_not_offered_starts_nothing(client, choice):
    response = client.post(reverse("catalogue:home"), {"fails_every": choice})
    assert 'class="errorlist"' in response.content.decode()
    assert not Continuation.objects.exists()
