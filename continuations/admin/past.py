"""How others of a class ended lately: whether it has happened before."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from ..transitions import Status
from ..words import number

if TYPE_CHECKING:
    from ..models import Continuation

# Others that are looked at: the newest, so that it takes no longer with a million.
OTHERS = 100


class Past:
    """The others of the class of `row`, read when they are asked for, in one query."""

    def __init__(self, row: Continuation) -> None:
        self._row = row

    @property
    def text(self) -> str:
        """How many of them failed."""
        count = len(self._others)
        failed = sum(status == Status.FAILED for status, _ in self._others)
        if not count:
            return gettext("There is no other of its class.")
        text = gettext("Others of its class that failed: %(failed)s of the last %(count)s.")
        return text % {"failed": number(failed), "count": number(count)}

    @property
    def last_success(self) -> dt.datetime | None:
        """When one of them succeeded last."""
        return max((at for status, at in self._others if status == Status.SUCCEEDED and at is not None), default=None)

    @cached_property
    def _others(self) -> list[tuple[str, dt.datetime | None]]:
        rows = type(self._row).objects.using(self._row._state.db).filter(job_path=self._row.job_path)
        newest = rows.order_by("-created_at").values_list("pk", "status", "finished_at")[: OTHERS + 1]
        return [(status, at) for pk, status, at in newest if pk != self._row.pk][:OTHERS]
