"""Visits of a site, old ones among them, and the farewells that were said to those that were deleted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models import Count, Exists, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# After so many days a visit is to be forgotten.
KEPT_DAYS = 30


class Sweep(models.Model):
    """One clean-up: the visits that were there when it began, and what became of them."""

    begun_at = models.DateTimeField(gettext_lazy("begun at"), default=timezone.now)
    # Visits of before this day are deleted.
    before = models.DateField(gettext_lazy("before"))
    old = models.PositiveIntegerField(gettext_lazy("old visits at the start"))
    recent = models.PositiveIntegerField(gettext_lazy("recent visits at the start"))
    # Not a foreign key: continuations are pruned, sweeps stay.
    continuation_id = models.UUIDField(gettext_lazy("continuation"), null=True, editable=False)

    class Meta:
        verbose_name = gettext_lazy("sweep")
        verbose_name_plural = gettext_lazy("sweeps")
        ordering = ["-begun_at", "-pk"]

    def __str__(self) -> str:
        return _("Sweep %(number)s") % {"number": self.pk}

    def get_absolute_url(self) -> str:
        return reverse("cleanup:detail", args=[self.pk])

    @classmethod
    @transaction.atomic
    def prepare(cls, old: int, recent: int) -> Sweep:
        """A new sweep with so many old and recent visits, which lie among each other."""
        today = timezone.now().date()
        before = today - dt.timedelta(days=KEPT_DAYS)
        sweep = cls.objects.create(before=before, old=old, recent=recent)
        visits = old + recent
        Visit.objects.bulk_create(
            (
                # Spread evenly: the n-th is old if the share of old ones up to it has just grown.
                Visit(
                    sweep=sweep,
                    number=number,
                    day=before - dt.timedelta(days=1 + number % 300)
                    if number * old // visits > (number - 1) * old // visits
                    else today - dt.timedelta(days=number % KEPT_DAYS),
                )
                for number in range(1, visits + 1)
            ),
            batch_size=1000,
        )
        return sweep

    def old_visits(self) -> models.QuerySet[Visit]:
        """Those that are still to be deleted."""
        return self.visits.filter(day__lt=self.before)

    def forget(self, visit: Visit) -> None:
        """Say farewell, then delete. Whoever dies between the two says it again, and deletes only once."""
        Farewell.objects.create(sweep=self, visit=visit.number)
        visit.delete()

    def tally(self) -> Tally:
        """What has become of its visits. Counted by one statement: the job goes on between two."""
        visits = Visit.objects.filter(sweep=OuterRef("pk"))
        farewells = Farewell.objects.filter(sweep=OuterRef("pk"))
        old = visits.filter(day__lt=OuterRef("before"))
        of_deleted = ~Exists(Visit.objects.filter(sweep=OuterRef("sweep"), number=OuterRef("visit")))
        found = Sweep.objects.values(
            left=_count(old),
            there=_count(visits),
            said=_count(farewells),
            greeted=_count(farewells, "visit"),
            gone=_count(farewells.filter(of_deleted), "visit"),
        ).get(pk=self.pk)
        deleted = self.old - found["left"]
        return Tally(
            old=self.old,
            deleted=deleted,
            lost=self.recent - (found["there"] - found["left"]),
            farewells=found["said"],
            repeated=found["said"] - found["greeted"],
            unsaid=deleted - found["gone"],
        )


class Visit(models.Model):
    """Somebody looked at the site."""

    sweep = models.ForeignKey(Sweep, models.CASCADE, related_name="visits", verbose_name=gettext_lazy("sweep"))
    number = models.PositiveIntegerField(gettext_lazy("number"))
    day = models.DateField(gettext_lazy("day"))

    class Meta:
        verbose_name = gettext_lazy("visit")
        verbose_name_plural = gettext_lazy("visits")
        ordering = ["pk"]

    def __str__(self) -> str:
        return _("Visit %(number)s") % {"number": self.number}


class Farewell(models.Model):
    """What was said to a visit before it was deleted. Stands for a mail: once sent, it cannot be taken back."""

    sweep = models.ForeignKey(Sweep, models.CASCADE, related_name="farewells", verbose_name=gettext_lazy("sweep"))
    visit = models.PositiveIntegerField(gettext_lazy("visit"))

    class Meta:
        verbose_name = gettext_lazy("farewell")
        verbose_name_plural = gettext_lazy("farewells")
        ordering = ["pk"]

    def __str__(self) -> str:
        return _("Farewell to visit %(number)s") % {"number": self.visit}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Visits by what happened to them, and how often farewell was said."""

    old: int
    deleted: int
    # Recent ones that are gone although they should not be.
    lost: int
    farewells: int
    # Beyond the first to each visit: at most one for each kill, since saying it is no work on this database.
    repeated: int
    # Deleted without a farewell.
    unsaid: int

    @property
    def exact(self) -> bool:
        """Nothing was lost, or done without the other. A farewell that was said again is none of that."""
        return not (self.lost or self.unsaid)


def _count(rows: models.QuerySet[Any], of: str = "pk") -> Coalesce:
    """How many different values of `of` these rows of a sweep have, within a larger query."""
    counted = rows.order_by().values("sweep").annotate(found=Count(of, distinct=True)).values("found")
    return Coalesce(Subquery(counted), 0)
