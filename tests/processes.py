"""Real worker processes, and waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")

# Seconds until a condition that should come true is given up; generous, since machines are slow at times.
PATIENCE = 60.0


def eventually(condition: Callable[[], T], message: str | Callable[[], str] = "", patience: float = PATIENCE) -> T:
    """Wait until `condition()` is true and return what it gave. Raises AssertionError when it does not become so."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError((message() if callable(message) else message) or "the condition did not become true")
        time.sleep(0.02)


def database_url() -> str:
    """The database of this test run, for other processes."""
    from django.db import connection

    found: dict[str, Any] = connection.settings_dict
    name = found["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    scheme = {"postgresql": "postgresql", "mysql": "mysql"}[connection.vendor]
    password = f":{quote(found['PASSWORD'])}" if found["PASSWORD"] else ""
    port = f":{found['PORT']}" if found["PORT"] else ""
    return f"{scheme}://{quote(found['USER'] or '')}{password}@{found['HOST'] or '127.0.0.1'}{port}/{name}"


def ports(pid: int | str = "self") -> list[tuple[int, int]]:
    """Own and other port of each TCP connection that a process holds open, inherited ones too."""
    found: dict[str, tuple[int, int]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, own, other, *_, inode = line.split()[:10]
            found[f"socket:[{inode}]"] = (int(own.rpartition(":")[2], 16), int(other.rpartition(":")[2], 16))
    return [found[name] for name in open_files(pid) if name in found]


def open_files(pid: int | str = "self") -> list[str]:
    """What the file descriptors of a process lead to."""
    found: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # Reading the folder opens one, too.
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry))
    return found


def to_the_database(pid: int | str = "self") -> list[Any]:
    """What a process holds open that leads to the database of these tests: connections, or the file itself."""
    from django.db import connection

    found: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return [name for name in open_files(pid) if name == os.path.realpath(found["NAME"])]
    port = int(found["PORT"] or {"postgresql": 5432, "mysql": 3306}[connection.vendor])
    return [own for own, other in ports(pid) if other == port]


def tell(what: str, start: Any, end: Any) -> None:
    """Print a figure for docs/guarantees.md; shown with `pytest -s`. Never asserted: machines differ."""
    print(f"\n[measured] {what}: {(end - start).total_seconds():.2f} s")


class Worker:
    """`manage.py rqworker`, or another command, in a session of its own. `prefix`: what it is started by."""

    def __init__(self, command: str, *arguments: str, environ: dict[str, str], prefix: Sequence[str] = ()) -> None:
        self.log = Path(tempfile.mkstemp(prefix="worker-", suffix=".log")[1])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "django", command, *arguments],
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.settings",
                    "TEST_DELIVERY": "continuations.delivery.RQDelivery",
                    "PYTHONUNBUFFERED": "1",
                    **environ,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, signum: int) -> None:
        """Send to the worker alone, as `docker stop` does."""
        self.process.send_signal(signum)

    def signal_all(self, signum: int) -> None:
        """Send to the worker and all its descendants, as systemd and Heroku do."""
        for pid in [self.pid, *self.descendants()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def signal_group(self, signum: int) -> None:
        """Send to the worker's process group, as a terminal does for Ctrl-C."""
        os.killpg(self.pid, signum)

    def signal_pid(self, pid: int, signum: int) -> None:
        """Send to one process of this worker."""
        assert pid in self.descendants()
        os.kill(pid, signum)

    def descendants(self) -> list[int]:
        """Pids of its session without itself: children, theirs, and those that outlived it (RQ's scheduler does)."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.pid:
                with contextlib.suppress(OSError):
                    stat = (entry / "stat").read_text()
                    if int(stat.rpartition(")")[2].split()[3]) == self.pid:
                        found.append(int(entry.name))
        return found

    def wait(self) -> int:
        """Wait for it to end and return its exit code."""
        return self.process.wait(PATIENCE)

    def kill_all(self) -> None:
        """End everything that is left."""
        self.signal_all(signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.log.unlink(missing_ok=True)

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")
