"""docs/templates.md."""

from __future__ import annotations

from pathlib import Path

import continuations

from .text import table

ROOT = Path(continuations.__file__).parent / "templates"
FOLDER = "admin/continuations/continuation"

TEXT = """
# Templates and static files

Names that are kept. Django looks into your project first, so a file of the same name replaces one of these. They use
Django's own admin templates, no inline style, no inline script, and translate all their text.

In `templates/{folder}/`:

{pages}

Parts of the page of a continuation, which get `page` and `original`:

{parts}

Most projects need `_custom.html` alone, which is empty and yours:

```html+django
<!-- templates/{folder}/_custom.html -->
{{% if original.job_name == "ProcessImport" %}}
  <p><a href="{{% url "import" original.result %}}">To what was imported</a></p>
{{% endif %}}
```

Static files are `continuations/admin.css` and `continuations/live.js`; classes and custom properties begin with
`continuations-`. Colours are the admin's own variables, so a theme of Django's admin themes these pages, too.

<!-- Made from continuations/templates by `python -m tests.reference`. -->
"""

PAGES = {
    "change_list.html": "the list, with banners above",
    "change_form.html": "the page of one continuation",
    "verb.html": "asks before a verb is called, and takes a reason",
    "verb_for_many.html": "the same for an action of the list",
    "pagination.html": "below the list; says where counting ended",
}
PARTS = {
    "_header.html": "the five answers: whether it moves, where, why it stopped, what is safe, how long",
    "_controls.html": "the buttons",
    "_error.html": "the last error, frames of your own code first",
    "_steps.html": "steps with counts, cursor, result and when they ran",
    "_executions.html": "executions",
    "_family.html": "parent and children",
    "_events.html": "events and their payloads",
    "_values.html": "arguments, attributes, context and result",
    "_custom.html": "yours, at the end",
    "_live.html": "the parts above that are renewed without a reload",
    "_banners.html": "stalled jobs and queues without a worker, above the list",
    "_consequences.html": "what is kept, repeated and not undone, on the page that asks",
    "_form.html": "the form of a verb",
    "_switch.html": "the switch of live updates",
    "_copy.html": "the button that copies a value",
    "_value.html": "one value, shortened",
    "_value_list.html": "values with their names",
}


def page() -> str:
    """docs/templates.md."""
    return (
        TEXT.strip().format(
            folder=FOLDER,
            pages=table(("template", "shows"), ((f"`{name}`", text) for name, text in PAGES.items())),
            parts=table(("template", "shows"), ((f"`{name}`", text) for name, text in PARTS.items())),
        )
        + "\n"
    )


def templates() -> set[str]:
    """All that the package has."""
    return {path.relative_to(ROOT / FOLDER).as_posix() for path in ROOT.rglob("*.html")}
