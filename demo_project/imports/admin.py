"""What the imports stored, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from .models import Airport, AirportImport, BadRow

if TYPE_CHECKING:
    from django.http import HttpRequest

    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Only a job writes these rows."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AirportImport)
class AirportImportAdmin(ReadOnlyAdmin):
    list_display = ["name", "uploaded_at", "airport_count", "bad_row_count", "finished_at"]


@admin.register(Airport)
class AirportAdmin(ReadOnlyAdmin):
    list_display = ["icao", "name", "city", "country", "airport_import", "line"]
    list_select_related = ["airport_import"]
    search_fields = ["icao__exact", "iata__exact", "name"]
    show_full_result_count = False


@admin.register(BadRow)
class BadRowAdmin(ReadOnlyAdmin):
    list_display = ["airport_import", "line", "reason"]
    list_select_related = ["airport_import"]
