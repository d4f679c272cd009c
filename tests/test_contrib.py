"""What `continuations.contrib` needs is needed by those alone who ask for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.test_layout import PACKAGE

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"opentelemetry", "prometheus_client", "sentry_sdk"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import continuations.worker, continuations.runner, continuations.admin
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    environ = {"PYTHONPATH": str(PACKAGE.parent), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)


def test_the_package_works_without_what_contrib_needs() -> None:
    done = run(WITHOUT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["opentelemetry", "prometheus", "sentry"])
def test_a_module_whose_extra_is_missing_says_which_package_is(name: str) -> None:
    done = run(WITHOUT + f"import continuations.contrib.{name}")
    assert "ModuleNotFoundError: No module named" in done.stderr
