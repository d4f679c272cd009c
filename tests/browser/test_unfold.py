"""django-unfold, with the mixin as the docs say: in a run of its own, since a theme is chosen before Django starts."""

from __future__ import annotations

import os
import subprocess
import sys

from .conftest import ROOT


def test_the_pages_under_django_unfold() -> None:
    command = [sys.executable, "-m", "pytest", "tests/browser/unfold/pages.py", "-m", "browser", "-q"]
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.browser.unfold.settings"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
