"""A stored traceback: the frames of the project's own code first, all of it behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import plain

FRAME = re.compile(r'^ {2}File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<name>.+)\n(?: {4}(?P<code>\S.*)\n)?', re.M)
# What stands in the path of a file that nobody of the project wrote.
LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python3", "<frozen ", "<string>")
PACKAGE = str(Path(__file__).resolve().parent.parent)
# Frames shown; the one that raised comes first.
SHOWN = 8


@dataclass(frozen=True)
class Frame:
    """A line of the project's code."""

    path: str
    line: str
    name: str
    code: str


@dataclass(frozen=True)
class Trace:
    """An error as it was stored."""

    kind: str
    message: str
    text: str

    @property
    def full(self) -> str:
        """The whole text, as far as a page bears it: the end of it, where the error is."""
        return self.text if len(self.text) <= 5 * plain.LIMIT else f"…{self.text[-5 * plain.LIMIT :]}"

    @cached_property
    def frames(self) -> list[Frame]:
        """Frames of the project's own code, the one that raised first."""
        found = [
            Frame(each["path"], each["line"], each["name"], each["code"] or "") for each in FRAME.finditer(self.full)
        ]
        own = [frame for frame in found if not _is_library(frame.path)]
        return own[::-1][:SHOWN]


def _is_library(path: str) -> bool:
    return any(part in path for part in LIBRARIES) or path.startswith(f"{PACKAGE}/")
