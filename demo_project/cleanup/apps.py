from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CleanupConfig(AppConfig):
    name = "demo_project.cleanup"
    label = "cleanup"
    verbose_name = _("Clean-up")
    default_auto_field = "django.db.models.BigAutoField"
