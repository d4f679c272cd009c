"""The README (and the first page of the docs): its code runs, and each of its claims names the tests that show it."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from continuations import ContinuableJob, Step, sources
from continuations.models import Continuation
from continuations.testing import run_until_finished
from tests.documented import ROOT, blocks, run_block, shop
from tests.shop.models import Applied, Product

README = ROOT / "README.md"

# What it says, word for word but for line breaks, and which tests show it.
CLAIMS = {
    "completed steps are skipped, the step in progress starts at its cursor": [
        *("test_a_completed_step_is_skipped_and_its_result_returned", "test_a_life_in_signals"),
    ],
    "so work and progress commit together": ["test_cursor_and_work_commit_together"],
    "row and cursor commit together, or not at all": ["test_a_rollback_takes_the_cursor_back_with_it"],
    "outside steps: runs on every execution": ["test_code_outside_steps_runs_on_every_execution"],
    "it is delivered when that commits": ["test_a_commit_delivers", "test_a_rollback_leaves_nothing"],
    "progress is stored while the job runs, not only when it is asked to stop": [
        "test_the_first_movement_after_a_claim_is_written_at_once_and_the_next_on_the_beat",
    ],
    "imports 28,000 real rows": ["test_the_world_is_imported_exactly_once_although_its_worker_is_stopped_twice"],
    "no worker class and no setting is needed": [
        "test_who_follows_the_tutorial_gets_there",
        "test_sigterm_to_the_worker_interrupts_and_the_next_one_goes_on_at_the_next_item",
    ],
    "With SQLite, give the database": ["test_sqlite_without_immediate_transactions_locks_itself_out"],
    # What happens when
    "SIGTERM to the worker, or to all its processes; Ctrl-C; `rq suspend`": [
        "test_sigterm_to_the_worker_interrupts_and_the_next_one_goes_on_at_the_next_item",
        "test_sigterm_to_every_process_interrupts_and_the_next_one_goes_on_at_the_next_item",
        "test_ctrl_c_interrupts_and_the_next_worker_goes_on_at_the_next_item",
        "test_suspending_the_workers_interrupts_and_resuming_them_goes_on",
    ],
    "the job takes longer than its RQ time-out": ["test_a_job_longer_than_its_time_out_finishes_in_slices"],
    "the job's process is killed": [
        "test_a_killed_horse_is_redelivered_by_rq_and_repeats_nothing_done_in_atomic_blocks",
        "test_a_crash_between_beats_loses_the_cursor_since_the_last",
    ],
    "the worker or its machine is lost": [
        "test_a_killed_worker_and_horse_are_replaced_by_another_worker_within_fifteen_seconds",
        "test_a_lost_stock_worker_is_replaced_once_its_record_has_run_out",
    ],
    "Redis is emptied or restarted": ["test_an_emptied_redis_doubles_no_running_job_and_loses_no_waiting_one"],
    "an error after progress": [
        "test_consecutive_errors_back_off_from_five_seconds_doubling_to_five_minutes",
        "test_an_error_after_progress_is_resumed_after_a_back_off",
    ],
    "an error without progress": [
        "test_an_error_without_progress_fails",
        "test_a_failed_continuation_keeps_steps_cursors_and_results",
        "test_a_failed_job_is_reported_once_and_its_retry_goes_on_at_the_failed_step",
    ],
    "Redis is down at `enqueue`": ["test_redis_down_at_commit_keeps_the_row_and_says_so"],
    "the database is down": ["test_a_worker_waits_for_a_database_that_is_away"],
    "RQ's callbacks and `depends_on` wait for the real end of the job": [
        "test_callbacks_and_dependents_wait_for_the_real_end",
    ],
    "or in a step with `atomic=True`, happen exactly once": [
        "test_an_atomic_step_commits_body_result_and_completion_together",
        "test_a_crash_keeps_what_step_atomic_committed",
    ],
    # Steps
    "results are stored, and returned by later executions": ["test_a_result_keeps_its_type_between_executions"],
    "an execution of its own, with a full time-out": ["test_an_isolated_step_has_an_execution_of_its_own"],
    "is saved with the cursor, in the same statement": [
        *("test_attributes_survive_a_crash_with_the_cursor_they_go_with", "test_a_beat_is_one_statement"),
    ],
    # Watch and steer
    "shows every job live and says what is safe to do": ["test_every_step_shows_state_cursor_result_counts_and_rate"],
    "holding no worker": ["test_waiting_for_an_event_holds_no_worker", "test_a_sleep_holds_no_worker"],
    "in the transaction of the end": ["test_who_dies_right_after_the_commit_has_followed_up_once"],
    # Operate
    "which signal reaches whom": [
        "test_a_grace_period_that_is_too_short_costs_nothing_done_in_blocks",
        "test_process_one_of_a_container_interrupts_and_the_next_container_goes_on",
    ],
    "Prometheus on django-rq's metrics page": ["test_django_rqs_page_shows_continuations_beside_its_own"],
    "with keys so that runs do not overlap": ["test_runs_that_cron_starts_do_not_overlap"],
    "by the workers or by `manage.py prune_continuations`": [
        *("test_a_worker_deletes_what_the_setting_says", "test_old_ones_go_and_the_command_says_how_many"),
    ],
    "with `check --deploy` for the servers": ["test_with_all_servers_away_the_checks_end_and_say_so"],
    "fifteen minutes to a job that survives a deploy": ["test_who_follows_the_tutorial_gets_there"],
    "both in one project": ["test_a_task_and_the_job_that_it_becomes_do_the_same"],
}


def text() -> str:
    return " ".join(README.read_text().split())


def test_every_claim_stands_there_and_has_its_tests() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)\(", code))
    assert [claim for claim in CLAIMS if claim not in text()] == []
    assert [name for names in CLAIMS.values() for name in names if name not in there] == []


def test_every_row_of_the_table_is_a_claim() -> None:
    rows = re.findall(r"^\| (.+?) \| .+ \|$", README.read_text(), flags=re.MULTILINE)
    assert len(rows) > 8
    assert [row for row in rows[1:] if row not in CLAIMS] == []


def test_the_page_is_short_and_shows_pictures_that_are_there() -> None:
    assert len(README.read_text().splitlines()) < 220
    pictures = re.findall(r"!\[[^\]]{20,}\]\((?!https?:)([^)]+)\)", README.read_text())
    assert pictures
    assert all((ROOT / name).is_file() for name in pictures)


def test_what_is_supported_is_what_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    djangos = [each.rpartition(" ")[2] for each in project["classifiers"] if "Django :: " in each]
    assert f"Python {pythons[0]} to {pythons[-1]}, Django {', '.join(djangos[:-1])} and {djangos[-1]}" in text()
    matrix = (ROOT / "noxfile.py").read_text()
    assert all(f'"{version}"' in matrix for version in (*pythons, *djangos))


# --- its code


class Import:
    """What the README takes for granted: a row of a model with a file and verbs of its own."""

    objects = SimpleNamespace(get=lambda pk: Import())
    path: Path

    def check_header(self) -> int:
        assert self.path.read_text().startswith("code,name\n")
        return 2

    def add(self, row: dict[str, Any]) -> None:
        Product.objects.create(name=row["code"])

    def publish(self) -> None:
        Applied.objects.create(item="published")


# What a test would import from `shop.models`: rows by their code.
Row = SimpleNamespace(
    objects=SimpleNamespace(
        values_list=lambda _: Product.objects.order_by("pk").values_list("name", flat=True),
        all=lambda: Product.objects.all(),
    )
)
LINE = "C{:02},name{}\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Names that the first block makes, within `shop`; a file in which a row ends at byte 120."""
    path = tmp_path / "rows.csv"
    path.write_text("code,name\n" + "".join(LINE.format(number, number % 10) for number in range(20)))
    assert path.read_text()[119] == "\n"
    monkeypatch.setattr(Import, "path", path, raising=False)
    namespace: dict[str, Any] = {"__name__": "shop.jobs"}
    with shop({"Import": Import}):
        run_block(README_BLOCKS[0], "README.md", namespace)
        yield namespace


