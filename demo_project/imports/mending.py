"""A file whose import stopped at a bad row, and that row put right in it."""

from __future__ import annotations

import csv
import os
import tempfile
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from continuations.transitions import Status

from .jobs import ProcessImport
from .models import Airport
from .rows import COLUMNS, Row

if TYPE_CHECKING:
    from .models import AirportImport


class Mending:
    """The row at which a strict import failed. `row` is None where nothing is to be mended."""

    def __init__(self, airport_import: AirportImport) -> None:
        self.airport_import = airport_import
        self._start = 0
        self.row = self._find()

    @property
    def proposal(self) -> str:
        """The row as it was before the demo broke it; else as it is."""
        return self.airport_import.mend or (self.row.text if self.row else "")

    def check(self, text: str) -> None:
        """Raise `ValidationError` unless `text` is one row that describes an airport."""
        assert self.row is not None
        try:
            [cells] = csv.reader(StringIO(text, newline=""))
        except (ValueError, csv.Error) as error:
            raise ValidationError(_("Enter one row.")) from error
        values = dict(zip(COLUMNS, cells, strict=False))
        Airport.from_row(self.airport_import, Row(self.row.line, values, text))

    def apply(self, text: str) -> None:
        """Write `text`, which was checked, in place of the row."""
        assert self.row is not None
        path = Path(self.airport_import.file.path)
        content = path.read_bytes()
        old = self.row.text.encode()
        at = content.index(old, self._start)
        # Replaced as a whole: a worker may look at any time.
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content[:at] + text.encode() + content[at + len(old) :])
        Path(name).replace(path)
        self.airport_import.mend = ""
        self.airport_import.save(update_fields=["mend"])

    def _find(self) -> Row | None:
        """The first row beyond the cursor that is no airport: the job would meet it first, too."""
        continuation = self.airport_import.continuation
        if not self.airport_import.is_strict or continuation is None or continuation.status != Status.FAILED:
            return None
        load = continuation.steps.filter(name="load").first()
        if load is None:
            return None
        cursor = load.cursor
        for row, after in islice(self.airport_import.rows().after(cursor), ProcessImport.batch_size):
            try:
                Airport.from_row(self.airport_import, row)
            except ValidationError:
                self._start = cursor[0] if cursor else 0
                return row
            cursor = after
        return None
