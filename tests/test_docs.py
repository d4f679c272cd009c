"""What the README and the docs show is true of the code."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

import continuations
from continuations import ContinuableJob, Step, sources
from tests.documented import BLOCK, PAGES, ROOT, blocks, run_block

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
        run_block(block, name, namespace)


# Which tests run the Python of which page, each block of it.
RUN_BY = {
    "test_docs.py": ["control.md", "enqueueing.md", "following-up.md", "waiting.md"],
    "test_documented_jobs.py": ["deploying-code.md", "iterating.md"],
    "test_documented_pages.py": [
        *("admin.md", "guarantees.md", "monitoring.md", "permissions.md", "retention.md", "scheduling.md"),
        *("settings.md", "signals.md", "testing.md"),
    ],
    "test_django_tasks.py": ["django-tasks.md"],
    "test_readme.py": ["README.md", "index.md"],
    "test_tutorial.py": ["tutorial.md"],
}

# Pages that show the gist of code which is run elsewhere, and where that stands.
EXCERPTS = {"demo.md": "demo_project"}


def test_the_code_of_every_page_is_run() -> None:
    with_code = {page.name for page in PAGES if blocks(page, "python")}
    assert {name for names in RUN_BY.values() for name in names} == with_code - set(EXCERPTS)
    for module, names in RUN_BY.items():
        text = (ROOT / "tests" / module).read_text() + (ROOT / "tests" / "tutorial.py").read_text()
        assert [name for name in names if name not in text and name.removesuffix(".md") + '" / "' not in text] == []


def test_what_excerpts_call_is_in_the_code() -> None:
    for page in (page for page in PAGES if page.name in EXCERPTS):
        code = "\n".join(path.read_text() for path in (ROOT / EXCERPTS[page.name]).rglob("*.py"))
        for block in blocks(page, "python"):
            called = {node.attr for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Attribute)}
            assert [name for name in called if not re.search(rf"\b{name}\b", code)] == []


def test_what_is_no_python_is_known_to_be_something_else() -> None:
    """Output, configuration of other programs, or markup: a block of code cannot hide behind another label."""
    found = {label for page in PAGES for label, _ in BLOCK.findall(page.read_text())}
    assert found <= {"python", "console", "text", "ini", "yaml", "html+django", "{toctree}", "{eval-rst}"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_are_understood(page: Path) -> None:
    """Those of `manage.py` by their own parsers, those of make by its targets."""
    for block in blocks(page, "console"):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["make"]:
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), line
            if "manage.py" in words[:2] and line.removeprefix("$ ").startswith(("manage.py", "python manage.py")):
                understand(words[words.index("manage.py") + 1 :])


def understand(words: list[str]) -> None:
    """Raise unless there is such a command and it takes these arguments."""
    name, *arguments = words
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    command._called_from_command_line = False
    command.create_parser("manage.py", name).parse_args(arguments)


def test_configuration_that_is_shown_can_be_read() -> None:
    pages = [*(ROOT / "docs").glob("*.md")]
    for text in (block for page in pages for block in blocks(page, "yaml")):
        assert isinstance(yaml.safe_load(text), dict)
    for text in (block for page in pages for block in blocks(page, "ini")):
        parser = configparser.ConfigParser(strict=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        assert parser.sections()


def test_the_api_names_all_that_is_public() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert "automodule:: continuations.errors" in page
    others = [name for name in continuations.__all__ if not hasattr(continuations.errors, name)]
    assert [name for name in others if f"continuations.{name}" not in page] == []
    assert [name for name in sources.__all__ if f"{name}\n" not in page and f"`{name}`" not in page] == []


def test_every_name_in_the_table_for_people_from_rails_is_there() -> None:
    rows = re.findall(r"^\| .+ \| (.+) \|$", (ROOT / "docs" / "from-rails.md").read_text(), flags=re.MULTILINE)
    text = "\n".join(rows[1:])
    assert [name for name in re.findall(r"self\.(\w+)\(", text) if not hasattr(ContinuableJob, name)] == []
    assert [name for name in re.findall(r"ProcessImport\.(\w+)", text) if not hasattr(ContinuableJob, name)] == []
    in_code = {"cursor", "resumed", "advanced", *vars(Step)}
    assert [name for name in re.findall(r"step\.(\w+)", text) if name not in in_code] == []
    options = re.findall(r"`((?:max|resume|queue)_\w+)", text)
    assert len(options) > 4
    assert [name for name in options if not hasattr(ContinuableJob, name)] == []
    for name in ("retry_on", "discard_on", "polynomially_longer"):
        assert name in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rows_of_a_table_stand_under_its_head(page: Path) -> None:
    for rows in re.findall(r"(?:^\|.*\n)+", page.read_text(), flags=re.MULTILINE):
        assert re.fullmatch(r"(\|[ :-]+)+\|", rows.splitlines()[1] if rows.count("\n") > 1 else ""), rows


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
