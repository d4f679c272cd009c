"""docs/signals.md."""

from __future__ import annotations

import inspect
import re

from django.dispatch import Signal

from continuations import log, signals

from .text import table

TEXT = """
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

{rows}

One life: `enqueueing`, `enqueued`, `execution_started`, `step_started`, `step_completed`, `step_started`,
`interrupted`, `execution_ended`; then, in another worker, `execution_started`, `step_skipped`, `step_started` with
`resumed=True`, `step_completed`, `succeeded`, `execution_ended`.

## Log lines

The logger `continuations` tells of the same boundaries. One of a step is a line at INFO, an error that goes on is a
WARNING, a failure is an ERROR with its traceback. Nothing is logged for an item: a job of a million items writes as
many lines as one of ten. Each record carries its facts as fields, for formatters that write JSON:

{fields}

What a job class calls [`sensitive`](admin.md#secrets) is masked in cursors.

<!-- Made from continuations/signals.py and continuations/log.py by `python -m tests.reference`. -->
"""


def page() -> str:
    """docs/signals.md."""
    rows = [
        (f"`{name}`", text, "; ".join(f"`{each}`: {meaning}" for each, meaning in arguments.items()))
        for name, (text, arguments) in documented_signals().items()
    ]
    facts = [(f"`{name}`", meaning) for name, meaning in documented_fields().items()]
    return (
        TEXT.strip().format(
            rows=table(("signal", "sent when", "arguments beside `continuation`"), rows),
            fields=table(("field", ""), facts),
        )
        + "\n"
    )


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
