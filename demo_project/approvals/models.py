"""Price lists that wait for a person. The methods are the work; the job decides when it is done."""

from __future__ import annotations

import csv
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as text
from django.utils.translation import gettext_lazy as _

from continuations.models import Continuation

from .answers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

# Name of the event that a price list waits for.
APPROVAL = "approval"


class PriceListError(Exception):
    """This is no price list, and nothing of it is imported. The message says which row is wrong."""


class PriceList(models.Model):
    """New prices, as text, and what became of them."""

    class Outcome(models.TextChoices):
        """How it ended."""

        IMPORTED = "imported", _("imported")
        DECLINED = "declined", _("declined")
        EXPIRED = "expired", _("nobody answered in time")

    name = models.CharField(_("name"), max_length=100)
    text = models.TextField(_("articles and prices"))
    # Seconds. Empty: it waits for ever.
    patience = models.PositiveIntegerField(_("waits for at most"), null=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    # Not a foreign key: continuations are pruned, price lists stay.
    continuation_id = models.UUIDField(_("continuation"), null=True, editable=False)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome, blank=True, default="", editable=False)
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True, default="", editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, editable=False)

    class Meta:
        verbose_name = _("price list")
        verbose_name_plural = _("price lists")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def continuation(self) -> Continuation | None:
        """The continuation that does this import, read now; None once it was pruned."""
        return Continuation.objects.filter(pk=self.continuation_id).first() if self.continuation_id else None

    def follow(self, continuation: Continuation) -> None:
        """Remember the continuation that does this import."""
        self.continuation_id = continuation.pk
        self.save(update_fields=["continuation_id"])

    @property
    def timeout(self) -> timedelta | None:
        return None if self.patience is None else timedelta(seconds=self.patience)

    def rows(self) -> Iterator[Price]:
        """The prices of the text, unsaved. Raises `PriceListError`."""
        reader = csv.reader(StringIO(self.text.strip(), newline=""), strict=True)
        try:
            for cells in reader:
                if cells:
                    yield Price.from_cells(self, reader.line_num, cells)
        except (ValidationError, csv.Error) as error:
            problem = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise PriceListError(
                text("Line %(line)s: %(problem)s") % {"line": reader.line_num, "problem": problem}
            ) from error

    def validate(self) -> dict[str, Any]:
        """Read it once and write nothing: what somebody wants to know who shall approve it. Raises `PriceListError`."""
        prices = [row.price for row in self.rows()]
        if not prices:
            raise PriceListError(text("The list has no prices."))
        return {"prices": len(prices), "lowest": min(prices), "highest": max(prices)}

    def end(self, outcome: str, by: str = "") -> str:
        """Say how it ended, and who decided that."""
        self.outcome, self.decided_by, self.ended_at = outcome, by, timezone.now()
        self.save(update_fields=["outcome", "decided_by", "ended_at"])
        return outcome

    def answer(self, *, approved: bool, by: str) -> Answer:
        """Answer it. Returns the answer that counts: somebody else's, if that came first.

        Raises `TransitionError` if it does not wait for one any more, `Continuation.DoesNotExist` once it was pruned.
        """
        continuation = self.continuation
        if continuation is None:
            raise Continuation.DoesNotExist
        event = continuation.send(APPROVAL, Answer(approved, by).payload)
        return Answer.of(event.payload)


class Price(models.Model):
    """A price as one row gives it. Nothing is unique here, so that a row imported twice shows."""

    price_list = models.ForeignKey(PriceList, models.CASCADE, related_name="prices", verbose_name=_("price list"))
    line = models.PositiveIntegerField(_("line"))
    article = models.CharField(_("article"), max_length=100)
    price = models.DecimalField(
        _("price"), max_digits=10, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.article}: {self.price}"

    @classmethod
    def from_cells(cls, price_list: PriceList, line: int, cells: list[str]) -> Price:
        """The price of a row, unsaved. Raises `ValidationError` if it has none."""
        if len(cells) != 2:
            raise ValidationError(text("Write an article and a price, with a comma between them."))
        price = cls(price_list=price_list, line=line, article=cells[0].strip(), price=cells[1].strip())
        price.clean_fields(exclude={"price_list"})
        return price
