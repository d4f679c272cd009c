"""What docs/admin.md says to do for a theme."""

from __future__ import annotations

from django.apps import AppConfig


class ThemedConfig(AppConfig):
    name = "tests.browser.unfold"
    label = "themed"

    def ready(self) -> None:
        from django.contrib import admin
        from unfold.admin import ModelAdmin

        from continuations.admin import ContinuationAdminMixin
        from continuations.models import Continuation

        class ContinuationAdmin(ContinuationAdminMixin, ModelAdmin):  # type: ignore[misc]
            pass

        admin.site.unregister(Continuation)
        admin.site.register(Continuation, ContinuationAdmin)
