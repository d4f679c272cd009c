"""How a ledger is getting on, in the words of its page."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from continuations.models import Continuation

from ..stories.live import etag
from ..stories.progress import Progress

if TYPE_CHECKING:
    from .models import Ledger, Tally

STEPS = (
    "post",
    "close",
)


class LedgerProgress(Progress):
    """One ledger with its continuation, read at one moment."""

    def __init__(self, ledger: Ledger) -> None:
        pk = ledger.continuation_id
        followed = Continuation.objects.filter(pk=pk).first() if pk else None
        super().__init__(followed, steps=STEPS)
        self.ledger = ledger

    @cached_property
    def tally(self) -> Tally:
        return self.ledger.tally()

    @property
    def verdict(self) -> list[tuple[str, int]]:
        """What should be 0, under its name."""
        return [
            (_("Records posted twice"), self.tally.repeated),
            (_("Records lost"), self.tally.lost),
        ]

    @property
    def amounts(self) -> list[tuple[str, int]]:
        """All other counts."""
        return [
            (_("Records"), self.tally.records),
            (_("Posted"), self.tally.posted),
            (_("Wrong balances"), self.tally.wrong_balances),
        ]

    @property
    def etag(self) -> str:
        return etag(*self.facts, self.tally)
