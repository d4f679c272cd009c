"""What the README and the docs show is true of the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Awaitable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

import continuations

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


PYTHON = [(page.name, block) for page in PAGES for block in blocks(page, "python")]


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_code_in_the_docs_is_python(page: str, block: str) -> None:
    compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_what_the_docs_import_from_this_package_is_there(page: str, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("continuations"):
            module = import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["control.md", "enqueueing.md", "following-up.md", "waiting.md"])
def test_the_code_of_a_page_runs_from_top_to_bottom(name: str) -> None:
    """With the delivery of the tests: what it enqueues is written, and runs nowhere."""
    # A class is stored by its module, as a worker would import it.
    namespace: dict[str, Any] = {"__name__": f"docs.{name}"}
    for block in blocks(ROOT / "docs" / name, "python"):
        code = compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        done = eval(code, namespace)
        if inspect.isawaitable(done):
            async_to_sync(partial(_wait_for, done))()


async def _wait_for(awaitable: Awaitable[Any]) -> None:
    await awaitable


def test_the_docs_name_only_tests_that_exist() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for keyword in re.findall(r'make test ARGS="[^"]*-k (\w+)', (ROOT / "docs" / "guarantees.md").read_text()):
        assert re.search(rf"def test_\w*{keyword}", tests), keyword


def test_the_page_on_deploying_names_only_tests_that_exist() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"\| `(\w+)` \|$", (ROOT / "docs" / "deploying.md").read_text(), flags=re.MULTILINE)
    assert len(named) == 8
    for keyword in named:
        assert re.search(rf"def test_\w*{keyword}", tests), keyword


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_picture_is_shown_and_small() -> None:
    pictures = {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}
    shown = set(re.findall(r"!\[[^\]]+\]\(pictures/([^)]+)\)", "\n".join(page.read_text() for page in PAGES)))
    assert shown == pictures
    assert pictures
    for name in pictures:
        assert (ROOT / "docs" / "pictures" / name).stat().st_size <= 150_000, name


def test_the_recording_of_the_readme_is_small_enough_to_be_loaded_at_once() -> None:
    [recording] = re.findall(r"!\[[^\]]+\]\((docs/pictures/[^)]+\.webp)\)", (ROOT / "README.md").read_text())
    assert (ROOT / recording).stat().st_size <= 1_500_000


def test_the_version_stands_in_one_more_place_only() -> None:
    assert f'version = "{continuations.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_everything_that_is_exported_is_there_and_documented() -> None:
    for name in continuations.__all__:
        assert getattr(continuations, name).__doc__, name
