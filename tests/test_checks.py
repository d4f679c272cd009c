"""System checks."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from continuations.checks import locks_itself_out

# Django 6.1 passes all databases to the checks.
pytestmark = pytest.mark.django_db(databases="__all__")


def found() -> list[str]:
    return [str(each.id) for each in run_checks() if str(each.id).startswith("continuations.")]


def test_the_settings_of_these_tests_are_fine() -> None:
    assert found() == []


def test_an_unknown_setting_is_an_error_that_names_the_near_one(settings: Any) -> None:
    settings.CONTINUATIONS = {"CHECKPOINT_INTERVALL": 1}
    (message,) = [each for each in run_checks() if each.id == "continuations.E001"]
    assert "CHECKPOINT_INTERVAL'" in message.msg


def test_settings_that_are_no_dict_are_an_error(settings: Any) -> None:
    settings.CONTINUATIONS = ["DELIVERY"]
    assert "continuations.E001" in found()


@pytest.mark.parametrize(
    ("engine", "options", "expected"),
    [
        ("django.db.backends.sqlite3", {}, True),
        ("django.db.backends.sqlite3", {"transaction_mode": "DEFERRED"}, True),
        ("django.db.backends.sqlite3", {"transaction_mode": "immediate"}, False),
        ("django.db.backends.postgresql", {}, False),
    ],
)
def test_sqlite_without_immediate_transactions_locks_itself_out(
    engine: str, options: dict[str, str], expected: bool
) -> None:
    assert locks_itself_out({"ENGINE": engine, "OPTIONS": options}) is expected


def test_a_stock_worker_class_is_mentioned_with_what_is_lost(settings: Any) -> None:
    settings.RQ = {"WORKER_CLASS": "rq.SimpleWorker"}
    (message,) = [each for each in run_checks() if each.id == "continuations.I001"]
    assert "rq.SimpleWorker" in message.msg
    assert "recover_continuations" in str(message.hint)


def test_a_worker_class_of_ours_is_not_mentioned(settings: Any) -> None:
    settings.RQ = {"WORKER_CLASS": "continuations.worker.ContinuableSimpleWorker"}
    assert found() == []


def test_the_order_of_the_apps_that_hides_our_command_is_mentioned(settings: Any) -> None:
    apps = [app for app in settings.INSTALLED_APPS if app not in {"continuations", "django_rq"}]
    settings.INSTALLED_APPS = [*apps, "django_rq", "continuations"]
    assert found() == ["continuations.I001"]
