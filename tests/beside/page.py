"""What the page shows."""

from __future__ import annotations

import shlex
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "django-tasks.md"


def blocks(language: str) -> list[str]:
    """Its blocks. Read without help of others: settings are made of them."""
    parts = PAGE.read_text().split(f"```{language}\n")[1:]
    return [part.partition("```\n")[0] for part in parts]


def definitions(text: str) -> tuple[str, str]:
    """A block without its last line, and that line, which enqueues."""
    code, _, call = text.rstrip().rpartition("\n")
    assert ".enqueue(" in call
    return code, call


SETTINGS, FETCH_FEED, TASK, JOB = blocks("python")
WORKERS = [shlex.split(line)[1:] for line in blocks("console")[0].splitlines()]
TASK, ENQUEUE_TASK = definitions(TASK)
JOB, ENQUEUE_JOB = definitions(JOB)
