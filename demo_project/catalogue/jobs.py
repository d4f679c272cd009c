"""A walk through the pages of a web API that fails now and then: its cursor is the token of the next page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from continuations import ContinuableJob, Step, retry_on
from continuations.sources import pages

from .client import UnavailableError, fetch
from .models import Pull

if TYPE_CHECKING:
    from collections.abc import Callable

    from .upstream import Item


@retry_on(UnavailableError, wait=1, attempts=5)
class PullCatalogue(ContinuableJob):
    """Copies the catalogue that the API of one pull gives."""

    def perform(self, pull_pk: int) -> None:
        self.source = Pull.objects.get(pk=pull_pk)
        self.step(self.pull)

    def pull(self, step: Step) -> None:
        for products in step.iterate(pages(self.fetch)):
            with step.atomic():  # the products and the token of the next page commit together
                self.source.store(products)

    def fetch(self, token: str | None) -> tuple[list[Item], str | None]:
        return fetch(self.source.address, token)


@transaction.atomic
def start(*, pages: int, fails_every: int, address_of: Callable[[Pull], str]) -> Pull:
    """Begin a pull and enqueue its job: both or neither. `address_of` gives the address of the API for a pull."""
    pull = Pull.objects.create(pages=pages, fails_every=fails_every)
    pull.address = address_of(pull)
    pull.continuation_id = PullCatalogue.enqueue(pull.pk).pk
    pull.save(update_fields=["address", "continuation_id"])
    return pull
