"""How a sweep is getting on, in the words of its page."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from continuations.models import Continuation

from ..stories.live import etag
from ..stories.progress import Progress

if TYPE_CHECKING:
    from .models import Sweep, Tally

STEPS = ("delete",)


class SweepProgress(Progress):
    """One sweep with its continuation, read at one moment."""

    def __init__(self, sweep: Sweep) -> None:
        pk = sweep.continuation_id
        followed = Continuation.objects.filter(pk=pk).first() if pk else None
        super().__init__(followed, steps=STEPS)
        self.sweep = sweep

    @cached_property
    def tally(self) -> Tally:
        return self.sweep.tally()

    @property
    def verdict(self) -> list[tuple[str, int]]:
        """What should be 0, under its name."""
        return [
            (_("Recent visits lost"), self.tally.lost),
            (_("Deleted without farewell"), self.tally.unsaid),
        ]

    @property
    def amounts(self) -> list[tuple[str, int]]:
        """All other counts."""
        return [
            (_("Old visits"), self.tally.old),
            (_("Deleted"), self.tally.deleted),
            (_("Farewells said again"), self.tally.repeated),
        ]

    @property
    def etag(self) -> str:
        return etag(*self.facts, self.tally)
