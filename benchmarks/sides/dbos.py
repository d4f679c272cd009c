"""dbos on PostgreSQL or SQLite, with its defaults."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time

if sqlite3.sqlite_version_info < (3, 42):
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

import sqlalchemy
from dbos import DBOS, SQLAlchemyDatasource

from .process import serve

URL = os.environ["DATABASE_URL"]
QUEUE = "jobs"
is_postgresql = URL.startswith("postgresql")

# What is asked here is quiet, and finds its own work again.
DBOS(config={"name": "bench", "system_database_url": URL, "log_level": "CRITICAL", "application_version": "1"})
source = SQLAlchemyDatasource.create(URL.replace("postgresql://", "postgresql+psycopg://"))
with source.engine.begin() as connection:
    connection.execute(sqlalchemy.text("CREATE TABLE IF NOT EXISTS work (id integer PRIMARY KEY, value integer)"))
    connection.execute(sqlalchemy.text("INSERT INTO work VALUES (1, 0)"))

told: dict[str, float] = {}
gate = threading.Event()


@DBOS.step()
def trivial(i: int) -> int:
    return i


@DBOS.step()
def wait() -> None:
    gate.wait()


@source.transaction(isolation_level="READ COMMITTED") if is_postgresql else source.transaction()
def work(i: int) -> None:
    source.sql_session().execute(sqlalchemy.text("UPDATE work SET value = :i WHERE id = 1"), {"i": i})


@DBOS.workflow()
def run_steps(n: int) -> None:
    began = time.perf_counter()
    for i in range(n):
        trivial(i)
    told["taken"] = time.perf_counter() - began


@DBOS.workflow()
def run_work(n: int) -> None:
    began = time.perf_counter()
    for i in range(n):
        work(i)
    told["taken"] = time.perf_counter() - began


@DBOS.workflow()
def run_and_wait(n: int) -> None:
    began = time.perf_counter()
    for i in range(n):
        trivial(i)
    told["passed"] = time.perf_counter() - began
    wait()


@DBOS.workflow()
def run_one(i: int) -> int:
    return trivial(i)


DBOS.launch()
DBOS.register_queue(QUEUE)


def steps(n: int) -> float:
    """Milliseconds for a trivial step."""
    run_steps(n)
    return told["taken"] / n * 1e3


def records(n: int) -> float:
    """Seconds for `n` records with a step each: dbos has no cursor."""
    return steps(n) * n / 1e3


def walk_and_work(n: int) -> float:
    """Seconds for `n` transactional steps."""
    run_work(n)
    return told["taken"]


def resume(n: int) -> float:
    """Milliseconds in which a workflow that was cancelled and resumed passes `n` completed steps."""
    gate.clear()
    handle = DBOS.start_workflow(run_and_wait, n)
    _await_passed()
    DBOS.cancel_workflow(handle.workflow_id)
    gate.set()
    # That it was cancelled is told by an error.
    with contextlib.suppress(BaseException):
        handle.get_result()
    DBOS.resume_workflow(handle.workflow_id)
    passed = _await_passed()
    DBOS.retrieve_workflow(handle.workflow_id).get_result()
    return passed * 1e3


def throughput(n: int) -> float:
    """Workflows a second, from the first `enqueue_workflow` to the end of the last."""
    began = time.perf_counter()
    handles = [DBOS.enqueue_workflow(QUEUE, run_one, i) for i in range(n)]
    for handle in handles:
        handle.get_result(polling_interval_sec=0.05)
    return n / (time.perf_counter() - began)


def latency(n: int) -> list[float]:
    """Milliseconds from `enqueue_workflow` until the workflow has finished, `n` times."""
    readings = []
    for i in range(n):
        # Out of step with its polling.
        time.sleep(0.1 + 0.137 * i % 1.0)
        began = time.perf_counter()
        DBOS.enqueue_workflow(QUEUE, run_one, i).get_result(polling_interval_sec=0.005)
        readings.append((time.perf_counter() - began) * 1e3)
    return readings


def _await_passed() -> float:
    end = time.monotonic() + 60
    while "passed" not in told:
        assert time.monotonic() < end, "the workflow did not come to its end"
        time.sleep(0.005)
    return told.pop("passed")


if __name__ == "__main__":
    serve(steps, records, walk_and_work, resume, throughput, latency)
