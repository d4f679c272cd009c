"""Ledgers of accounts, each with its records. Posting a record changes a balance, so posting it twice shows."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models, transaction
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# Records of the n-th account: some have many, one in seven has none, and each has another number.
MOST_RECORDS = 97


class Ledger(models.Model):
    """Accounts whose records are posted by one job."""

    opened_at = models.DateTimeField(gettext_lazy("opened at"), default=timezone.now)
    # Not a foreign key: continuations are pruned, ledgers stay.
    continuation_id = models.UUIDField(gettext_lazy("continuation"), null=True, editable=False)
    closed_at = models.DateTimeField(gettext_lazy("closed at"), null=True, editable=False)

    class Meta:
        verbose_name = gettext_lazy("ledger")
        verbose_name_plural = gettext_lazy("ledgers")
        ordering = ["-opened_at", "-pk"]

    def __str__(self) -> str:
        return _("Ledger %(number)s") % {"number": self.pk}

    def get_absolute_url(self) -> str:
        return reverse("accounts:detail", args=[self.pk])

    @classmethod
    @transaction.atomic
    def open(cls, accounts: int) -> Ledger:
        """A new ledger of so many accounts, each with records that nobody has posted yet."""
        ledger = cls.objects.create()
        Account.objects.bulk_create(Account(ledger=ledger, number=number) for number in range(1, accounts + 1))
        # Not every database tells the keys of many rows that it was given at once.
        Record.objects.bulk_create(
            (
                Record(account=account, amount=amount(account.number, place))
                for account in ledger.accounts.all()
                for place in range(records_of(account.number))
            ),
            batch_size=1000,
        )
        return ledger

    def records(self) -> models.QuerySet[Record]:
        """Those of all its accounts."""
        return Record.objects.filter(account__ledger=self)

    def close(self) -> None:
        """Say that every record is posted."""
        self.closed_at = timezone.now()
        self.save(update_fields=["closed_at"])

    def tally(self) -> Tally:
        """What has become of its records, counted now."""
        posted = self.records().filter(postings__gt=0).order_by("-pk")
        counts = self.records().aggregate(
            records=Count("pk"),
            posted=Count("pk", filter=Q(postings__gt=0)),
            # The walk comes by them in the order of their keys.
            lost=Count("pk", filter=Q(postings=0, pk__lt=Subquery(posted.values("pk")[:1]))),
            postings=Sum("postings", default=0),
        )
        owed = Record.objects.filter(account=OuterRef("pk")).order_by().values("account")
        amounts = Subquery(owed.annotate(all=Sum("amount", filter=Q(postings__gt=0))).values("all"))
        wrong = self.accounts.annotate(expected=Coalesce(amounts, 0)).exclude(balance=F("expected")).count()
        return Tally(
            records=counts["records"],
            posted=counts["posted"],
            repeated=counts["postings"] - counts["posted"],
            lost=counts["lost"],
            wrong_balances=wrong,
        )


class Account(models.Model):
    """A balance, in cents, which its records change."""

    ledger = models.ForeignKey(Ledger, models.CASCADE, related_name="accounts", verbose_name=gettext_lazy("ledger"))
    number = models.PositiveIntegerField(gettext_lazy("number"))
    balance = models.BigIntegerField(gettext_lazy("balance in cents"), default=0)

    class Meta:
        verbose_name = gettext_lazy("account")
        verbose_name_plural = gettext_lazy("accounts")
        ordering = ["pk"]

    def __str__(self) -> str:
        return _("Account %(number)s") % {"number": self.number}

    def to_post(self) -> models.QuerySet[Record]:
        """Its records. Those that were posted are among them: the cursor knows where to go on."""
        return self.records.all()


class Record(models.Model):
    """An amount, in cents, which is to be added to the balance of its account once."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="records", verbose_name=gettext_lazy("account"))
    amount = models.IntegerField(gettext_lazy("amount in cents"))
    # How often it was posted: more than once is a repetition.
    postings = models.PositiveIntegerField(gettext_lazy("postings"), default=0)

    class Meta:
        verbose_name = gettext_lazy("record")
        verbose_name_plural = gettext_lazy("records")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.amount / 100:.2f}"

    def post(self) -> None:
        """Add the amount to the balance, and count that it was done. To be called in a transaction."""
        Account.objects.filter(pk=self.account_id).update(balance=F("balance") + self.amount)
        Record.objects.filter(pk=self.pk).update(postings=F("postings") + 1)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Records by what happened to them. `repeated` counts every posting of a record beyond its first."""

    records: int
    posted: int
    repeated: int
    # Not posted, although a later one is.
    lost: int
    # Accounts whose balance is not the sum of their posted records.
    wrong_balances: int

    @property
    def exact(self) -> bool:
        """Nothing was lost or done twice."""
        return not (self.repeated or self.lost or self.wrong_balances)


def records_of(number: int) -> int:
    """How many records the account of this number has."""
    return number * 31 % MOST_RECORDS if number % 7 else 0


def amount(number: int, place: int) -> int:
    """Cents of the record at this place of the account of this number: never none."""
    return (number * 7919 + place * 104729) % 20_000 - 9_999 or 1
