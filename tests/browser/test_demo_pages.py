"""The demo's first pages in a browser."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_page_is_accessible_and_keeps_the_policy(visit: Any, check_accessibility: Any, scheme: str) -> None:
    page = visit("/", scheme=scheme)
    assert "Import airports" in page.content()
    check_accessibility(page)


def test_the_first_page_fits_a_narrow_screen(visit: Any) -> None:
    page = visit("/", width=320)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
