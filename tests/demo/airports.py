"""Airports, files of airports, and imports of such files."""

from __future__ import annotations

from django.core.files.base import ContentFile

from continuations.models import Continuation
from continuations.testing import run_until_finished
from demo_project.imports.jobs import ProcessImport, start
from demo_project.imports.models import AirportImport
from demo_project.imports.rows import COLUMNS

BATCH = ProcessImport.batch_size
HEATHROW = "EGLL,LHR,London Heathrow Airport,London,England,GB,83,51.4706,-0.46194,Europe/London,"


def airport(number: int) -> str:
    return f"X{number:03},,Airport {number},,,XK,{number},{number % 90},{-number % 180},,"


def file_of(*lines: str, end: str = "\n") -> bytes:
    return end.join([",".join(COLUMNS), *lines, ""]).encode()


# Cursor of `load` after its first batch of airports 0, 1, 2 and so on.
AFTER_ONE_BATCH = (len(file_of(*map(airport, range(BATCH)))), BATCH + 2)


def import_of(*lines: str, content: bytes | None = None, end: str = "\n") -> AirportImport:
    content = file_of(*lines, end=end) if content is None else content
    return start(AirportImport(name="airports.csv", file=ContentFile(content, name="airports.csv")))


def finish(airport_import: AirportImport) -> Continuation:
    continuation = run_until_finished(Continuation.objects.get(pk=airport_import.continuation_id))
    airport_import.refresh_from_db()
    return continuation
