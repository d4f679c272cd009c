"""The servers of a run, its databases, and the processes that measure."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.chaos.servers import PostgreSQL, Valkey, postgresql_binaries

from .case import Side
from .environments import ROOT, python_of

# Seconds after which a measurement is given up.
PATIENCE = 600.0


class NotMeasuredError(Exception):
    """A side cannot measure, or failed."""


class Stage:
    """A Valkey, a PostgreSQL if its programs are there, and what runs on them. Ends all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valkey = Valkey()
        self.postgresql: PostgreSQL | None = None
        self._migrated: dict[tuple[str, str], str] = {}
        self._made = 0
        self._processes: dict[Side, _Process] = {}

    def __enter__(self) -> Self:
        self.valkey.start()
        if postgresql_binaries() is not None:
            # As it comes: what is committed is on the disk.
            self.postgresql = PostgreSQL(self.folder, database="postgres", settings="")
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self.valkey.kill()
        if self.postgresql is not None:
            self.postgresql.stop("immediate")

    def measure(self, side: Side, call: str, **options: Any) -> list[float]:
        """What `side` reads. Raises `NotMeasuredError`."""
        if side not in self._processes:
            self._processes[side] = self._start(side)
        return self._processes[side].measure(call, options)

    def clear(self) -> None:
        """End the processes that measure."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    def _start(self, side: Side) -> _Process:
        environ = {
            **os.environ,
            "DATABASE_URL": self._url(side),
            "REDIS_URL": self.valkey.url,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "PYTHONUNBUFFERED": "1",
        }
        try:
            python = python_of(side.environment)
        except subprocess.CalledProcessError as error:
            raise NotMeasuredError(f"{side.environment} could not be installed: {error}") from error
        return _Process([python, "-m", f"benchmarks.sides.{side.module}"], environ, self.folder / f"{side.module}.log")

    def _url(self, side: Side) -> str:
        """The address of its database: a new one for a library, the one that all who use Django share for them."""
        if side.environment:
            self._made += 1
            return self._create(side.kind, f"{side.database}_{self._made}")
        key = (side.kind, side.database)
        if key not in self._migrated:
            self._migrated[key] = self._create(*key)
            _migrate(self._migrated[key], self.folder / "migrate.log")
        return self._migrated[key]

    def _create(self, kind: str, name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{self.folder / name}.sqlite3"
        if self.postgresql is None:
            raise NotMeasuredError("PostgreSQL's programs are not installed")
        return self.postgresql.create(name)


class _Process:
    """A side that is asked through its standard input."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as stream:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                # Ctrl-C is ours to deal with.
                start_new_session=True,
            )

    def measure(self, call: str, options: dict[str, Any]) -> list[float]:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"measure": call, "options": options}), file=self._popen.stdin, flush=True)
        ready, _, _ = select.select([self._popen.stdout], [], [], PATIENCE)
        if not ready:
            raise NotMeasuredError(f"{call} took more than {PATIENCE:.0f} s")
        line = self._popen.stdout.readline()
        if not line:
            raise NotMeasuredError(f"{call}: the process died: {self._log.read_text().strip().splitlines()[-1]}")
        answer = json.loads(line)
        if "error" in answer:
            trace = answer["error"].strip()
            print(trace, file=sys.stderr, flush=True)
            raise NotMeasuredError(f"{call}: {trace.splitlines()[-1]}")
        readings: list[float] = answer["readings"]
        return readings

    def close(self) -> None:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()


def _migrate(url: str, log: Path) -> None:
    with log.open("ab") as stream:
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "benchmarks.settings"},
            check=True,
            stdout=stream,
            stderr=stream,
        )
