"""What became of the rows of a file, counted from what is stored: the proof that none was lost or repeated."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from .models import AirportImport


def rows_in_file(airport_import: AirportImport) -> int:
    """Counted by Python's own reader."""
    with Path(airport_import.file.path).open(encoding="utf-8-sig", newline="") as file:
        return sum(1 for cells in csv.reader(file) if cells) - 1


def work_done(airport_import: AirportImport) -> int:
    """How many times a row was stored, recorded as bad or derived from: what is committed so far."""
    derivations: int = airport_import.airports.aggregate(done=Sum("derivations", default=0))["done"]
    return airport_import.airports.count() + airport_import.bad_rows.count() + derivations


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Rows by what happened to them. `repeated` counts every application of a row beyond its first, in both passes."""

    in_file: int
    imported: int
    bad: int
    repeated: int
    lost: int

    @classmethod
    def of(cls, airport_import: AirportImport) -> Tally:
        """Count the finished import: every row of the file must be there."""
        in_file = rows_in_file(airport_import)
        counts = _Counts(airport_import)
        lost = in_file - counts.loaded + counts.stored - counts.derived
        return cls(in_file=in_file, imported=counts.lines, bad=counts.bad_lines, repeated=counts.repeated, lost=lost)

    @classmethod
    def so_far(cls, airport_import: AirportImport, *, in_file: int, loaded: int, derived: int) -> Tally:
        """Count an import that runs: every row that the cursors have passed must be there.

        `loaded` and `derived` are how many those are; they must have been read before.
        """
        counts = _Counts(airport_import)
        # What was committed since they were read is no gain that could make up for a loss.
        lost = max(loaded - counts.loaded, 0) + max(derived - counts.derived, 0)
        return cls(in_file=in_file, imported=counts.lines, bad=counts.bad_lines, repeated=counts.repeated, lost=lost)

    @property
    def amounts(self) -> list[tuple[str, int]]:
        """How many there are, each count under its name."""
        return [
            (_("Rows in the file"), self.in_file),
            (_("Rows imported"), self.imported),
            (_("Bad rows"), self.bad),
        ]

    @property
    def verdict(self) -> list[tuple[str, int]]:
        """What should be none, each count under its name."""
        return [(_("Rows repeated"), self.repeated), (_("Rows lost"), self.lost)]

    @property
    def lines(self) -> list[tuple[str, int]]:
        """Each count under its name."""
        return self.amounts + self.verdict

    @property
    def exact(self) -> bool:
        """Every row once."""
        return not self.repeated and not self.lost


class _Counts:
    """What the database holds of an import, read now."""

    def __init__(self, airport_import: AirportImport) -> None:
        airports = airport_import.airports.aggregate(
            stored=Count("pk"),
            lines=Count("line", distinct=True),
            derived=Count("pk", filter=Q(derivations__gt=0)),
            derivations=Sum("derivations", default=0),
        )
        bad_rows = airport_import.bad_rows.aggregate(stored=Count("pk"), lines=Count("line", distinct=True))
        self.stored: int = airports["stored"]
        self.lines: int = airports["lines"]
        self.bad_lines: int = bad_rows["lines"]
        self.derived: int = airports["derived"]
        self.loaded = self.lines + self.bad_lines
        self.repeated: int = (
            airports["stored"]
            - airports["lines"]
            + bad_rows["stored"]
            - bad_rows["lines"]
            + airports["derivations"]
            - airports["derived"]
        )
