"""Runs the Python that a page of the docs shows: what begins with `# shop/jobs.py` in the module `shop.jobs`."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from asgiref.sync import async_to_sync

from continuations import loading
from tests.shop import models

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\w+(?:/\w+)+)\.py\b")


def blocks(page: Path, language: str) -> list[str]:
    """Blocks of `page` in this language."""
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def run_block(text: str, page: str, namespace: dict[str, Any]) -> None:
    """Run one, with `await` at the top if it has some."""
    code = compile(text, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    done = eval(code, namespace)
    if inspect.isawaitable(done):
        async_to_sync(partial(_wait_for, done))()


async def _wait_for(awaitable: Awaitable[Any]) -> None:
    await awaitable


@contextmanager
def shop(given: Mapping[str, Any]) -> Iterator[None]:
    """A package `shop` meanwhile: its `models` are those of the tests, and names of `given` are in each module."""
    registered = dict(loading._registry), dict(loading._aliases)
    ours = ModuleType("shop.models")
    vars(ours).update({name: value for name, value in vars(models).items() if not name.startswith("__")} | given)
    modules = {"shop": ModuleType("shop"), "shop.models": ours, "shop.jobs": ModuleType("shop.jobs")}
    vars(modules["shop.jobs"]).update(given)
    sys.modules.update(modules)
    try:
        yield
    finally:
        # Not all that was imported meanwhile: what is imported twice is there twice.
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop" or name.startswith("docs_")]:
            del sys.modules[name]
        for registry, before in zip((loading._registry, loading._aliases), registered, strict=True):
            registry.clear()
            registry.update(before)


def run_page(name: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run all Python of a page from top to bottom, within `shop`. Returns every name that it has made.

    `given`: what the page takes for granted. A class is stored by its module, as a worker would import it.
    """
    page = next(each for each in PAGES if each.name == name)
    here = ModuleType(f"docs_{page.stem.replace('-', '_').lower()}")
    sys.modules[here.__name__] = here
    vars(here).update(given or {})
    names: dict[str, Any] = {}
    for text in blocks(page, "python"):
        module = here
        if file := FILE.match(text):
            dotted = file[1].replace("/", ".")
            module = sys.modules.setdefault(dotted, ModuleType(dotted))
        run_block(text, name, vars(module))
        names |= {key: value for key, value in vars(module).items() if not key.startswith("__")}
    return names
