"""Price lists and what was imported of them, to look at."""

from __future__ import annotations

from django.contrib import admin

from ..imports.admin import ReadOnlyAdmin
from .models import Price, PriceList


@admin.register(PriceList)
class PriceListAdmin(ReadOnlyAdmin):
    list_display = ["name", "created_at", "outcome", "decided_by", "ended_at"]


@admin.register(Price)
class PriceAdmin(ReadOnlyAdmin):
    list_display = ["article", "price", "price_list", "line"]
    list_select_related = ["price_list"]
