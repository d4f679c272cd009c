"""Write the pages."""

from pathlib import Path

from . import PAGES

DOCS = Path(__file__).resolve().parents[2] / "docs"

for name, page in PAGES.items():
    (DOCS / name).write_text(page())
