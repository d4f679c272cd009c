"""System checks that look at settings and classes only."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rq.job import Job

from continuations import ContinuableJob, conf, loading
from continuations.checks import locks_itself_out
from continuations.transitions import FINISHED

# Django 6.1 passes all databases to the checks.
pytestmark = pytest.mark.django_db(databases="__all__")


class Plain(ContinuableJob):
    def perform(self) -> None: ...


class Astray(Plain):
    queue_name = "import"


class AstrayLater(Plain):
    resume_queue_name = "later"


class Abstract(ContinuableJob):
    queue_name = "nowhere"


class Hasty(Plain):
    rq_options = {"job_timeout": "9s"}


class Unlimited(Plain):
    rq_options = {"job_timeout": -1}


class FastQueue(Plain):
    queue_name = "fast"


class OddTimeout(Plain):
    rq_options = {"job_timeout": "soon"}


class OwnPerform(Job):
    def perform(self) -> None:
        super().perform()


class OwnMeta(Job):
    pass


class Registers:
    """Lets the checks see these job classes only, whatever other tests have imported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self(Plain)

    def __call__(self, *job_classes: type[Any]) -> None:
        self._monkeypatch.setattr(loading, "_registry", {str(each): each for each in job_classes})


@pytest.fixture(autouse=True)
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return Registers(monkeypatch)


def messages() -> list[CheckMessage]:
    return [each for each in run_checks() if str(each.id).startswith("continuations.")]


def found() -> list[str]:
    return [str(each.id) for each in messages()]


def test_the_settings_of_these_tests_are_fine() -> None:
    assert found() == []


def test_no_server_is_asked(monkeypatch: pytest.MonkeyPatch, settings: Any, only: Any) -> None:
    def connect(*_: Any) -> None:
        raise AssertionError("a check without --deploy opened a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    settings.CONTINUATIONS = {"DELIVERY": "continuations.delivery.RQDelivery"}
    only(Plain, Astray)
    with CaptureQueriesContext(connection) as queries:
        assert found() == ["continuations.E004"]
    assert len(queries) == 0


# CONTINUATIONS


def test_an_unknown_setting_is_an_error_that_names_the_near_one(settings: Any) -> None:
    settings.CONTINUATIONS = {"CHECKPOINT_INTERVALL": 1, "retention": None}
    assert [(each.id, each.msg.partition("Did")[2]) for each in messages()] == [
        ("continuations.E001", " you mean 'CHECKPOINT_INTERVAL'?"),
        ("continuations.E001", " you mean 'RETENTION'?"),
    ]


def test_settings_that_are_no_dict_are_an_error(settings: Any) -> None:
    settings.CONTINUATIONS = ["DELIVERY"]
    assert found() == ["continuations.E001"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DATABASE", "nowhere"),
        ("DATABASE", 1),
        ("DELIVERY", "RQDelivery"),
        ("DELIVERY", None),
        ("CHECKPOINT_INTERVAL", -1),
        ("CHECKPOINT_INTERVAL", "1"),
        ("CHECKPOINT_INTERVAL", True),
        ("CHECKPOINT_INTERVAL", float("nan")),
        ("RETENTION", 30),
        ("RETENTION", dt.timedelta(0)),
        ("RETENTION", {"running": dt.timedelta(days=1)}),
        ("RETENTION", {"failed": 30}),
    ],
)
def test_a_wrong_value_is_an_error_that_says_what_was_expected(settings: Any, key: str, value: Any) -> None:
    settings.CONTINUATIONS = {key: value}
    (message,) = messages()
    assert message.id == "continuations.E002"
    assert f"CONTINUATIONS[{key!r}] is {value!r}; expected" in message.msg
    with pytest.raises(ImproperlyConfigured, match=f"{key}'\\] is"):
        conf.settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DATABASE", "default"),
        ("CHECKPOINT_INTERVAL", 0),
        ("CHECKPOINT_INTERVAL", 2.5),
        ("RETENTION", None),
        ("RETENTION", dt.timedelta(days=30)),
        ("RETENTION", {str(status): dt.timedelta(days=1) for status in FINISHED}),
    ],
)
def test_a_right_value_is_taken(settings: Any, key: str, value: Any) -> None:
    settings.CONTINUATIONS = {key: value}
    assert found() == []
    assert getattr(conf.settings(), key.lower()) == value


