"""Things for jobs to work on."""

import uuid

from django.db import models
from django.utils import timezone


class Shelf(models.Model):
    label = models.CharField(max_length=50, unique=True)


class Product(models.Model):
    name = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    created = models.DateTimeField(default=timezone.now, db_index=True)
    day = models.DateField(default=timezone.localdate)
    code = models.UUIDField(default=uuid.uuid4, unique=True)
    note = models.CharField(max_length=50, null=True)
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True)
    rank = models.IntegerField(default=0)

    class Meta:
        ordering = ["name"]


class Applied(models.Model):
    """A ledger: one row for every time something was done. Unique on nothing, so that repeats show."""

    run = models.CharField(max_length=50, default="", db_index=True)
    item = models.CharField(max_length=50)
    pid = models.IntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)


class Receipt(models.Model):
    """What a project keeps of a continuation."""

    continuation = models.ForeignKey("continuations.Continuation", models.SET_NULL, null=True)
    guarded = models.ForeignKey("continuations.Continuation", models.PROTECT, null=True, related_name="guards")
