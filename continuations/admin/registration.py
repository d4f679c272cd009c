"""The admin of continuations, from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from ..models import Continuation
from .bulk import BulkMixin
from .changelist import ListMixin
from .deletion import DeletionMixin
from .live import LiveMixin

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ContinuationAdminMixin(BulkMixin, ListMixin, LiveMixin, DeletionMixin):
    """All of it, for a `ModelAdmin` of yours or of a theme's::

    admin.site.unregister(Continuation)

    @admin.register(Continuation)
    class ThemedAdmin(ContinuationAdminMixin, unfold.admin.ModelAdmin):
        pass
    """


@admin.register(Continuation)
class ContinuationAdmin(ContinuationAdminMixin, ModelAdmin):
    """The stock admin."""
