"""A price list as its page shows it: what was found in it, who is asked for how long, and how it ended."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.formats import time_format
from django.utils.translation import gettext as _

from continuations.models import Continuation
from continuations.records import StepRecord

from ..stories.live import etag
from ..stories.progress import Progress
from .models import APPROVAL

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import Price, PriceList

# Prices that are shown.
SHOWN = 20


class Request:
    """One price list with its continuation, read at one moment."""

    def __init__(self, price_list: PriceList) -> None:
        self.price_list = price_list
        self.progress = Progress(price_list.continuation, steps=["validate", APPROVAL], describe_cursor=_place)
        self.price_count = price_list.prices.count()

    @property
    def found(self) -> dict[str, Any] | None:
        """What the validation found; None before it is done."""
        record = self._record("validate")
        return record.result if record and record.status == StepRecord.Status.COMPLETED else None

    @property
    def waits(self) -> bool:
        """Somebody is asked."""
        row = self.progress.continuation
        return row is not None and row.status == Continuation.Status.WAITING and row.waiting_for == APPROVAL

    @property
    def until(self) -> datetime | None:
        """When it stops waiting; None if that is never."""
        return self.progress.continuation.run_after if self.progress.continuation else None

    @property
    def may_be_answered(self) -> bool:
        """An answer that comes early counts, too."""
        row = self.progress.continuation
        return row is not None and not row.is_finished and not self.answered

    @cached_property
    def answered(self) -> bool:
        """Somebody has answered."""
        row = self.progress.continuation
        return row is not None and row.events.filter(name=APPROVAL).exists()

    @property
    def decided_by(self) -> str:
        return self.price_list.decided_by or _("somebody without a name")

    @property
    def state(self) -> str:
        """In words, for those who do not see the page."""
        return self.price_list.get_outcome_display() or self.progress.status_text

    @property
    def prices(self) -> QuerySet[Price]:
        return self.price_list.prices.all()[:SHOWN]

    @property
    def etag(self) -> str:
        return etag(*self.progress.facts, self.price_count, self.price_list.outcome)

    def _record(self, name: str) -> StepRecord | None:
        line = self.progress.step(name)
        return line.record if line else None


def _place(cursor: Any) -> str:
    """Of a wait, the cursor is its end."""
    if isinstance(cursor, datetime):
        return _("until %(time)s") % {"time": time_format(timezone.localtime(cursor), "H:i:s")}
    return "" if cursor is None else str(cursor)
