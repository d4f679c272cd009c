"""Pages of the docs that are made from the code: `python -m tests.reference` writes them, a test compares them."""

from __future__ import annotations

import os
from collections.abc import Callable

import django
from django.apps import apps

if not apps.ready:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from . import checks, commands, permissions, settings, signals, templates

PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings.page,
    "checks.md": checks.page,
    "signals.md": signals.page,
    "permissions.md": permissions.page,
    "templates.md": templates.page,
    "commands.md": commands.page,
}
