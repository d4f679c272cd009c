"""docs/settings.md."""

from __future__ import annotations

from dataclasses import Field, fields

from continuations.conf import Settings

from .text import fill

TEXT = """
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


def page() -> str:
    """docs/settings.md."""
    every = fields(Settings)
    return (
        TEXT.strip().format(
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