def test_settings_are_read_again_when_they_change(settings: Any) -> None:
    assert conf.settings().checkpoint_interval == 1.0
    settings.CONTINUATIONS = {"CHECKPOINT_INTERVAL": 7}
    assert conf.settings().checkpoint_interval == 7
    settings.CONTINUATIONS = {}
    assert conf.settings() == conf.Settings()


class Half:
    def push(self) -> None: ...


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("continuations.delivery.RQDeliverer", 'does not define a "RQDeliverer"'),
        ("tests.test_checks.Half", "has no method push_many, replace, push_anchor, forget, wakes_up"),
    ],
)
def test_a_delivery_that_cannot_be_used_is_an_error(settings: Any, path: str, problem: str) -> None:
    settings.CONTINUATIONS = {"DELIVERY": path}
    (message,) = messages()
    assert message.id == "continuations.E003"
    assert problem in message.msg


# Job classes


def test_an_unknown_queue_of_a_job_class_is_an_error(only: Any) -> None:
    only(Plain, Astray, AstrayLater)
    assert [(each.id, each.obj, each.msg.partition(" is not")[0]) for each in messages()] == [
        ("continuations.E004", Astray, "queue_name = 'import'"),
        ("continuations.E004", AstrayLater, "resume_queue_name = 'later'"),
    ]


def test_classes_that_nobody_can_enqueue_are_not_looked_at(only: Any) -> None:
    class Local(Plain):
        queue_name = "nowhere"

    only(Abstract, Local)
    assert found() == []


def test_a_time_out_in_which_the_margin_does_not_fit_is_mentioned(only: Any, settings: Any) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "fast": {"DEFAULT_TIMEOUT": 14}}
    only(Plain, Hasty, Unlimited, FastQueue, OddTimeout)
    assert [(each.id, each.obj) for each in messages()] == [
        ("continuations.W002", Hasty),
        ("continuations.W002", FastQueue),
    ]
    assert "after 9 s" in messages()[0].msg
    assert "last 3.0 s" in messages()[0].msg
    settings.RQ_QUEUES["fast"]["DEFAULT_TIMEOUT"] = 15
    assert len(found()) == 1


# The database


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


def test_such_a_database_is_mentioned(settings: Any) -> None:
    settings.CONTINUATIONS = {"DATABASE": "other"}
    settings.DATABASES["other"]["OPTIONS"] = {"transaction_mode": "DEFERRED"}
    assert found() == ["continuations.W001"]


# RQ's classes


@pytest.mark.parametrize("key", ["WORKER_CLASS", "JOB_CLASS"])
def test_a_class_that_is_not_there_is_an_error(settings: Any, key: str) -> None:
    settings.RQ = {key: "nowhere.Class"}
    assert found() == ["continuations.E005"]


def test_a_job_class_that_runs_jobs_its_own_way_is_mentioned(settings: Any) -> None:
    settings.RQ = {"JOB_CLASS": "tests.test_checks.OwnPerform"}
    (message,) = messages()
    assert message.id == "continuations.W003"
    assert 'RQ["JOB_CLASS"] has perform of its own' in message.msg


@pytest.mark.parametrize("job_class", ["tests.test_checks.OwnMeta", OwnMeta, "rq.job.Job", None])
def test_a_job_class_that_leaves_that_to_rq_is_not_mentioned(settings: Any, job_class: Any) -> None:
    settings.RQ = {"JOB_CLASS": job_class}
    assert found() == []


def test_a_stock_worker_class_is_mentioned_with_what_is_lost(settings: Any) -> None:
    settings.RQ = {"WORKER_CLASS": "rq.SimpleWorker"}
    (message,) = messages()
    assert message.id == "continuations.I001"
    assert "SimpleWorker" in message.msg
    assert "recover_continuations" in str(message.hint)


def test_a_worker_class_of_ours_is_not_mentioned(settings: Any) -> None:
    settings.RQ = {"WORKER_CLASS": "continuations.worker.ContinuableSimpleWorker"}
    assert found() == []


def test_the_order_of_the_apps_that_hides_our_command_is_mentioned(settings: Any) -> None:
    apps = [app for app in settings.INSTALLED_APPS if app not in {"continuations", "django_rq"}]
    settings.INSTALLED_APPS = [*apps, "django_rq", "continuations"]
    assert found() == ["continuations.I001"]
