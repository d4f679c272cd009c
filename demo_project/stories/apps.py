from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class StoriesConfig(AppConfig):
    name = "demo_project.stories"
    label = "stories"
    verbose_name = _("Stories")

    def ready(self) -> None:
        # Each story is declared in the module `story` of its own app.
        autodiscover_modules("story")
