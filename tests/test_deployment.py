"""System checks of `check --deploy`, against a real Valkey."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import rq
from django.core.checks import CheckMessage, run_checks
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from rq.scheduler import RQScheduler

from continuations.apps import TAG
from tests.processes import Worker, eventually

# Django 6.1 passes all databases to the checks.
pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(autouse=True)
def queues(settings: Any, redis_url: str) -> None:
    settings.RQ_QUEUES = {name: {"URL": redis_url} for name in ("default", "imports")}


def messages() -> list[CheckMessage]:
    return run_checks(tags=[TAG], include_deployment_checks=True)


def found() -> list[str]:
    return [str(each.id) for each in messages()]


def born(client: redis.Redis, *names: str, hostname: str = "") -> rq.Worker:
    worker = rq.Worker([rq.Queue(name, connection=client) for name in names], connection=client)
    worker.hostname = hostname or worker.hostname
    worker.register_birth()
    return worker


def test_servers_that_are_there_are_fine() -> None:
    assert found() == []


def test_a_redis_that_is_away_is_an_error_that_names_its_queues(settings: Any) -> None:
    settings.RQ_QUEUES["slow"] = settings.RQ_QUEUES["late"] = {"URL": "redis://127.0.0.1:1/0"}
    (message,) = messages()
    assert message.id == "continuations.E012"
    assert message.msg.startswith("The Redis of queues 'slow', 'late' does not answer")


def test_an_address_that_is_none_is_the_same_error(settings: Any) -> None:
    settings.RQ_QUEUES["slow"] = {"URL": "nonsense"}
    assert found() == ["continuations.E012"]


def test_a_redis_that_evicts_keys_is_mentioned(client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        (message,) = messages()
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert message.id == "continuations.W010"
    assert "allkeys-lru" in message.msg
    assert "'default', 'imports'" in message.msg


def test_pending_migrations_are_an_error_that_names_them() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("continuations", "0001_initial")
    try:
        (message,) = messages()
    finally:
        recorder.record_applied("continuations", "0001_initial")
    assert message.id == "continuations.E011"
    assert "0001_initial" in message.msg


def test_a_queue_that_runs_its_jobs_in_the_caller_is_mentioned(settings: Any) -> None:
    settings.RQ_QUEUES["default"]["ASYNC"] = False
    (message,) = messages()
    assert message.id == "continuations.W011"
    assert "'default'" in message.msg


def test_several_workers_on_sqlite_are_mentioned_with_their_machines(client: redis.Redis) -> None:
    on_sqlite = connection.vendor == "sqlite"
    born(client, "default", hostname="alpha")
    assert found() == []
    born(client, "default", hostname="beta")
    assert found() == (["continuations.W012"] if on_sqlite else [])
    if on_sqlite:
        assert "2 workers run, on alpha, beta" in messages()[0].msg


def test_a_stock_worker_without_a_scheduler_is_mentioned(settings: Any, client: redis.Redis) -> None:
    settings.RQ = {"WORKER_CLASS": "rq.Worker"}
    assert found() == []
    born(client, "imports")
    (message,) = messages()
    assert message.id == "continuations.W013"
    assert "'imports'" in message.msg
    scheduler = RQScheduler([rq.Queue("imports", connection=client)], connection=client)
    scheduler.acquire_locks()
    scheduler.register_birth()
    assert found() == []


def test_our_worker_always_has_a_scheduler(client: redis.Redis) -> None:
    born(client, "imports")
    assert found() == []


def manage(*arguments: str, database: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_DELIVERY": "continuations.delivery.RQDelivery",
        "DATABASE_URL": database,
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    command = [sys.executable, "-m", "django", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ})


def test_without_deploy_nobody_minds_that_redis_is_away(tmp_path: Path) -> None:
    # A database of its own: SQLite's is locked by this test's transaction, and some checks look into it.
    plain = manage("check", database=f"sqlite:///{tmp_path / 'db.sqlite3'}")
    assert plain.returncode == 0, plain.stderr


def test_with_all_servers_away_the_checks_end_and_say_so() -> None:
    deploy = manage("check", "--deploy", "--tag", TAG, database="sqlite:////nowhere/db.sqlite3")
    assert deploy.returncode == 1
    assert "continuations.E010" in deploy.stderr
    assert "continuations.E012" in deploy.stderr


@pytest.mark.workers
def test_a_worker_that_runs_is_found(start_worker: Any, settings: Any) -> None:
    settings.RQ = {"WORKER_CLASS": "rq.Worker"}
    worker: Worker = start_worker("imports")

    eventually(lambda: found() == ["continuations.W013"], worker.output)
