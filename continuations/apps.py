"""The app."""

from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _


class ContinuationsConfig(AppConfig):
    """Add `"continuations"` to `INSTALLED_APPS`; before `"django_rq"`, its `rqworker` is the better one."""

    name = "continuations"
    verbose_name = _("Continuations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import log
        from .checks import check_database, check_settings, check_worker

        log.connect()
        checks.register(check_settings)
        checks.register(check_database)
        checks.register(check_worker)
