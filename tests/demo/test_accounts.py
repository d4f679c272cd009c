"""Accounts and their records, walked with a tuple cursor."""

from __future__ import annotations

import pytest

from continuations.models import Continuation
from continuations.testing import assert_resumable, interrupt_during, run_enqueued, run_until_finished
from demo_project.accounts.jobs import PostRecords, start
from demo_project.accounts.models import Account, Ledger, Record, Tally, records_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(PostRecords, "pace", 0)


def continuation_of(ledger):
    return Continuation.objects.get(pk=ledger.continuation_id)


def small_ledger():
    """Four accounts, of which one has no records, and nobody has enqueued anything for it."""
    ledger = Ledger.objects.create()
    for number, records in enumerate([2, 0, 3, 1], start=1):
        account = Account.objects.create(ledger=ledger, number=number)
        for place in range(records):
            Record.objects.create(account=account, amount=10**place)
    return ledger


def test_a_new_ledger_has_accounts_with_other_numbers_of_records_and_some_with_none():
    ledger = Ledger.open(10)
    counts = [account.records.count() for account in ledger.accounts.all()]
    assert counts == [records_of(number) for number in range(1, 11)]
    assert counts[6] == 0
    assert len(set(counts)) == 10
    assert not ledger.records().filter(amount=0).exists()
    assert ledger.tally() == Tally(records=sum(counts), posted=0, repeated=0, lost=0, wrong_balances=0)


def test_every_record_is_posted_once_and_every_balance_is_the_sum_of_its_records():
    ledger = start(5)
    assert run_until_finished(continuation_of(ledger)).status == Continuation.Status.SUCCEEDED
    tally = ledger.tally()
    assert tally.posted == tally.records > 0
    assert (tally.repeated, tally.lost, tally.wrong_balances) == (0, 0, 0)
    for account in ledger.accounts.all():
        assert account.balance == sum(record.amount for record in account.records.all())
    ledger.refresh_from_db()
    assert ledger.closed_at


def test_a_walk_stopped_at_any_checkpoint_or_crashed_there_posts_every_record_once():
    ledger = small_ledger()

    def effects():
        return list(ledger.accounts.values_list("balance", flat=True)), ledger.tally()

    def reset():
        ledger.accounts.update(balance=0)
        ledger.records().update(postings=0)

    assert_resumable(PostRecords, ledger.pk, effects=effects, reset=reset)
    assert ledger.tally() == Tally(records=6, posted=6, repeated=0, lost=0, wrong_balances=0)


def test_the_cursor_is_a_place_in_the_accounts_and_one_in_the_records_of_the_account():
    ledger = small_ledger()
    row = PostRecords.enqueue(ledger.pk)
    first, _empty, third, _last = ledger.accounts.all()
    record = third.records.all()[1]
    cursor = (_empty.pk, (third.pk, record.pk))
    with interrupt_during(PostRecords, "post", cursor=cursor):
        run_enqueued()
    step = row.steps.get(name="post")
    assert step.cursor == cursor
    assert (step.processed, step.total) == (4, 6)
    first.refresh_from_db()
    third.refresh_from_db()
    assert (first.balance, third.balance) == (11, 11)


def test_the_tally_counts_what_is_posted_twice_or_not_at_all():
    ledger = small_ledger()
    posted, _passed_by, twice, *_to_come = ledger.records()
    posted.post()
    assert ledger.tally().exact
    for _ in range(2):
        twice.post()
    assert ledger.tally() == Tally(records=6, posted=2, repeated=1, lost=1, wrong_balances=1)
    assert not ledger.tally().exact
