"""How an import is getting on, in the words of its page."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from continuations.models import Continuation
from continuations.words import number

from ..stories.live import etag
from ..stories.progress import Progress, cursor_text
from .tally import Tally

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import AirportImport, BadRow

STEPS = ("validate", "load", "derive", "finalise")
# A file may have thousands.
BAD_ROWS_SHOWN = 50


class ImportProgress(Progress):
    """One import with its continuation, read at one moment."""

    def __init__(self, airport_import: AirportImport) -> None:
        super().__init__(airport_import.continuation, steps=STEPS, describe_cursor=place_in_file)
        self.airport_import = airport_import
        self.bad_row_count = airport_import.bad_rows.count()

    @cached_property
    def bad_rows(self) -> QuerySet[BadRow]:
        return self.airport_import.bad_rows.all()[:BAD_ROWS_SHOWN]

    @property
    def bad_row_count_text(self) -> str:
        return number(self.bad_row_count)

    @cached_property
    def tally(self) -> Tally | None:
        # The continuation was read after the import, which may have become complete in between.
        complete = self.status == Continuation.Status.SUCCEEDED or self.airport_import.finished_at
        return Tally.of(self.airport_import) if complete else None

    @property
    def etag(self) -> str:
        return etag(*self.facts, self.bad_row_count, self.airport_import.finished_at)


def place_in_file(cursor: Any) -> str:
    """A cursor in figures: the line for a row of the file, the key for an airport."""
    match cursor:
        case (int(offset), int(line)):
            return _("line %(line)s, byte %(offset)s") % {"line": number(line), "offset": number(offset)}
        case _:
            return cursor_text(cursor)
