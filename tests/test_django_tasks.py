"""docs/django-tasks.md: tasks of Django's and continuations in one project, each with its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from continuations.models import Continuation
from tests.beside.page import ENQUEUE_JOB, ENQUEUE_TASK, WORKERS
from tests.processes import Worker, database_url, eventually
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

CODES = [f"A{number}" for number in range(20)]


@pytest.fixture
def environ(redis_url: str, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "rows.csv"
    path.write_text("code\n" + "".join(f"{code}\n" for code in CODES))
    return {
        "DJANGO_SETTINGS_MODULE": "tests.beside.settings",
        "BESIDE_CSV": str(path),
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url(),
    }


@pytest.fixture
def both(start_worker: Callable[..., Worker], environ: dict[str, str]) -> list[Worker]:
    """The workers that the page starts."""
    assert len(WORKERS) == 2
    return [
        start_worker(*arguments, command=command, worker_class=None, environ=environ) for command, *arguments in WORKERS
    ]


def tell(environ: dict[str, str], code: str) -> str:
    """Run `code` in the project, as a view would."""
    setup = "import django; django.setup(); from tests.beside.tasks import *; from tests.beside.jobs import *\n"
    setup += "from tests.beside.tasks import process_import, fetch_feed\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + code], env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def items(run: str) -> list[str]:
    return list(Applied.objects.filter(run=run).order_by("pk").values_list("item", flat=True))


def test_a_task_and_the_job_that_it_becomes_do_the_same(environ: dict[str, str], both: list[Worker]) -> None:
    result = tell(environ, f"print({ENQUEUE_TASK}.id)")
    ask = f"from django.tasks import default_task_backend as tasks; found = tasks.get_result({result!r})\n"
    eventually(lambda: tell(environ, ask + "print(found.status)") == "SUCCESSFUL", both[1].output)
    assert tell(environ, ask + "print(found.return_value)") == "20"
    assert items("import 7") == [*CODES, "published"]
    Applied.objects.all().delete()

    tell(environ, ENQUEUE_JOB)
    continuation = Continuation.objects.get()
    eventually(lambda: Continuation.objects.filter(status="succeeded").exists(), both[0].output)
    continuation.refresh_from_db()
    assert continuation.result == 20
    assert items("import 7") == [*CODES, "published"]


def test_a_task_may_enqueue_a_job(environ: dict[str, str], both: list[Worker]) -> None:
    url = "https://example.com/feed"
    tell(environ, f"fetch_feed.enqueue({url!r})")
    eventually(lambda: Continuation.objects.filter(status="succeeded").exists(), both[1].output)
    assert items(f"import {len(url)}") == [*CODES, "published"]


def test_a_worker_of_tasks_refuses_a_continuation_which_waits_for_another(
    environ: dict[str, str], start_worker: Callable[..., Worker]
) -> None:
    """The page's warning: do not let one serve a queue of continuations."""
    wrong = start_worker("default", "--job-class", "django_tasks_rq.Job", worker_class=None, environ=environ)
    tell(environ, ENQUEUE_JOB)
    eventually(lambda: wrong.output().count("does not point to a Task") > 2, wrong.output)
    assert Continuation.objects.get().status == "enqueued"
    wrong.signal_all(signal.SIGKILL)
    wrong.wait()
    right = start_worker("default", worker_class=None, environ=environ)
    eventually(lambda: Continuation.objects.filter(status="succeeded").exists(), right.output)
    assert items("import 7") == [*CODES, "published"]
