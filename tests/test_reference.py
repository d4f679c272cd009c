"""The pages that are made from the code say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from continuations import checks, deployment
from tests.reference import PAGES, templates
from tests.reference.checks import documented_ids

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_makes_it(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run `python -m tests.reference`"


def test_every_id_of_a_check_is_documented_and_tested() -> None:
    """And nothing else is."""
    for module, tests in ((checks, "test_checks.py"), (deployment, "test_deployment.py")):
        code = Path(str(module.__file__)).read_text()
        used = set(re.findall(r'id="(continuations\.[EWI]\d{3})"', code))
        assert used == {name for name, _ in documented_ids(module)}
        assert used <= set(re.findall(r"continuations\.[EWI]\d{3}", (ROOT / "tests" / tests).read_text()))


def test_every_template_is_documented() -> None:
    """And nothing else is."""
    assert set(templates.PAGES) | set(templates.PARTS) == templates.templates()
