"""A short run of `python -m tests.chaos`: nothing lost, nothing twice, and the program itself works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import plan

ROOT = Path(__file__).resolve().parent.parent
# Seconds; the run itself takes a third of it where nothing else runs.
PATIENCE = 240


def test_a_seed_replays_the_same_faults() -> None:
    first, second, other = (plan.draw(seed, count=50, seconds=60) for seed in (7, 7, 8))
    assert first == second
    assert first != other
    assert first[-1].at == pytest.approx(60)


def test_kinds_that_a_database_cannot_take_are_left_out() -> None:
    faults = plan.draw(7, count=200, seconds=60, without={"sessions ended"})
    assert {fault.kind for fault in faults} == set(plan.WEIGHTS) - {"sessions ended"}


@pytest.mark.workers
def test_twelve_faults_lose_nothing_and_repeat_nothing_in_blocks() -> None:
    """C5, C6, E7, W5"""
    # On SQLite, so that it runs everywhere.
    command = [sys.executable, "-m", "tests.chaos", "--seed", "7", "--faults", "12", "--seconds", "12"]
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    ended = subprocess.run(
        [*command, "--database", "sqlite", "--workers", "3"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    assert re.search(r"^lost +0$", ended.stdout, re.MULTILINE)
    assert re.search(r"^repeated in blocks +0$", ended.stdout, re.MULTILINE)
