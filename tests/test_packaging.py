"""The files that say which versions are tested, and how, agree. What is in the wheel is `.ci/check-dist`'s."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CI = (ROOT / ".ci" / "run").read_text()
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


def versions(of: str) -> list[str]:
    """Those that the classifiers name."""
    found = PROJECT["project"]["classifiers"]
    return [each.rpartition(" ")[2] for each in found if re.search(rf"{of} :: \d+\.\d+$", each)]


def test_the_workflow_installs_every_python_and_runs_the_script() -> None:
    steps = WORKFLOW["jobs"]["all"]["steps"]
    (setup,) = (step for step in steps if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"].split() == versions("Python")
    assert steps[-1]["run"] == "bash .ci/run"


def test_the_workflow_runs_the_whole_matrix_of_nox() -> None:
    assert "nox --list --json --sessions tests" in WORKFLOW["jobs"]["list"]["steps"][-1]["run"]
    assert WORKFLOW["jobs"]["matrix"]["services"] == WORKFLOW["jobs"]["all"]["services"]


def test_the_script_runs_every_django_and_database() -> None:
    assert [version for version in versions("Django") if f"{version}.0" not in CI] == []
    assert re.findall(r"^tests (\w+) ", CI, flags=re.MULTILINE) == ["postgresql", "mariadb"]
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert versions("Python")[0] == oldest
    assert f"interpreter {oldest}" in CI


def test_groups_and_extras_that_are_installed_are_there() -> None:
    files = (CI, (ROOT / "Makefile").read_text(), (ROOT / "noxfile.py").read_text().replace('", "', " "))
    for text in files:
        assert set(re.findall(r"--group (\w+)", text)) <= set(PROJECT["dependency-groups"])
    assert set(PROJECT["project"]["optional-dependencies"]) == {"demo", "otel", "prometheus", "sentry"}
    named = re.findall(r"django-continuations\[(\w+)\]", (ROOT / "docs" / "monitoring.md").read_text())
    assert sorted(named) == ["otel", "prometheus", "sentry"]


def test_the_hooks_run_what_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["ruff check --fix", "ruff format", "make lint"]
