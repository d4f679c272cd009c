"""The tutorial works as it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tutorial import Tutorial

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.workers


def test_who_follows_the_tutorial_gets_there(tmp_path: Path, valkey: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{valkey.port}/5")
    # As if it were installed.
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    tutorial = Tutorial(sys.executable, tmp_path / "bookshop", letters=500)
    tutorial.follow()
    log = tutorial.log()
    assert log.count("step 'write' interrupted at cursor") == 1
    assert log.count("step 'write' resumed at cursor") == 2
    assert tutorial.letters() == 500
