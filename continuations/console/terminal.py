"""Where a command writes: text for people, one JSON document for programs, and notes beside both."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from dataclasses import dataclass
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

from ..transitions import OWNED, Status


@dataclass(frozen=True)
class Terminal:
    """Standard output and standard error of a command, and the colours that may be used on the first."""

    out: OutputWrapper
    err: OutputWrapper
    style: Style

    @property
    def columns(self) -> int | None:
        """How wide a table may be. None where nobody reads: a pipe or a file."""
        if self.out.isatty() or os.environ.get("COLUMNS", "").isdecimal():
            return shutil.get_terminal_size().columns
        return None

    def state(self, text: str) -> str:
        """A state, in the colour of what it means; the word says it, too."""
        word, _, mark = text.strip().partition(" ")
        if mark or word == Status.FAILED:
            return str(self.style.ERROR(text))
        if word == Status.SUCCEEDED:
            return str(self.style.SUCCESS(text))
        return str(self.style.WARNING(text)) if word in OWNED else text

    def line(self, text: str = "") -> None:
        """A line of what was asked for."""
        self.out.write(_encodable(text, self.out))

    def document(self, document: Any) -> None:
        """What was asked for, as one JSON document."""
        self.out.write(json.dumps(document, indent=2))

    def ask(self, question: str) -> None:
        """A question beside what was asked for."""
        self.err.write(_encodable(question, self.err), style_func=str, ending="")
        self.err.flush()

    def note(self, text: str) -> None:
        """A line beside what was asked for."""
        self.err.write(_encodable(text, self.err), style_func=str)


def printable(text: str) -> str:
    """`text` without what a terminal would obey: whatever cannot be printed is escaped, line ends and tabs apart."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _escaped(each) for each in text)


def on_one_line(text: str) -> str:
    """`printable`, for a cell of a table."""
    return " ".join(printable(text).split())


def width(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(each) for each in text)


def clip(text: str, columns: int) -> str:
    """`text` in at most so many columns, with a mark where something was left out."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _encodable(text: str, stream: OutputWrapper) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
