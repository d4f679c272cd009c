"""The same import as an ordinary RQ function. Killed, it starts over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django_rq
from django.db import transaction
from rq import Retry

from continuations.sources import batches

from .jobs import ProcessImport
from .models import AirportImport
from .pace import Paced

if TYPE_CHECKING:
    from rq.job import Job

# How often RQ starts it over.
RETRIES = 5


def plain_import(import_pk: int) -> None:
    """Imports the airports of one file, all of them in one go."""
    airport_import = AirportImport.objects.get(pk=import_pk)
    airport_import.note_start()
    found = airport_import.survey()
    rows = batches(airport_import.rows(), ProcessImport.batch_size)
    for batch_of_rows, _cursor in Paced(rows, airport_import.rest).after(None):
        with transaction.atomic():
            airport_import.load(batch_of_rows, duplicates=found["duplicates"])
    airports = batches(airport_import.airports.all(), ProcessImport.batch_size)
    for batch, _cursor in Paced(airports, airport_import.rest).after(None):
        with transaction.atomic():
            for airport in batch:
                airport.derive()
    airport_import.finalise()


def start_beside(airport_import: AirportImport) -> AirportImport:
    """Store an import of the same file at the same pace, and give it to RQ once that has committed."""
    plain = AirportImport.objects.create(
        name=airport_import.name,
        file=airport_import.file.name,
        rest=airport_import.rest,
        is_strict=airport_import.is_strict,
        beside=airport_import,
    )
    transaction.on_commit(lambda: enqueue_plain(plain, retries=RETRIES))
    return plain


def enqueue_plain(plain: AirportImport, *, retries: int) -> Job:
    """Give it to RQ now, which starts it over so many times if it is killed or fails."""
    queue = django_rq.get_queue(ProcessImport.queue_name, commit_mode="auto")
    job = queue.enqueue(plain_import, plain.pk, job_id=plain.rq_job_id, retry=Retry(max=retries))
    assert job is not None
    return job
