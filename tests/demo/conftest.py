from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def uploads(settings: Any, tmp_path: Path) -> Path:
    """The folder of this test's files."""
    settings.MEDIA_ROOT = tmp_path / "uploads"
    return tmp_path / "uploads"
