"""PDFs and DOCXs, and reports on them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

import docx
import typst
from django.core.files.base import ContentFile

from continuations.models import Continuation
from continuations.testing import run_until_finished
from demo_project.reports.jobs import start
from demo_project.reports.models import Report

PAGES = b"""
#let pages = json(bytes(sys.inputs.pages))
#for (number, page) in pages.enumerate() [#if number > 0 [#pagebreak()] #page]
"""

# Each page has one sentence that can be told from the others'.
SENTENCES = [
    "The harbour of the northern town is frozen from November until the middle of April.",
    "Ferries to the islands leave twice a day as long as the harbour is open.",
    "In winter the islands are reached over the ice by a road that the town maintains.",
]


def pdf(*pages: str) -> bytes:
    """A PDF with these texts on its pages."""
    return typst.compile(PAGES, sys_inputs={"pages": json.dumps(pages)})


def docx_of(*paragraphs: str, table: Sequence[Sequence[str]] = ()) -> bytes:
    """A DOCX of these paragraphs, and a table at its end."""
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        rows = document.add_table(rows=len(table), cols=len(table[0])).rows
        for row, texts in zip(rows, table, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def repacked(package: bytes, **members: bytes) -> bytes:
    """A zip with these members in place of those of the same name, or added. `__` in a name stands for a slash."""
    new = {name.replace("__", "/").replace("_xml", ".xml"): content for name, content in members.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for member in old.infolist():
            if member.filename not in new:
                written.writestr(member, old.read(member))
        for name, content in new.items():
            written.writestr(name, content)
    return file.getvalue()


def report_on(content: bytes, *, name: str = "The islands.pdf", **options: object) -> Report:
    return start(Report(name=name, document=ContentFile(content, name=name), **options))


def finish(report: Report) -> Continuation:
    continuation = run_until_finished(Continuation.objects.get(pk=report.continuation_id))
    report.refresh_from_db()
    return continuation
