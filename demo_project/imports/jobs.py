"""The import as a continuation: interrupted between two batches of rows, it goes on at the next row."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction

from continuations import ContinuableJob, Step
from continuations.sources import batches

from .models import AirportImport
from .pace import Paced


class ProcessImport(ContinuableJob):
    """Imports the airports of one file."""

    queue_name = "imports"
    # What is wrong with a row stays wrong until a person mends it.
    resume_errors_after_advancing = False
    # Rows that commit together with the cursor.
    batch_size: ClassVar[int] = 50

    def perform(self, import_pk: int) -> None:
        self.airport_import = AirportImport.objects.get(pk=import_pk)
        self.found = self.step(self.validate)
        self.step(self.load)
        self.step(self.derive)
        self.step("finalise", self.airport_import.finalise, atomic=True)

    def validate(self, step: Step) -> dict[str, Any]:
        # No cursor: interrupted, it reads the file again, which takes a second.
        return self.airport_import.survey(after_each_row=step.checkpoint)

    def load(self, step: Step) -> None:
        step.progress(total=self.found["rows"])
        rows = batches(self.airport_import.rows(), self.batch_size)
        for batch in step.iterate(Paced(rows, self.airport_import.rest)):
            with step.atomic():
                self.airport_import.load(batch, duplicates=self.found["duplicates"])

    def derive(self, step: Step) -> None:
        airports = batches(self.airport_import.airports.all(), self.batch_size)
        for batch in step.iterate(Paced(airports, self.airport_import.rest)):
            with step.atomic():
                for airport in batch:
                    airport.derive()


@transaction.atomic
def start(airport_import: AirportImport) -> AirportImport:
    """Store a new import and enqueue its job: both or neither."""
    airport_import.save()
    airport_import.follow(ProcessImport.enqueue(airport_import.pk))
    return airport_import
