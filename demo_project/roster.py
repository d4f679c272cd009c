"""Which workers the supervisor has started: written by it, read by the web server, which may send them signals.

A number of a process says little, since numbers are used again. So the roster holds when each process began, and who
reads it believes no entry whose process is not still the one that the supervisor started.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "workers.json"
# Seconds by which two readings of one start may differ: the kernel counts them from a boot that it dates anew.
TOLERANCE = 2.0


@dataclass(frozen=True)
class Identity:
    """One process, for good: its number, and when it began."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, if it is still this one and has not ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True)
class Entry:
    """One worker: what people call it, its name in RQ, its process, and how often it was started."""

    name: str
    rq_name: str
    process: Identity
    starts: int


class Roster:
    """The file. Only its owner can read or write it, and one that others could have written is not believed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def write(self, entries: Iterable[Entry]) -> None:
        """Replace what was there. The caller is the parent of all these processes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"supervisor": asdict(Identity.of(os.getpid())), "workers": [asdict(entry) for entry in entries]}
        # mkstemp's files have mode 0600.
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=NAME)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        Path(name).replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def read(self) -> list[tuple[Entry, psutil.Process | None]]:
        """The workers of a supervisor that runs now, each with its process, or None while that is started again.

        None at all if there is no such supervisor.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                self._check_owner(os.fstat(file.fileno()))
                facts = json.load(file)
            supervisor = Identity(**facts["supervisor"]).process()
            entries = [Entry(**{**each, "process": Identity(**each["process"])}) for each in facts["workers"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []
        return [(entry, _child(entry, supervisor)) for entry in entries] if supervisor else []

    @staticmethod
    def _check_owner(found: os.stat_result) -> None:
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError("The roster could have been written by somebody else.")


def _child(entry: Entry, supervisor: psutil.Process) -> psutil.Process | None:
    process = entry.process.process()
    try:
        return process if process and process.ppid() == supervisor.pid else None
    except psutil.Error:
        return None
