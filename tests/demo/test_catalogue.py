"""Pages of a web API, pulled with a token cursor over real HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from continuations.models import Continuation
from continuations.testing import assert_resumable, interrupt_during, run_enqueued, run_until_finished
from demo_project.catalogue import api
from demo_project.catalogue.client import RefusedError, UnavailableError, fetch
from demo_project.catalogue.jobs import PullCatalogue, start
from demo_project.catalogue.models import Pull, Tally
from demo_project.catalogue.upstream import PAGE_SIZE, page
from demo_project.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(api, "PACE", 0)


@pytest.fixture
def pulled(live_server):
    """Begins a pull from this site's own API."""

    def pulled(pages, fails_every=0):
        return start(pages=pages, fails_every=fails_every, address_of=lambda pull: live_server.url + address_of(pull))

    return pulled


def address_of(pull):
    return reverse("catalogue:api", args=[pull.pk])


def continuation_of(pull):
    return Continuation.objects.get(pk=pull.continuation_id)


def test_all_pages_are_stored_once_although_every_third_request_fails(pulled):
    pull = pulled(pages=5, fails_every=3)
    row = run_until_finished(continuation_of(pull))
    assert row.status == Continuation.Status.SUCCEEDED
    assert pull.tally() == Tally(products=5 * PAGE_SIZE, repeated=0, lost=0, requests=7, refused=2, pages_again=0)
    assert [execution.error_message for execution in row.execution_records.all()] == [
        "The API answered 503 Service Unavailable.",
        "The API answered 503 Service Unavailable.",
        "",
    ]
    assert row.steps.get().processed == 5


def test_after_a_failure_the_job_waits_a_second_before_it_asks_for_the_same_page_again(pulled):
    pull = pulled(pages=3, fails_every=2)
    row = continuation_of(pull)
    before, wait = timezone.now(), timedelta(seconds=1)
    run_enqueued()
    row.refresh_from_db()
    assert row.status == Continuation.Status.WAITING
    assert before + wait <= row.run_after <= timezone.now() + 1.15 * wait
    _, token = page("", pages=3)
    assert row.steps.get().cursor == (token,)


def test_a_pull_stopped_at_any_checkpoint_or_crashed_there_stores_every_product_once(pulled):
    pull = pulled(pages=3, fails_every=4)

    def effects():
        return list(pull.products.values_list("sku", "price"))

    def reset():
        pull.products.all().delete()
        pull.received.all().delete()
        Pull.objects.update(requests=0)

    assert_resumable(PullCatalogue, pull.pk, effects=effects, reset=reset)
    assert pull.tally().products == 3 * PAGE_SIZE
    assert pull.tally().repeated == 0


def test_a_pull_that_is_stopped_goes_on_at_the_token_of_the_next_page(pulled):
    pull = pulled(pages=4)
    _, second = page("", pages=4)
    _, third = page(second, pages=4)
    with interrupt_during(PullCatalogue, "pull", cursor=(third,)):
        run_enqueued()
    run_until_finished(continuation_of(pull))
    assert pull.tally() == Tally(products=4 * PAGE_SIZE, repeated=0, lost=0, requests=4, refused=0, pages_again=0)


def test_an_api_that_stays_away_fails_the_pull_after_five_tries():
    with pytest.raises(UnavailableError, match="does not answer"):
        run_until_finished(
            continuation_of(
                start(pages=3, fails_every=0, address_of=lambda pull: f"http://127.0.0.1:{free_port()}/nobody/")
            )
        )
    row = Continuation.objects.get()
    assert row.status == Continuation.Status.FAILED
    assert row.executions == 5


def test_the_tally_counts_what_is_stored_twice_or_passed_by():
    pull = Pull.objects.create(pages=3, fails_every=0)
    first, token = page("", pages=3)
    second, _ = page(token, pages=3)
    pull.store(first)
    assert pull.tally().exact
    pull.store([first[0], *second[1:]])
    assert pull.tally() == Tally(products=2 * PAGE_SIZE - 1, repeated=1, lost=1, requests=0, refused=0, pages_again=0)
    assert not pull.tally().exact


# The API


def test_the_api_gives_other_products_on_every_page_and_no_token_with_the_last(client):
    pull = Pull.objects.create(pages=3, fails_every=0)
    skus, token, pages = [], "", 0
    while token is not None:
        answer = client.get(address_of(pull), {"token": token}).json()
        skus += [product["sku"] for product in answer["products"]]
        token, pages = answer["next"], pages + 1
    assert pages == 3
    assert len(set(skus)) == len(skus) == 3 * PAGE_SIZE


def test_the_api_fails_at_exactly_every_nth_request_and_notes_it(client):
    pull = Pull.objects.create(pages=3, fails_every=3)
    statuses = [client.get(address_of(pull)).status_code for _ in range(7)]
    assert statuses == [200, 200, 503, 200, 200, 503, 200]
    assert pull.tally() == Tally(products=0, repeated=0, lost=0, requests=7, refused=2, pages_again=4)


@pytest.mark.parametrize("token", ["2", "2:forged", "\0", "0:" + "a" * 500])
def test_a_token_that_was_never_given_out_is_refused_and_not_counted(client, token):
    pull = Pull.objects.create(pages=3, fails_every=1)
    assert client.get(address_of(pull), {"token": token}).status_code == 400
    assert pull.tally().requests == 0


def test_a_pull_that_is_not_there_has_no_api(client):
    assert client.get(reverse("catalogue:api", args=[1])).status_code == 404


def test_only_get_is_allowed(client):
    pull = Pull.objects.create(pages=1, fails_every=0)
    assert client.post(address_of(pull)).status_code == 405


def test_an_answer_that_trying_again_will_not_change_is_an_error_of_its_own(live_server):
    pull = Pull.objects.create(pages=1, fails_every=0)
    with pytest.raises(RefusedError, match="The API answered 400 Bad Request"):
        fetch(live_server.url + address_of(pull), "forged")
