"""The document to try the demo with, made when it is asked for."""

from __future__ import annotations

from pathlib import Path

import typst

SOURCE = Path(__file__).parent / "sample.typ"
NAME = "Work that outlives its worker.pdf"


def sample_pdf() -> bytes:
    """A PDF of nine pages, the same bytes each time."""
    return typst.compile(SOURCE.read_bytes(), timestamp=0)
