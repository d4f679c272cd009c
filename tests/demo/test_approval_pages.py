"""The pages of the story about an approval."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from continuations.models import Continuation
from continuations.testing import run_enqueued, run_until_finished
from demo_project.approvals.forms import LONGEST, SAMPLE
from demo_project.approvals.models import PriceList
from tests.admin.pages import call

pytestmark = pytest.mark.django_db

FORM = {"name": "Spring", "text": SAMPLE, "patience": "60"}


def hand_in(client, **changes):
    client.post(reverse("approvals:home"), {**FORM, **changes})
    run_enqueued()
    return PriceList.objects.get()


def page(client, price_list):
    return client.get(reverse("approvals:detail", args=[price_list.pk])).content.decode()


def answer(client, price_list, button, **data):
    url = reverse("approvals:answer", args=[price_list.pk])
    return client.post(url, {button: "1", **data}, follow=True).content.decode()


def test_handed_in_it_says_what_it_found_and_until_when_it_waits(client):
    html = page(client, hand_in(client))
    assert "Waits for an approval until" in html
    assert "<dt>Prices</dt><dd>8</dd>" in html
    assert "May these prices be imported?" in html
    assert "data-live-end" not in html


def test_without_a_limit_it_says_so(client):
    price_list = hand_in(client, patience="")
    assert price_list.timeout is None
    assert "for as long as it takes" in page(client, price_list)


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"text": "x" * (LONGEST + 1)}, {"text": ""}, {"patience": "7"}],
    ids=["no name", "too long", "empty", "another patience"],
)
def test_a_form_that_is_filled_in_wrongly_starts_nothing(client, changes):
    response = client.post(reverse("approvals:home"), {**FORM, **changes})
    assert "errorlist" in response.content.decode()
    assert not Continuation.objects.exists()


def test_approved_by_a_visitor_it_names_them_and_shows_the_prices(client):
    price_list = hand_in(client)
    assert "Your answer is on its way" in answer(client, price_list, "approve", by="Grace")
    run_enqueued()
    html = page(client, price_list)
    assert "Approved by Grace, and imported." in html
    assert "Cheesecake" in html
    assert "data-live-end" in html
    assert "May these prices be imported?" not in html


def test_declined_it_names_who_did(client):
    price_list = hand_in(client)
    answer(client, price_list, "decline", by="Grace <b>")
    run_enqueued()
    assert "Declined by Grace &lt;b&gt;. Nothing was imported." in page(client, price_list)


def test_who_is_signed_in_answers_under_that_name_and_no_other(admin_client):
    price_list = hand_in(admin_client)
    assert "You answer as admin." in page(admin_client, price_list)
    answer(admin_client, price_list, "approve", by="Somebody else")
    run_enqueued()
    assert "Approved by admin" in page(admin_client, price_list)


def test_an_answer_without_a_name_asks_for_one_and_sends_nothing(client):
    price_list = hand_in(client)
    assert "This field is required" in answer(client, price_list, "approve")
    assert not price_list.continuation.events.exists()


def test_neither_button_is_no_approval(client):
    price_list = hand_in(client)
    answer(client, price_list, "other", by="Grace")
    run_enqueued()
    assert "Declined by Grace" in page(client, price_list)


def test_the_second_answer_is_told_who_came_first(client):
    price_list = hand_in(client)
    answer(client, price_list, "decline", by="Grace")
    assert "Grace has answered before, and that counts." in answer(client, price_list, "approve", by="Ada")


def test_nobody_answers_in_time_and_the_page_says_so(client, monkeypatch):
    price_list = hand_in(client, patience="15")
    late = timezone.now() + timedelta(seconds=16)
    monkeypatch.setattr("django.utils.timezone.now", lambda: late)
    run_until_finished(price_list.continuation)
    assert "Nobody answered in time." in page(client, price_list)
    assert "Too late" in answer(client, price_list, "approve", by="Ada")


def test_a_list_that_is_none_shows_its_error(client):
    html = page(client, hand_in(client, text="Espresso"))
    assert "Line 1: Write an article and a price" in html
    assert "discarded" in html


def test_a_price_list_whose_continuation_was_pruned_keeps_its_page(client):
    price_list = hand_in(client)
    price_list.continuation.delete()
    assert "no longer recorded" in page(client, price_list)
    assert "Too late" in answer(client, price_list, "approve", by="Ada")


def test_an_event_sent_in_the_admin_is_an_answer_too(admin_client):
    price_list = hand_in(admin_client)
    call(admin_client, price_list.continuation, "send", name="approval", payload='{"approved": true, "by": "ada"}')
    run_enqueued()
    assert "Approved by ada" in page(admin_client, price_list)


def test_the_live_part_is_sent_only_when_it_has_changed(client):
    price_list = hand_in(client, patience="")
    url = reverse("approvals:live", args=[price_list.pk])
    first = client.get(url)
    assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
    answer(client, price_list, "approve", by="Ada")
    run_enqueued()
    second = client.get(url, headers={"if-none-match": first["ETag"]})
    assert second.status_code == 200
    assert "succeeded" in second.content.decode()
