"""§2: `enqueue` and its kin are typed from `perform`. What mypy and pyright say of jobs as users write them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TYPED = "tests/typing/typed_jobs.py"
WRONG = "tests/typing/wrong_calls.py"

# Lines with an error, by file.
Errors = dict[str, list[tuple[int, str]]]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A type checker over both files, as installed beside the tests. Missing is a failure, not a reason to skip."""
    assert importlib.util.find_spec(module), f"{module} is not installed; the dependency group 'types' has it"
    # Without the variable, pyright asks the network for its latest version.
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-m", module, *arguments, TYPED, WRONG], cwd=ROOT, env=environ, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def mypy_errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    done = run("mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path_factory.mktemp("mypy")))
    assert not done.stderr, done.stderr
    errors: Errors = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"(.+?):(\d+): error: (.*)", line):
            errors.setdefault(found[1], []).append((int(found[2]), found[3]))
    return errors


@pytest.fixture(scope="module")
def pyright_errors() -> Errors:
    done = run("pyright", "--outputjson", "--pythonpath", sys.executable)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        pytest.fail(f"pyright did not run (it needs node, or the extra pyright[nodejs]): {done.stdout}{done.stderr}")
    errors: Errors = {}
    for each in report["generalDiagnostics"]:
        file = str(Path(each["file"]).relative_to(ROOT))
        errors.setdefault(file, []).append((each["range"]["start"]["line"] + 1, each["message"]))
    return errors


def planted() -> list[int]:
    """The lines marked as wrong."""
    lines = (ROOT / WRONG).read_text().splitlines()
    return [number for number, line in enumerate(lines, start=1) if "# wrong:" in line]


def test_mypy_finds_nothing_wrong_with_correct_jobs(mypy_errors: Errors) -> None:
    assert mypy_errors.get(TYPED, []) == []


def test_pyright_finds_nothing_wrong_with_correct_jobs(pyright_errors: Errors) -> None:
    assert pyright_errors.get(TYPED, []) == []


def test_mypy_finds_exactly_the_planted_errors(mypy_errors: Errors) -> None:
    assert sorted({line for line, _ in mypy_errors[WRONG]}) == planted()


def test_pyright_finds_exactly_the_planted_errors(pyright_errors: Errors) -> None:
    assert sorted({line for line, _ in pyright_errors[WRONG]}) == planted()


def test_no_error_is_found_in_the_package_on_the_way(mypy_errors: Errors, pyright_errors: Errors) -> None:
    assert set(mypy_errors) | set(pyright_errors) <= {TYPED, WRONG}


def test_the_typed_jobs_are_jobs() -> None:
    """What is checked is what runs."""
    from continuations import ContinuableJob
    from tests.typing import typed_jobs

    jobs = [each for each in vars(typed_jobs).values() if isinstance(each, type) and issubclass(each, ContinuableJob)]
    assert len(jobs) > 10
