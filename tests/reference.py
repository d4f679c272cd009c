"""Pages of the docs that are made from the code: `python -m tests.reference` writes them, a test compares them."""

from __future__ import annotations

import inspect
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from types import ModuleType

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from continuations import checks, deployment
from continuations.conf import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"

SETTINGS = """
# Settings

One dict in Django's settings, every key optional:

```python
CONTINUATIONS = {{"CHECKPOINT_INTERVAL": 5}}
```

`manage.py check` says what is wrong with it: an unknown key with the near one ([E001](checks.md)), a value of a wrong
type or out of range (E002). In tests, `override_settings` and pytest-django's `settings` take effect at once.

| key | default | expected |
|---|---|---|
{rows}

{texts}

## What is no setting

What belongs to a job is an option of its class, such as `max_crashes`, `max_resumptions` or `checkpoint_interval`: make
a base class of your own where many share them. What belongs to RQ is said to RQ: time-outs, queues, connections, the
worker's class. Leases, margins and the intervals of recovery are constants, since the promises in
[guarantees](guarantees.md) are measured with them.

<!-- Made from continuations/conf.py by `python -m tests.reference`. -->
"""

CHECKS = """
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


def settings_page() -> str:
    """docs/settings.md."""
    every = fields(Settings)
    return (
        SETTINGS.strip().format(
            rows="\n".join(
                f"| `{key(each)}` | `{each.default!r}` | {each.metadata['expected']} |" for each in every
            ).replace("'", '"'),
            texts="\n\n".join(f"## `{key(each)}`\n\n{fill(each.metadata['text'])}" for each in every),
        )
        + "\n"
    )


def key(field: Field[object]) -> str:
    """The key of a setting."""
    return field.name.upper()


def checks_page() -> str:
    """docs/checks.md."""
    return CHECKS.strip().format(always=entries_of(checks), deploy=entries_of(deployment, level=3)) + "\n"


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


def fill(text: str) -> str:
    """A paragraph, wrapped as the other pages are."""
    return textwrap.fill(" ".join(text.split()), width=120, break_long_words=False, break_on_hyphens=False)


PAGES = {"settings.md": settings_page, "checks.md": checks_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