README_BLOCKS = blocks(README, "python")


def test_there_are_as_many_blocks_as_are_run_here() -> None:
    assert len(README_BLOCKS) == 7
    assert len(README_BLOCKS[0].splitlines()) <= 25


@pytest.mark.django_db
def test_the_job_and_how_it_is_enqueued(page: dict[str, Any]) -> None:
    run_block(README_BLOCKS[1], "README.md", page)
    assert run_until_finished(Continuation.objects.get()).status == "succeeded"
    assert list(Product.objects.order_by("pk").values_list("name", flat=True)) == [f"C{n:02}" for n in range(20)]
    assert Applied.objects.get().item == "published"


def test_the_settings(settings: Any) -> None:
    shown: dict[str, Any] = {}
    for block in (README_BLOCKS[2], README_BLOCKS[5]):
        run_block(block, "README.md", shown)
    names = [name for name in settings.INSTALLED_APPS if name in shown["INSTALLED_APPS"]]
    assert names == shown["INSTALLED_APPS"]
    assert shown["CONTINUATIONS"] == settings.CONTINUATIONS
    assert set(shown["RQ_QUEUES"]) <= set(settings.RQ_QUEUES)


class ShowsSteps(ContinuableJob):
    def perform(self) -> str:
        shown: dict[str, Any] = {"self": self, "publish": lambda: Applied.objects.create(item="published")}
        run_block(README_BLOCKS[3], "README.md", shown)
        return str(shown["summary"])

    def load(self, step: Step) -> None:
        step.checkpoint()

    def ask(self) -> str:
        return "well"

    def render(self) -> None:
        Applied.objects.create(item=f"rendered in {self.executions}")


