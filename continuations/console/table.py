"""Tables that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .terminal import clip, on_one_line, width

GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    # To how many characters it may be cut where the terminal is narrow; None: it is never cut.
    least: int | None = None
    right: bool = False
    # Colours a cell that has its final width.
    paint: Callable[[str], str] = str


def lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], available: int | None = None) -> Iterator[str]:
    """The lines of a table, its titles first. Columns without any content are left out."""
    cells = [[on_one_line(cell) for cell in row] for row in rows]
    shown = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    columns = [columns[index] for index in shown]
    cells = [[row[index] for index in shown] for row in cells]
    widths = _widths(columns, cells, available)
    yield _line(columns, [column.title for column in columns], widths, painted=False)
    for row in cells:
        yield _line(columns, row, widths, painted=True)


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], available: int | None) -> list[int]:
    widths = [max(width(column.title), *(width(row[i]) for row in rows)) for i, column in enumerate(columns)]
    if available is None:
        return widths
    least = [n if column.least is None else min(n, column.least) for n, column in zip(widths, columns, strict=True)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - available
    while excess > 0 and widths != least:
        # From the widest that can give.
        _, index = max((n, i) for i, n in enumerate(widths) if n > least[i])
        widths[index] -= 1
        excess -= 1
    return widths


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int], *, painted: bool) -> str:
    parts = []
    for index, (column, cell, columns_wide) in enumerate(zip(columns, cells, widths, strict=True)):
        text = clip(cell, columns_wide)
        padding = " " * (columns_wide - width(text))
        if column.right:
            text = padding + text
        elif index < len(columns) - 1:
            text += padding
        parts.append(column.paint(text) if painted else text)
    return GAP.join(parts).rstrip()
