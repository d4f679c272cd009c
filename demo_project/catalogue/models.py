"""Catalogues that are pulled from a web API page by page, and the requests that the API was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.db.models import Count, F, Max, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .upstream import items_up_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .upstream import Item


class Pull(models.Model):
    """One copy of the catalogue, made by one job."""

    # Where the API is: this site's own, at the address under which the visitor came.
    address = models.URLField(gettext_lazy("address"), max_length=500)
    # What the API of this pull is like: how many pages it has, and which requests it does not answer (0: none).
    pages = models.PositiveIntegerField(gettext_lazy("pages"))
    fails_every = models.PositiveIntegerField(gettext_lazy("fails at every n-th request"))
    begun_at = models.DateTimeField(gettext_lazy("begun at"), default=timezone.now)
    # Requests so far.
    requests = models.PositiveIntegerField(gettext_lazy("requests"), default=0, editable=False)
    # Not a foreign key: continuations are pruned, pulls stay.
    continuation_id = models.UUIDField(gettext_lazy("continuation"), null=True, editable=False)

    class Meta:
        verbose_name = gettext_lazy("pull")
        verbose_name_plural = gettext_lazy("pulls")
        ordering = ["-begun_at", "-pk"]

    def __str__(self) -> str:
        return _("Pull %(number)s") % {"number": self.pk}

    def get_absolute_url(self) -> str:
        return reverse("catalogue:detail", args=[self.pk])

    def store(self, items: Iterable[Item]) -> None:
        """Keep the products of one page."""
        Product.objects.bulk_create(Product(pull=self, **item) for item in items)

    def receive(self, token: str) -> bool:
        """For the API: note a request for the page of `token`, and say whether it is to be answered."""
        with transaction.atomic():
            Pull.objects.filter(pk=self.pk).update(requests=F("requests") + 1)
            self.refresh_from_db(fields=["requests"])
            answered = not self.fails_every or self.requests % self.fails_every != 0
            Request.objects.create(pull=self, number=self.requests, token=token, answered=answered)
        return answered

    def tally(self) -> Tally:
        """What has arrived, and what was asked for it, counted now."""
        products = self.products.aggregate(all=Count("pk"), skus=Count("sku", distinct=True), last=Max("sku"))
        asked = self.received.aggregate(
            all=Count("pk"),
            refused=Count("pk", filter=Q(answered=False)),
            pages=Count("token", distinct=True, filter=Q(answered=True)),
        )
        return Tally(
            products=products["skus"],
            repeated=products["all"] - products["skus"],
            lost=items_up_to(products["last"]) - products["skus"],
            requests=asked["all"],
            refused=asked["refused"],
            pages_again=asked["all"] - asked["refused"] - asked["pages"],
        )


class Product(models.Model):
    """What one line of the catalogue says. Nothing is unique here, so that a page stored twice shows."""

    pull = models.ForeignKey(Pull, models.CASCADE, related_name="products", verbose_name=gettext_lazy("pull"))
    sku = models.CharField(gettext_lazy("SKU"), max_length=20)
    name = models.CharField(gettext_lazy("name"), max_length=100)
    price = models.PositiveIntegerField(gettext_lazy("price in cents"))

    class Meta:
        verbose_name = gettext_lazy("product")
        verbose_name_plural = gettext_lazy("products")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Request(models.Model):
    """A request that the API received."""

    pull = models.ForeignKey(Pull, models.CASCADE, related_name="received", verbose_name=gettext_lazy("pull"))
    number = models.PositiveIntegerField(gettext_lazy("number"))
    # Empty for the first page.
    token = models.CharField(gettext_lazy("token"), max_length=100, blank=True)
    # False: 503 was the answer.
    answered = models.BooleanField(gettext_lazy("answered"))

    class Meta:
        verbose_name = gettext_lazy("request")
        verbose_name_plural = gettext_lazy("requests")
        ordering = ["pk"]

    def __str__(self) -> str:
        return str(self.number)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Products that arrived, and requests that were made for them."""

    products: int
    # Stored beyond the first time.
    repeated: int
    # Not stored, although a later one is.
    lost: int
    requests: int
    refused: int
    # Pages that were asked for again after they had been answered: fetching is no work on this database.
    pages_again: int

    @property
    def exact(self) -> bool:
        """Nothing was lost or stored twice. A page that was asked for again is none of that."""
        return not (self.repeated or self.lost)
