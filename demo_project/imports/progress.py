"""How an import is getting on, in the words of its page."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from continuations.models import Continuation
from continuations.words import number

from ..stories.live import etag
from ..stories.progress import Progress, cursor_text
from .atlas import regions, sample
from .forms import MendForm
from .mending import Mending
from .models import AirportImport
from .plain_progress import PlainProgress
from .tally import Tally

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from continuations.records import StepRecord

    from .models import BadRow

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
        """The rows, counted in the database; None if nobody knows how far it is."""
        # The continuation was read after the import, which may have become complete in between.
        if self.status == Continuation.Status.SUCCEEDED or self.airport_import.finished_at:
            return Tally.of(self.airport_import)
        if self.continuation is None:
            return None
        load, derive = self._record("load"), self._record("derive")
        return Tally.so_far(
            self.airport_import,
            in_file=load.total or 0 if load else 0,
            loaded=load.processed if load else 0,
            derived=derive.processed if derive else 0,
        )

    @cached_property
    def plain(self) -> PlainProgress | None:
        """The plain RQ job beside it."""
        plain = AirportImport.objects.filter(beside=self.airport_import).first()
        return PlainProgress(plain) if plain else None

    @cached_property
    def regions(self) -> list[tuple[str, int]]:
        """What the map shows, in numbers."""
        return regions(self.airport_import)

    @cached_property
    def sample(self) -> str:
        """What the map shows, for those without scripts."""
        return sample(self.airport_import)

    @cached_property
    def mending(self) -> Mending:
        """The row at which it stopped, if it did."""
        return Mending(self.airport_import)

    @cached_property
    def mend_form(self) -> MendForm:
        return MendForm(mending=self.mending)

    @property
    def is_over(self) -> bool:
        """Neither of the two changes any more."""
        return self.is_finished and (self.plain is None or self.plain.is_over)

    @property
    def etag(self) -> str:
        facts = [self.bad_row_count, self.airport_import.finished_at, self.airport_import.mend]
        return etag(*self.facts, *facts, self.plain.facts if self.plain else None)

    def _record(self, name: str) -> StepRecord | None:
        line = self.step(name)
        return line.record if line else None


def place_in_file(cursor: Any) -> str:
    """A cursor in figures: the line for a row of the file, the key for an airport."""
    match cursor:
        case (int(offset), int(line)):
            return _("line %(line)s, byte %(offset)s") % {"line": number(line), "offset": number(offset)}
        case _:
            return cursor_text(cursor)
