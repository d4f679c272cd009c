"""docs/permissions.md."""

from __future__ import annotations

from django.contrib.auth.management import _get_all_permissions

from continuations.admin.verbs import ALL
from continuations.models import Continuation

from .text import table

TEXT = """
# Permissions

Permissions of Django's, asked in every request of the admin. To call a verb on a continuation one must be allowed to
see it, too. Superusers have them all.

{rows}

Nobody adds a continuation by hand, or changes its columns: there is no such permission. Code and the command line ask
for none; who may run `manage.py` may do anything.

`ContinuationAdmin` asks by `has_control_permission(request, obj)`, `has_retry_permission` and
`has_edit_cursor_permission`; override them to decide for each continuation, as [the admin](admin.md) shows. A group for
people on call:

```python
from django.contrib.auth.models import Group, Permission

on_call, _ = Group.objects.get_or_create(name="on call")
on_call.permissions.set(
    Permission.objects.filter(
        content_type__app_label="continuations",
        codename__in=["view_continuation", "control_continuation", "retry_continuation"],
    )
)
```

<!-- Made from continuations/models.py and continuations/admin by `python -m tests.reference`. -->
"""

PLAIN = {"view": "list and pages of continuations", "delete": "Django's own deletion"}


def page() -> str:
    """docs/permissions.md."""
    rows = [(f"`continuations.{name}`", text, buttons_of(name)) for name, text in documented_permissions().items()]
    return TEXT.strip().format(rows=table(("permission", "Django's text", "what it allows in the admin"), rows)) + "\n"


def documented_permissions() -> dict[str, str]:
    """Codenames, with the text that Django shows for each."""
    return {name: str(text) for name, text in _get_all_permissions(Continuation._meta)}


def buttons_of(codename: str) -> str:
    """What the buttons say that one needs it for."""
    action = codename.removesuffix("_continuation")
    return PLAIN.get(action) or ", ".join(str(verb.label) for verb in ALL if verb.permission == action)
