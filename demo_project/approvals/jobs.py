"""An import that waits for a person, and holds no worker meanwhile."""

from __future__ import annotations

from django.db import transaction

from continuations import ContinuableJob, Step, WaitTimeout, discard_on

from .answers import Answer
from .models import APPROVAL, PriceList, PriceListError


@discard_on(PriceListError)
class ImportPrices(ContinuableJob):
    """Imports the prices of one list, once somebody has said yes."""

    def perform(self, price_list_pk: int) -> str:
        self.price_list = PriceList.objects.get(pk=price_list_pk)
        self.step(self.price_list.validate)
        try:
            answer = Answer.of(self.wait_for(APPROVAL, timeout=self.price_list.timeout))
        except WaitTimeout:
            return self.end("expired")
        if not answer.approved:
            return self.end("declined", answer.by)
        self.step(self.load)
        return self.end("imported", answer.by)

    def load(self, step: Step) -> None:
        for price in step.iterate(list(self.price_list.rows())):
            with step.atomic():
                price.save()

    def end(self, outcome: str, by: str = "") -> str:
        return self.step(outcome, lambda: self.price_list.end(outcome, by), atomic=True)


@transaction.atomic
def start(price_list: PriceList) -> PriceList:
    """Store a price list and enqueue its import: both or neither."""
    price_list.save()
    price_list.follow(ImportPrices.enqueue(price_list.pk))
    return price_list
