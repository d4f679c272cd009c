"""The same import as an ordinary RQ function. Killed, it starts over: `manage.py demo --once` shows the difference."""

from __future__ import annotations

from django.db import transaction

from continuations.sources import batches

from .jobs import ProcessImport
from .models import AirportImport


def plain_import(import_pk: int) -> None:
    """Imports the airports of one file, all of them in one go."""
    airport_import = AirportImport.objects.get(pk=import_pk)
    found = airport_import.survey()
    for rows, _cursor in batches(airport_import.rows(), ProcessImport.batch_size).after(None):
        with transaction.atomic():
            airport_import.load(rows, duplicates=found["duplicates"])
    for airports, _cursor in batches(airport_import.airports.all(), ProcessImport.batch_size).after(None):
        with transaction.atomic():
            for airport in airports:
                airport.derive()
    airport_import.finalise()
