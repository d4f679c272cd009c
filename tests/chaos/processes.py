"""Processes of ours, told from all others by a variable in their environment that their children inherit."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "CHAOS_PROCESS"


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it."""

    pid: int
    parent: int
    group: int
    mark: str

    @property
    def leads_group(self) -> bool:
        """RQ gives each horse a process group of its own; nothing else under a worker has one."""
        return self.pid == self.group

    def signal(self, signum: int) -> None:
        """Send a signal, if it is still there and still ours."""
        with contextlib.suppress(OSError):
            if _mark_of(self.pid) == self.mark:
                os.kill(self.pid, signum)


def marked(prefix: str) -> Iterator[Process]:
    """Living processes whose mark begins so. Those that have ended and wait for their parent to look are not."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            mark = _mark_of(int(entry.name))
            if not mark.startswith(prefix):
                continue
            state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if state not in "ZX":
                yield Process(int(entry.name), int(parent), int(group), mark)


def end_all(prefix: str) -> None:
    """SIGKILL whatever is left."""
    for process in marked(prefix):
        process.signal(signal.SIGKILL)


def _mark_of(pid: int) -> str:
    for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == MARK.encode():
            return value.decode()
    return ""
