"""The page of the docs into which a run writes what it measured, between two comments."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path

from . import svg, table
from .case import Result
from .growth import Growth


class Page:
    """A Markdown file with places `<!-- table -->` … `<!-- end -->` and `<!-- growth -->` … `<!-- end -->`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self, machine: str, results: Sequence[Result], growth: Growth | None) -> None:
        """Replace what an earlier run wrote. Without a growth, the plots of an earlier run stay."""
        text = self._path.read_text()
        measured = f"Measured on {dt.date.today():%-d %B %Y}: {machine}."
        problems = [f"{result.case.what}: {problem}" for result in results for problem in result.problems]
        text = _replaced(text, "table", "\n\n".join([measured, table.markdown(results), *problems]))
        if growth is not None and (plots := growth.plots):
            picture = self._path.with_name("growth.svg")
            picture.write_text(svg.draw(plots))
            told = "; ".join(f"{plot.title}: {_ends(plot)}" for plot in plots)
            text = _replaced(text, "growth", f"![What a longer history costs]({picture.name})\n\n{told}.")
        self._path.write_text(text)


def _replaced(text: str, name: str, content: str) -> str:
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise ValueError(f"the page has no place <!-- {name} --> ... <!-- end -->")
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)


def _ends(plot: svg.Plot) -> str:
    first, last = min(plot.values), max(plot.values)
    return (
        f"{table.number(plot.values[first])} {plot.unit} with {first:,} continuations, "
        f"{table.number(plot.values[last])} {plot.unit} with {last:,}"
    )
