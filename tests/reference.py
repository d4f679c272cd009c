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

from django.dispatch import Signal

from continuations import checks, deployment, log, signals
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

SIGNALS = """
# Signals

Django signals for every boundary of a continuation's life, for what other apps want to know. They live in
`continuations.signals`; the sender is the model `Continuation`.

```python
# shop/receivers.py
from continuations.models import Continuation
from continuations.signals import failed
from django.core.mail import mail_admins
from django.dispatch import receiver


@receiver(failed)
def tell_somebody(continuation: Continuation, error: BaseException, **_: object) -> None:
    mail_admins(f"{{continuation.job_name}} has failed", f"{{continuation.pk}}: {{error!r}}")
```

Import such a module in an `AppConfig.ready()`. Take `**_` in each receiver, since arguments may be added.

- Each is sent **after its commit**, with `continuation` and the arguments below; `enqueueing` alone comes before.
- Receivers cannot disturb a job: what they raise goes to the logger `django.dispatch`. One that is slow makes the job
  slow.
- Where a process dies between a commit and its signal, the signal is not sent. What must happen belongs into
  [`on_success` and `on_failure`](following-up.md), which commit with the end.
- They are sent where it happens: in a worker, or in the process that calls a verb.

| signal | sent when | arguments beside `continuation` |
|---|---|---|
{rows}

One life: `enqueueing`, `enqueued`, `execution_started`, `step_started`, `step_completed`, `step_started`,
`interrupted`, `execution_ended`; then, in another worker, `execution_started`, `step_skipped`, `step_started` with
`resumed=True`, `step_completed`, `succeeded`, `execution_ended`.

## Log lines

The logger `continuations` listens to the same signals. A boundary of a step is a line at INFO, an error that goes on is
a WARNING, a failure is an ERROR with its traceback. Nothing is logged for an item: a job of a million items writes as
many lines as one of ten. Each record carries its facts as fields, for formatters that write JSON:

| field | |
|---|---|
{fields}

What a job class calls [`sensitive`](admin.md#secrets) is masked in cursors.

<!-- Made from continuations/signals.py and continuations/log.py by `python -m tests.reference`. -->
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


def signals_page() -> str:
    """docs/signals.md."""
    rows = [
        f"| `{name}` | {text} | {'; '.join(f'`{each}`: {meaning}' for each, meaning in arguments.items())} |"
        for name, (text, arguments) in documented_signals().items()
    ]
    facts = [f"| `{name}` | {meaning} |" for name, meaning in documented_fields().items()]
    return SIGNALS.strip().format(rows="\n".join(rows), fields="\n".join(facts)) + "\n"


def documented_signals() -> dict[str, tuple[str, dict[str, str]]]:
    """What the comment above each signal says: when it is sent, and its arguments."""
    found = {}
    for comment, name in re.findall(r"((?:^#.*\n)+)^(\w+) = Signal\(", inspect.getsource(signals), flags=re.MULTILINE):
        arguments = dict(re.findall(r"^#   (\w+): (.+)$", comment, flags=re.MULTILINE))
        text = " ".join(line.removeprefix("# ") for line in comment.splitlines() if not line.startswith("#   "))
        found[name] = text, arguments
    assert [name for name, value in vars(signals).items() if isinstance(value, Signal)] == list(found)
    return found


def documented_fields() -> dict[str, str]:
    """What the docstring of `continuations.log` says of the fields of a record."""
    return dict(re.findall(r"^- `(\w+)`: (.+)$", log.__doc__ or "", flags=re.MULTILINE))


def fill(text: str) -> str:
    """A paragraph, wrapped as the other pages are."""
    return textwrap.fill(" ".join(text.split()), width=120, break_long_words=False, break_on_hyphens=False)


PAGES = {"settings.md": settings_page, "checks.md": checks_page, "signals.md": signals_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
