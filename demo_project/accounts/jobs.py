"""A walk through records within accounts: its cursor is a tuple, a place in both."""

from __future__ import annotations

import time
from typing import ClassVar

from django.db import transaction

from continuations import ContinuableJob, Step
from continuations.sources import nested

from .models import Account, Ledger


class PostRecords(ContinuableJob):
    """Posts every record of every account of one ledger, once."""

    # Seconds that the work on one record takes beside the database, so that there is something to watch.
    pace: ClassVar[float] = 0.006

    def perform(self, ledger_pk: int) -> None:
        self.ledger = Ledger.objects.get(pk=ledger_pk)
        self.step(self.post)
        self.step("close", self.ledger.close, atomic=True)

    def post(self, step: Step) -> None:
        step.progress(total=self.ledger.records().count())
        for _account, record in step.iterate(nested(self.ledger.accounts.all(), Account.to_post)):
            time.sleep(self.pace)
            with step.atomic():  # the balance, the record and the cursor change together
                record.post()


@transaction.atomic
def start(accounts: int) -> Ledger:
    """Open a ledger and enqueue its job: both or neither."""
    ledger = Ledger.open(accounts)
    ledger.continuation_id = PostRecords.enqueue(ledger.pk).pk
    ledger.save(update_fields=["continuation_id"])
    return ledger