@pytest.mark.django_db
def test_the_ways_to_have_a_step() -> None:
    continuation = run_until_finished(ShowsSteps.enqueue())
    assert continuation.result == "well"
    assert list(continuation.steps.order_by("position").values_list("name", flat=True)) == [
        *("load", "publish", "summarise", "render"),
    ]
    # In an execution of its own.
    assert list(Applied.objects.order_by("pk").values_list("item", flat=True)) == ["published", "rendered in 2"]


Order = SimpleNamespace(objects=SimpleNamespace(filter=lambda open: Product.objects.filter(note=None)))
sessions = ["a", "b", "c"]
fetched: list[dt.date] = []


def _close(product: Product) -> None:
    Product.objects.filter(pk=product.pk).update(note="closed")


class ShowsBodies(ContinuableJob):
    def perform(self) -> None:
        first = dt.date.today() - dt.timedelta(days=3)
        self.step("load", self.shown("load"))
        self.step("days", self.shown("import_days"), start=first)
        self.step("clean_up", self.shown("clean_up"))

    def shown(self, name: str) -> Any:
        given = {"Step": Step, "Order": Order, "date": dt.date, "fetch": fetched.append, "expired": self.expired}
        run_block(README_BLOCKS[4], "README.md", given)
        return given[name].__get__(self)  # type: ignore[attr-defined]

    def expired(self) -> list[Any]:
        return [SimpleNamespace(delete=lambda name=name: sessions.remove(name)) for name in list(sessions)]


@pytest.mark.django_db
def test_the_bodies_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Product, "close", _close, raising=False)
    Product.objects.bulk_create([Product(name="tea"), Product(name="jam")])
    run_until_finished(ShowsBodies.enqueue())
    assert set(Product.objects.values_list("note", flat=True)) == {"closed"}
    assert [(dt.date.today() - day).days for day in fetched] == [3, 2, 1]
    assert sessions == []


def test_the_sources_that_it_names_are_there() -> None:
    (sentence,) = re.findall(r"`step\.iterate` takes .+?: \[all of them\]", text())
    assert [name for name in re.findall(r"`(\w+)\(", sentence) if not hasattr(sources, name) and name != "after"] == []


@pytest.mark.django_db
def test_the_tests_that_it_shows(page: dict[str, Any]) -> None:
    namespace = {"ProcessImport": page["ProcessImport"], "Row": Row}
    run_block(README_BLOCKS[6], "README.md", namespace)
    namespace["test_the_import_goes_on_where_it_stopped"](None)
    assert Continuation.objects.get().executions == 2
    Product.objects.all().delete()
    namespace["test_the_import_can_be_stopped_anywhere"](None)


@pytest.mark.django_db
def test_the_first_page_of_the_docs(page: dict[str, Any]) -> None:
    (text,) = blocks(ROOT / "docs" / "index.md", "python")
    namespace: dict[str, Any] = {"__name__": "shop.index", "Import": Import}
    run_block(text, "index.md", namespace)
    assert run_until_finished(namespace["ProcessImport"].enqueue(7)).status == "succeeded"
    assert Product.objects.count() == 20
