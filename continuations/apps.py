"""The app."""

from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _

# `manage.py check --deploy --tag continuations` asks the servers, and nothing else.
TAG = "continuations"


class ContinuationsConfig(AppConfig):
    """Add `"continuations"` to `INSTALLED_APPS`; before `"django_rq"`, its `rqworker` is the better one."""

    name = "continuations"
    verbose_name = _("Continuations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks as ours
        from . import deployment, log

        log.connect()
        for check in ours.ALL:
            checks.register(check)
        for check in deployment.ALL:
            checks.register(check, TAG, deploy=True)
