"""The app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ContinuationsConfig(AppConfig):
    """Add `"continuations"` to `INSTALLED_APPS`; before `"django_rq"`, its `rqworker` is the better one."""

    name = "continuations"
    verbose_name = _("Continuations")
    default_auto_field = "django.db.models.BigAutoField"
