"""The rows of an airports file, each with the line it stands on."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from continuations.sources import csv_rows, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ["icao", "iata", "name", "city", "subd", "country", "elevation", "lat", "lon", "tz", "lid"]
# Bytes that are looked at for the header; a file may be one endless line.
HEAD = 10_000


class FileRefusedError(Exception):
    """This is no airports file, and nothing of it is imported. The message says what was expected."""


class RowRefusedError(Exception):
    """A row is no airport, and the import is to stop there. The message names its line and says what is wrong."""


def check_header(head: bytes) -> None:
    """Raise `FileRefusedError` unless a file that begins with these bytes has the header of an airports file."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head[:HEAD])
        names = next((cells for cells in csv.reader(StringIO(text, newline="")) if cells), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileRefusedError(f"This is not a CSV file in UTF-8: {error}.") from error
    if names != COLUMNS:
        raise FileRefusedError(
            f"The first line must name the columns {','.join(COLUMNS)}; it is {','.join(names)[:200] or 'empty'}."
        )


@dataclass(frozen=True)
class Row:
    """One row: the line it starts on, its values by column, and its text in the file."""

    line: int
    values: dict[str, str]
    text: str

    @property
    def width(self) -> int:
        """Number of its columns, which `values` levels out."""
        return len(next(csv.reader(StringIO(self.text, newline=""))))


class NumberedRows:
    """A source of `Row`. Its cursor is `(byte offset, line)` of what follows: resuming reads nothing again."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def after(self, cursor: tuple[int, int] | None, /) -> Iterator[tuple[Row, tuple[int, int]]]:
        offset, line = cursor or self._below_header()
        with self.path.open("rb") as file:
            file.seek(offset)
            for values, end in csv_rows(self.path).after(offset):
                between = file.read(end - offset).decode()
                text = between.lstrip("\r\n")
                row = Row(line + _line_ends(between[: len(between) - len(text)]), values, text.rstrip("\r\n"))
                offset, line = end, line + _line_ends(between)
                yield row, (offset, line)

    def _below_header(self) -> tuple[int, int]:
        for number, (text, end) in enumerate(lines(self.path).after(None), start=1):
            if text:
                return end, number + 1
        return 0, 1


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
