"""absurd-sdk on PostgreSQL, with its defaults."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import Absurd

from .process import serve

URL = os.environ["DATABASE_URL"]
QUEUE = "default"

subprocess.run(
    [str(Path(sys.executable).parent / "absurdctl"), "init", "-d", URL],
    check=True,
    env={**os.environ, "ABSURD_DATABASE_URL": URL},
    stdout=subprocess.DEVNULL,
)
app = Absurd(URL, queue_name=QUEUE)
app.create_queue(QUEUE)

told: dict[str, float] = {}


def _count(params: dict[str, Any], context: Any) -> None:
    began = time.perf_counter()
    for i in range(params["n"]):
        context.step(f"step {i}", lambda: i)  # noqa: B023 - run at once
    told["ended"] = time.perf_counter()
    told["taken"] = told["ended"] - began


@app.register_task("steps")
def run_steps(params: dict[str, Any], context: Any) -> None:
    _count(params, context)


@app.register_task("twice", default_max_attempts=3)
def run_twice(params: dict[str, Any], context: Any) -> None:
    _count(params, context)
    if not told.pop("is_second", False):
        raise RuntimeError("once more")


@app.register_task("one")
def run_one(params: dict[str, Any], context: Any) -> Any:
    return context.step("step", lambda: 1)


def steps(n: int) -> float:
    """Milliseconds for a trivial step."""
    app.spawn("steps", {"n": n})
    app.work_batch()
    return told["taken"] / n * 1e3


def records(n: int) -> float:
    """Seconds for `n` records with a step each: absurd has no cursor."""
    return steps(n) * n / 1e3


def resume(n: int) -> float:
    """Milliseconds from the claim of a task with `n` completed steps until it has passed them."""
    app.spawn("twice", {"n": n}, retry_strategy={"kind": "fixed", "base_seconds": 0})
    app.work_batch()
    told.pop("ended")
    told["is_second"] = True
    while "ended" not in told:
        began = time.perf_counter()
        app.work_batch()
    return (told["ended"] - began) * 1e3


def throughput(n: int, at_once: int) -> float:
    """Tasks a second, from the first `spawn` to the end of the last, one worker with so many threads."""
    worker = _worker()
    began = time.perf_counter()
    for i in range(n):
        app.spawn("one", {"i": i})
    thread = threading.Thread(target=worker.start_worker, kwargs={"concurrency": at_once})
    thread.start()
    with psycopg.connect(URL, autocommit=True) as connection:
        query = "SELECT count(*) FROM absurd.t_default WHERE task_name = 'one' AND state <> 'completed'"
        while connection.execute(query).fetchone() != (0,):
            time.sleep(0.01)
    rate = n / (time.perf_counter() - began)
    worker.stop_worker()
    thread.join()
    worker.close()
    return rate


def latency(n: int) -> list[float]:
    """Milliseconds from `spawn` until an idle worker has finished the task, `n` times."""
    worker = _worker()
    thread = threading.Thread(target=worker.start_worker)
    thread.start()
    time.sleep(0.5)
    readings = []
    for i in range(n):
        # Out of step with its polling.
        time.sleep(0.1 + 0.037 * i % 0.25)
        began = time.perf_counter()
        app.await_task_result(app.spawn("one", {"i": i})["task_id"])
        readings.append((time.perf_counter() - began) * 1e3)
    worker.stop_worker()
    thread.join()
    worker.close()
    return readings


def claim_timeout() -> float:
    """Seconds after which a worker of absurd takes over from one that died: a default of its own."""
    import inspect

    return float(inspect.signature(app.start_worker).parameters["claim_timeout"].default)


def _worker() -> Any:
    worker = Absurd(URL, queue_name=QUEUE)
    worker._registry = app._registry
    return worker


if __name__ == "__main__":
    serve(steps, records, resume, throughput, latency, claim_timeout)
