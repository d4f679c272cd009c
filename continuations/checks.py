"""System checks. Their ids are public: silence one with `SILENCED_SYSTEM_CHECKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .conf import Settings, database


def check_settings(**_: Any) -> list[CheckMessage]:
    """continuations.E001: CONTINUATIONS has a key this package does not know, or is no dict."""
    try:
        Settings.load()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="continuations.E001")]
    return []


def check_database(**_: Any) -> list[CheckMessage]:
    """continuations.W001: SQLite would lock itself out, since the worker and the site both write."""
    try:
        alias = database()
    except ImproperlyConfigured:
        return []
    if not locks_itself_out(django_settings.DATABASES.get(alias, {})):
        return []
    return [
        checks.Warning(
            f"Database {alias!r} is SQLite without immediate transactions: a worker and a site that write at the same "
            'time get "database is locked".',
            hint=f'DATABASES[{alias!r}]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", "timeout": 20}}',
            id="continuations.W001",
        )
    ]


def locks_itself_out(configured: Mapping[str, Any]) -> bool:
    """Whether this entry of DATABASES is SQLite with transactions that begin by reading."""
    is_sqlite = str(configured.get("ENGINE", "")).endswith("sqlite3")
    return is_sqlite and str(configured.get("OPTIONS", {}).get("transaction_mode", "")).upper() != "IMMEDIATE"


def check_worker(**_: Any) -> list[CheckMessage]:
    """continuations.I001: `manage.py rqworker` starts a worker that does not know of continuations."""
    named = getattr(django_settings, "RQ", {}).get("WORKER_CLASS")
    if named is not None:
        return [] if _knows_continuations(named) else [_stock(f'RQ["WORKER_CLASS"] is {named}')]
    names = [config.name for config in apps.get_app_configs()]
    if "django_rq" not in names or names.index("continuations") < names.index("django_rq"):
        return []
    return [_stock("`continuations` stands behind `django_rq` in INSTALLED_APPS")]


def _knows_continuations(named: Any) -> bool:
    from .worker import ContinuableWorkerMixin

    worker_class = import_string(named) if isinstance(named, str) else named
    return isinstance(worker_class, type) and issubclass(worker_class, ContinuableWorkerMixin)


def _stock(why: str) -> CheckMessage:
    return checks.Info(
        f"`manage.py rqworker` starts a stock worker, since {why}.",
        hint=(
            "All jobs run all the same. Without ContinuableWorker, a job whose worker or machine is lost is taken over "
            "after minutes instead of seconds, what Redis lost is found only in passing or by `manage.py "
            "recover_continuations`, rests over 30 s need `--with-scheduler`, and a shutdown takes a second to be seen."
        ),
        id="continuations.I001",
    )
