"""The file to try the demo with: the airports of the world."""

from __future__ import annotations

import csv
from importlib.metadata import version
from importlib.resources import files
from io import StringIO

from django.core.files.base import ContentFile

from .jobs import ProcessImport
from .models import AirportImport
from .rows import COLUMNS

# Of the rows, where the broken one is.
PART = 1 / 3


def world_airports(*, poisoned: bool = False, rest: float = 0) -> AirportImport:
    """An import, not yet saved, of the file that `airportsdata` ships: about 28,000 rows.

    The file is copied: a deploy may bring another release of the package, and a cursor must find the bytes it left.
    `poisoned`: one row of the copy is broken, and the import stops there.
    """
    content = files("airportsdata").joinpath("airports.csv").read_bytes()
    whole = ""
    if poisoned:
        content, whole = poison(content)
    return AirportImport(
        name=f"airports.csv, airportsdata {version('airportsdata')}",
        file=ContentFile(content, name="airports.csv"),
        is_strict=poisoned,
        mend=whole,
        rest=rest,
    )


def poison(content: bytes) -> tuple[bytes, str]:
    """The file with one row broken, and that row as it was."""
    header, *rows = content.splitlines(keepends=True)
    # The first of a batch, so that "it goes on at that row" is to be taken at its word.
    index = int(len(rows) * PART) // ProcessImport.batch_size * ProcessImport.batch_size
    whole = rows[index].decode().rstrip("\r\n")
    cells = next(csv.reader([whole]))
    cells[COLUMNS.index("lat")] = "north"
    broken = StringIO(newline="")
    csv.writer(broken).writerow(cells)
    rows[index] = broken.getvalue().encode()
    return b"".join([header, *rows]), whole
