from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def uploads(settings: Any, tmp_path: Path) -> Path:
    """The folder of this test's files."""
    settings.MEDIA_ROOT = tmp_path / "uploads"
    return tmp_path / "uploads"


@pytest.fixture
def outbox(settings: Any, tmp_path: Path) -> Path:
    """The folder of this test's mails, which the demo's own backend writes: in tests Django keeps them in memory."""
    backend, folder = "demo_project.mails.outbox.EmailBackend", tmp_path / "mails"
    settings.OUTBOX_DIR = folder
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"file_path": folder}}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = backend, folder
    return folder
