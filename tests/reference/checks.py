"""docs/checks.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import ModuleType

from continuations import checks, deployment

from .text import fill

TEXT = """
# System checks

`manage.py check`, and every command that runs the checks, looks at settings and classes only and asks no server.
`manage.py check --deploy` also asks the database and Redis, a moment at most for each; `--tag continuations` leaves
Django's own checks out. Silence one by its id in `SILENCED_SYSTEM_CHECKS`.

E is an error, W a warning, I a remark.

{always}

## With `--deploy`

{deploy}

<!-- Made from continuations/checks.py and continuations/deployment.py by `python -m tests.reference`. -->
"""


def page() -> str:
    """docs/checks.md."""
    return TEXT.strip().format(always=entries_of(checks), deploy=entries_of(deployment, level=3)) + "\n"


def entries_of(module: ModuleType, level: int = 2) -> str:
    """A headline and a paragraph for each id."""
    found = sorted(documented_ids(module))
    return "\n\n".join(f"{'#' * level} {name}\n\n{fill(text)}" for name, text in found)


def documented_ids(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Ids, and what the docstrings of the module's checks say of them."""
    for check in module.ALL:
        for paragraph in inspect.cleandoc(check.__doc__ or "").split("\n\n"):
            if match := re.match(r"(continuations\.[EWI]\d{3}): (.*)", paragraph, flags=re.DOTALL):
                yield match[1], match[2]
