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
        """Count the finished import."""
        in_file = rows_in_file(airport_import)
        airports = airport_import.airports.aggregate(
            stored=Count("pk"),
            lines=Count("line", distinct=True),
            derived=Count("pk", filter=Q(derivations__gt=0)),
            derivations=Sum("derivations", default=0),
        )
        bad_rows = airport_import.bad_rows.aggregate(stored=Count("pk"), lines=Count("line", distinct=True))
        return cls(
            in_file=in_file,
            imported=airports["lines"],
            bad=bad_rows["lines"],
            repeated=(
                airports["stored"]
                - airports["lines"]
                + bad_rows["stored"]
                - bad_rows["lines"]
                + airports["derivations"]
                - airports["derived"]
            ),
            lost=in_file - airports["lines"] - bad_rows["lines"] + airports["stored"] - airports["derived"],
        )

    @property
    def lines(self) -> list[tuple[str, int]]:
        """Each count under its name."""
        return [
            (_("Rows in the file"), self.in_file),
            (_("Rows imported"), self.imported),
            (_("Bad rows"), self.bad),
            (_("Rows repeated"), self.repeated),
            (_("Rows lost"), self.lost),
        ]

    @property
    def exact(self) -> bool:
        """Every row once."""
        return not self.repeated and not self.lost
