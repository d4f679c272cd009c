"""§9: a module imports only from above; the package can be imported anywhere; files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import continuations

PACKAGE = Path(continuations.__file__).parent

# Each line imports only from the lines above it, and within a line only from what stands to its left.
ORDER = [
    *(
        "errors",
        "missing",
        "moments",
        "isolation",
        "outages",
        "prepared",
        "cursors",
        "columns",
        "transitions",
        "conf",
        "signals",
        "successor",
        "identifiers",
        "coroutines",
    ),
    *("codec", "attributes", "renaming", "definition", "policies", "loading", "masking", "log", "limits", "rq_options"),
    *("files", "keyset", "walking", "batching", "paging", "nesting", "sharding", "sources"),
    *("clients", "delivery", "upkeep"),
    *("fields", "records", "rewinding", "takeover", "family", "querysets", "keys", "models"),
    *("blocks", "statements", "progress"),
    *("liveness", "shutdown", "stopping", "workplace"),
    *("rests", "rows", "step", "misfits", "sequence"),
    *("current", "hooks", "followup"),
    *("outcome", "onward", "ends", "sessions", "shortcuts", "claim", "execution"),
    *("enqueueing", "configured", "job"),
    *("servers", "slots", "patient", "recovery", "retention", "runner", "preparing", "worker", "defaults"),
    *("presence", "words", "console"),
    *("testing", "pytest_plugin", "checks", "deployment", "admin", "templatetags", "contrib", "apps", "management"),
]

# The one exception: which database holds the continuations is a question to the router, and the router asks for the
# model. It is imported when the question is first asked.
EXCEPTIONS = {("conf", "models")}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


def name_of(path: Path) -> str:
    """The module or subpackage right under the package."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def path_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def imported_by(path: Path) -> Iterator[str]:
    """Modules of the package that `path` imports, at the top and inside functions; for type checkers does not count."""
    package = ["continuations", *path.relative_to(PACKAGE).parts[:-1]]
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from under_package(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            if module == ["continuations"]:
                yield from (alias.name for alias in node.names if alias.name != "__version__")
            yield from under_package(module)


def under_package(module: list[str]) -> Iterator[str]:
    if module[0] == "continuations" and len(module) > 1:
        yield module[1]


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from (each for other in child.orelse for each in (other, *runtime_nodes(other)))
            continue
        yield child
        yield from runtime_nodes(child)


def test_every_module_has_its_place() -> None:
    names = {name_of(path) for path in MODULES} - {"__init__"}
    assert names - set(ORDER) == set(), "give new modules a place in ORDER, and in the design"
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path) != "__init__"], ids=path_of)
def test_a_module_imports_only_from_above(path: Path) -> None:
    name = name_of(path)
    above = ORDER[: ORDER.index(name)] if name in ORDER else ORDER
    wrong = {each for each in imported_by(path) if each != name and each not in above}
    assert {(name, each) for each in wrong} - EXCEPTIONS == set()


def test_the_exceptions_are_needed() -> None:
    for name, other in EXCEPTIONS:
        assert other in imported_by(PACKAGE / f"{name}.py")


@pytest.mark.parametrize("path", MODULES, ids=path_of)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=path_of)
def test_nothing_but_the_admin_imports_contrib_admin(path: Path) -> None:
    """§7"""
    if name_of(path) == "admin":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("django.contrib.admin") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            imported = [f"{node.module}.{alias.name}" for alias in node.names]
            assert not any(each.startswith("django.contrib.admin") for each in imported)


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert {name_of(path) for path in MODULES} & {"utils", "helpers", "common", "misc", "base"} == set()


@pytest.mark.parametrize(
    "statement", ["import continuations", "import continuations.pytest_plugin", "import continuations.runner"]
)
def test_the_package_can_be_imported_without_settings_and_imports_no_model(statement: str) -> None:
    """§2, §7, W1"""
    code = f"""
import sys
{statement}
loaded = [name for name in sys.modules if name == "continuations.models" or name.startswith("django.contrib")]
assert not loaded, loaded
from django.conf import settings
assert not settings.configured
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(PACKAGE.parent)}
    )
    assert done.returncode == 0, done.stderr


def test_jobs_can_be_defined_before_django_is_set_up() -> None:
    """§2: a module of jobs is imported by apps while they load."""
    code = """
from continuations import ContinuableJob, Step, Stop, attribute, discard_on, retry_on

@retry_on(ConnectionError)
@discard_on(KeyError)
class Job(ContinuableJob):
    seen = attribute(default=0)
    def perform(self) -> None: ...
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(PACKAGE.parent)}
    )
    assert done.returncode == 0, done.stderr


def test_all_public_names_can_be_imported() -> None:
    assert all(hasattr(continuations, name) for name in continuations.__all__)
    assert list(continuations.__all__) == sorted(continuations.__all__)


def test_every_public_function_and_class_has_a_docstring() -> None:
    missing = [name for name in continuations.__all__ if not getattr(continuations, name).__doc__]
    assert missing == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
