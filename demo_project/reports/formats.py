"""A summary as a file: HTML to read anywhere, PDF to keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typst
from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import get_language, gettext, ngettext

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

# Typeset by Typst, whose wheel brings its fonts. The texts come in as data and are never read as markup.
TYPESETTING = Path(__file__).parent / "report.typ"


@dataclass(frozen=True)
class Outline:
    """What stands in a report."""

    title: str
    sentences: list[str]
    model: str
    page_count: int
    made_at: datetime

    @property
    def source(self) -> str:
        """Where the sentences come from."""
        values = {"model": self.model, "count": self.page_count, "date": date_format(localtime(self.made_at))}
        return (
            ngettext(
                "Made by %(model)s from %(count)s page on %(date)s.",
                "Made by %(model)s from %(count)s pages on %(date)s.",
                self.page_count,
            )
            % values
        )


@dataclass(frozen=True)
class Format:
    """A way to write a report. The same outline is written in the same bytes."""

    content_type: str
    write: Callable[[Outline], bytes]


def as_html(outline: Outline) -> bytes:
    return render_to_string("reports/document.html", {"outline": outline}).encode()


def as_pdf(outline: Outline) -> bytes:
    """A4, tagged, so that a screen reader knows its headings and lists."""
    values = {
        "title": outline.title,
        "heading": gettext("Summary"),
        "sentences": outline.sentences,
        "nothing": gettext("No sentence was found in the document."),
        "source": outline.source,
        "language": (get_language() or "en").split("-")[0],
    }
    return typst.compile(
        TYPESETTING.read_bytes(),
        sys_inputs={"report": json.dumps(values)},
        timestamp=int(outline.made_at.timestamp()),
    )


FORMATS = {
    "html": Format("text/html; charset=utf-8", as_html),
    "pdf": Format("application/pdf", as_pdf),
}
