"""What the page about the demo shows of the mails and the approval is what they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import demo_project

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("heading", ["Welcome mail", "Bulk mail", "Approval"])
def test_every_line_of_code_on_the_page_stands_in_the_demo(heading):
    sources = "\n".join(path.read_text() for path in Path(demo_project.__file__).parent.rglob("*.py"))
    there = {plain(line) for line in sources.splitlines()}
    page = (ROOT / "docs" / "demo.md").read_text()
    section = page[page.index(f"## {heading}") :].partition("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)
    assert [line for line in block.splitlines() if plain(line) not in there] == []


def plain(line: str) -> str:
    return line.partition("  #")[0].strip()
