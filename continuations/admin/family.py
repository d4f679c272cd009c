"""Parents and children of a continuation, as its page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import Case, Count, F, FloatField, OuterRef, Subquery, Sum, Value, When
from django.db.models.functions import Cast, Coalesce, Least
from django.utils.translation import ngettext

from ..family import children_of_this_run
from ..records import StepRecord
from ..transitions import FINISHED, Status
from ..words import number

if TYPE_CHECKING:
    from ..models import Continuation

# Children that are listed; those a person should look at come first.
LISTED = 20


@dataclass(frozen=True)
class Group:
    """Children of one status."""

    status: str
    word: str
    count: int


class Family:
    """The children of this run of `row`, counted by the database."""

    def __init__(self, row: Continuation) -> None:
        self._rows = children_of_this_run(row)
        self.parent: Any = None
        if row.parent_id is not None:
            rows = type(row).objects.using(row._state.db)
            self.parent = rows.only("job_path", "status").filter(pk=row.parent_id).first()

    @cached_property
    def _counted(self) -> list[dict[str, Any]]:
        steps = StepRecord.objects.using(self._rows.db).filter(
            continuation=OuterRef("pk"), status=StepRecord.Status.RUNNING, total__gt=0
        )
        share = Least(Cast(F("processed"), FloatField()) / Cast(F("total"), FloatField()), Value(1.0))
        part = Coalesce(Subquery(steps.values(share=share)[:1], output_field=FloatField()), Value(0.0))
        done = Case(When(status__in=FINISHED, then=Value(1.0)), default=part, output_field=FloatField())
        grouped: Any = self._rows.order_by().annotate(part=done).values("status")
        return list(grouped.annotate(count=Count("pk"), parts=Sum("part")).order_by("status"))

    @cached_property
    def count(self) -> int:
        """How many children there are."""
        return sum(each["count"] for each in self._counted)

    @property
    def fraction(self) -> float | None:
        """How far they have come together: each counts the same. None without children."""
        return sum(each["parts"] for each in self._counted) / self.count if self.count else None

    @property
    def finished(self) -> int:
        """How many have ended, however they did."""
        return sum(each["count"] for each in self._counted if each["status"] in FINISHED)

    @property
    def text(self) -> str:
        """The counts in words."""
        values = {"finished": number(self.finished), "count": number(self.count)}
        return ngettext("%(finished)s of %(count)s child", "%(finished)s of %(count)s children", self.count) % values

    @property
    def groups(self) -> list[Group]:
        """How many there are of each status."""
        labels = {str(value): str(label) for value, label in Status.choices}
        return [Group(each["status"], labels[each["status"]], each["count"]) for each in self._counted]

    @cached_property
    def listed(self) -> list[Any]:
        """Some of them: what failed first, then what has not ended, then the rest."""
        if not self.count:
            return []
        rank = Case(
            When(status=Status.FAILED, then=Value(0)), When(status__in=FINISHED, then=Value(2)), default=Value(1)
        )
        rows = self._rows.only("job_path", "status", "created_at").annotate(rank=rank)
        return list(rows.order_by("rank", "created_at", "pk")[:LISTED])

    @property
    def unlisted(self) -> int:
        """How many are not listed."""
        return self.count - len(self.listed)

    @property
    def facts(self) -> list[Any]:
        """What changes when the page would."""
        return [(each["status"], each["count"], round(each["parts"], 3)) for each in self._counted]
