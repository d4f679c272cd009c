"""The import as a continuation: interrupted between two batches of rows, it goes on at the next row."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction

from continuations import ContinuableJob, Step
from continuations.sources import batches

from .models import AirportImport


class ProcessImport(ContinuableJob):
    """Imports the airports of one file."""

    queue_name = "imports"
    # Rows that commit together with the cursor. More would be faster, and would move in larger jumps.
    batch_size: ClassVar[int] = 50

    def perform(self, import_pk: int) -> None:
        self.airport_import = AirportImport.objects.get(pk=import_pk)
        self.found = self.step(self.validate)
        self.step(self.load)
        self.step(self.derive)
        self.step("finalise", self.airport_import.finalise, atomic=True)

    def validate(self, step: Step) -> dict[str, Any]:
        # It has no cursor: interrupted, it reads the file again from the start, which takes a second.
        return self.airport_import.survey(after_each_row=step.checkpoint)

    def load(self, step: Step) -> None:
        step.progress(total=self.found["rows"])
        for rows in step.iterate(batches(self.airport_import.rows(), self.batch_size)):
            with step.atomic():
                self.airport_import.load(rows, duplicates=self.found["duplicates"])

    def derive(self, step: Step) -> None:
        for airports in step.iterate(batches(self.airport_import.airports.all(), self.batch_size)):
            with step.atomic():
                for airport in airports:
                    airport.derive()


@transaction.atomic
def start(airport_import: AirportImport) -> AirportImport:
    """Store a new import and enqueue its job: both or neither."""
    airport_import.save()
    airport_import.follow(ProcessImport.enqueue(airport_import.pk))
    return airport_import
