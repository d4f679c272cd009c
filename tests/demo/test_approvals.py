"""The import that waits for a person."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from continuations import TransitionError
from continuations.models import Continuation
from continuations.testing import assert_resumable, run_enqueued, run_until_finished
from demo_project.approvals.answers import Answer
from demo_project.approvals.jobs import ImportPrices, start
from demo_project.approvals.models import PriceList

pytestmark = pytest.mark.django_db

TEXT = "Tea,2.50\nCoffee,3.20\n\nCake,4.00\n"


def price_list(text=TEXT, patience=60):
    return start(PriceList(name="Spring", text=text, patience=patience))


def run(prices):
    continuation = run_until_finished(Continuation.objects.get(pk=prices.continuation_id))
    prices.refresh_from_db()
    return continuation


def test_it_validates_and_waits_and_imports_nothing_yet():
    prices = price_list()
    continuation = run(prices)
    assert (continuation.status, continuation.waiting_for) == (Continuation.Status.WAITING, "approval")
    found = continuation.steps.get(name="validate").result
    assert found == {"prices": 3, "lowest": Decimal("2.50"), "highest": Decimal("4.00")}
    assert not prices.prices.exists()


def test_approved_it_imports_and_says_who_approved():
    prices = price_list()
    run(prices)
    prices.answer(approved=True, by="ada")
    assert run(prices).result == "imported"
    assert (prices.outcome, prices.decided_by) == ("imported", "ada")
    assert list(prices.prices.values_list("line", "article", "price")) == [
        (1, "Tea", Decimal("2.50")),
        (2, "Coffee", Decimal("3.20")),
        (4, "Cake", Decimal("4.00")),
    ]


def test_declined_it_imports_nothing_and_says_who_declined():
    prices = price_list()
    run(prices)
    prices.answer(approved=False, by="grace")
    run(prices)
    assert (prices.outcome, prices.decided_by) == ("declined", "grace")
    assert not prices.prices.exists()


def test_an_answer_that_comes_before_it_waits_is_kept():
    prices = price_list()
    prices.answer(approved=True, by="ada")
    assert run(prices).result == "imported"


def test_the_first_answer_wins_and_the_second_is_told_so():
    prices = price_list()
    run(prices)
    assert prices.answer(approved=False, by="grace") == Answer(False, "grace")
    assert prices.answer(approved=True, by="ada") == Answer(False, "grace")


def test_when_nobody_answers_in_time_it_ends_and_says_so(monkeypatch):
    prices = price_list(patience=5)
    continuation = run(prices)
    late = timezone.now() + timedelta(seconds=6)
    monkeypatch.setattr("django.utils.timezone.now", lambda: late)
    assert run(prices).result == "expired"
    assert (prices.outcome, prices.decided_by) == ("expired", "")
    assert not prices.prices.exists()
    continuation.refresh_from_db()
    with pytest.raises(TransitionError):
        prices.answer(approved=True, by="ada")


def test_without_a_limit_it_waits_for_ever():
    continuation = run(price_list(patience=None))
    assert continuation.is_told_only


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"approved": True, "by": "ada"}, Answer(True, "ada")),
        ({"approved": True}, Answer(True, "")),
        ({"approved": "yes", "by": ["x"]}, Answer(False, "")),
        ({"by": "ada"}, Answer(False, "ada")),
        ({"by": "a" * 1000}, Answer(False, "a" * 150)),
        (True, Answer(False, "")),
        (None, Answer(False, "")),
    ],
)
def test_only_a_clear_yes_is_one_whatever_somebody_sends_from_the_admin(payload, expected):
    prices = price_list()
    run(prices).send("approval", payload)
    run(prices)
    assert Answer.of(payload) == expected
    assert (prices.outcome, prices.decided_by) == ("imported" if expected.approved else "declined", expected.by)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Tea,2.50\nCoffee", "Line 2: Write an article and a price, with a comma between them."),
        ("Tea,dear", "Line 1: “dear” value must be a decimal number."),
        ("Tea,0", "Line 1: Ensure this value is greater than or equal to 0.01."),
        ("Tea,NaN", "Line 1: “NaN” value must be a decimal number."),
        ("Tea,1e99", "Line 1: Ensure that there are no more than 10 digits in total."),
        ('"Tea,1', "Line 1: unexpected end of data"),
        ("\n\n", "The list has no prices."),
    ],
)
def test_a_list_that_is_none_is_discarded_before_anybody_is_asked(text, complaint):
    prices = price_list(text)
    continuation = run(prices)
    assert continuation.status == Continuation.Status.DISCARDED
    assert continuation.error_message == complaint


@pytest.mark.parametrize("approved", [True, False])
def test_stopped_or_crashed_anywhere_each_price_is_imported_once(approved):
    prices = price_list()

    def effects():
        prices.refresh_from_db()
        return prices.outcome, list(prices.prices.values_list("line", flat=True))

    assert_resumable(answered(approved), prices.pk, effects=effects, reset=prices.prices.all().delete)


def answered(approved):
    return ApprovedAtOnce if approved else DeclinedAtOnce


class ApprovedAtOnce(ImportPrices):
    answer = {"approved": True, "by": "ada"}

    def perform(self, price_list_pk):
        # An event that came early: the job need not wait for a person in a test.
        if not self.continuation.events.exists():
            self.continuation.send("approval", self.answer)
        return super().perform(price_list_pk)


class DeclinedAtOnce(ApprovedAtOnce):
    answer = {"approved": False, "by": "ada"}


def test_answers_for_others_that_wait_change_nothing():
    first, second = price_list(), price_list()
    run(first)
    run(second)
    first.answer(approved=True, by="ada")
    run_enqueued()
    second.refresh_from_db()
    assert second.outcome == ""
