"""How a pull is getting on, in the words of its page."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from continuations.models import Continuation

from ..stories.live import etag
from ..stories.progress import Progress, cursor_text

if TYPE_CHECKING:
    from .models import Pull, Tally

STEPS = ("pull",)

# Characters of a token that are shown; all of them say nothing.
SHOWN = 8


class PullProgress(Progress):
    """One pull with its continuation, read at one moment."""

    def __init__(self, pull: Pull) -> None:
        pk = pull.continuation_id
        followed = Continuation.objects.filter(pk=pk).first() if pk else None
        super().__init__(followed, steps=STEPS, describe_cursor=next_page)
        self.pull = pull

    @cached_property
    def tally(self) -> Tally:
        return self.pull.tally()

    @property
    def verdict(self) -> list[tuple[str, int]]:
        """What should be 0, under its name."""
        return [
            (_("Products stored twice"), self.tally.repeated),
            (_("Products lost"), self.tally.lost),
        ]

    @property
    def amounts(self) -> list[tuple[str, int]]:
        """All other counts."""
        return [
            (_("Products"), self.tally.products),
            (_("Requests"), self.tally.requests),
            (_("Answered with 503"), self.tally.refused),
            (_("Pages asked for again"), self.tally.pages_again),
        ]

    @property
    def etag(self) -> str:
        return etag(*self.facts, self.tally)


def next_page(cursor: Any) -> str:
    """A cursor with the beginning of its token."""
    match cursor:
        case (str(token),) if len(token) > SHOWN:
            return f"('{token[:SHOWN]}…',)"
        case _:
            return cursor_text(cursor)
