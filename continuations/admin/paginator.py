"""Counting that ends: a million rows are not counted to show fifty."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import QuerySet

from ..words import number

if TYPE_CHECKING:
    Base = Paginator[Any]
else:
    Base = Paginator

# Rows that are counted, and that can be paged through.
CAP = 10_000


class AtLeast(int):
    """A count that was stopped: prints as `10,000+`."""

    def __str__(self) -> str:
        # Templates group the digits themselves then, and a sign among them would be taken for one.
        return int.__repr__(self) if settings.USE_THOUSAND_SEPARATOR else f"{number(int(self))}+"


class CappedPaginator(Base):
    """Counts no further than `CAP`, in one query that touches no more rows than that."""

    @property
    def is_capped(self) -> bool:
        """There are more than are counted."""
        return isinstance(self.count, AtLeast)

    @property
    def cap(self) -> str:
        """How many are counted, in words."""
        return number(CAP)

    @cached_property
    def count(self) -> int:
        """How many there are, or `CAP` if there are more."""
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        found = rows.order_by().values("pk")[: CAP + 1].count()
        return AtLeast(CAP) if found > CAP else found
