"""Starts the demo's processes, restarts those that must stay, and ends them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING, Self, TypeVar

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType, TracebackType

T = TypeVar("T")

# Seconds between two looks at what is waited for.
GLANCE = 0.05
# Seconds until a process that must stay is started again: one that cannot start would spin otherwise.
RESTART_DELAY = 1.0
# Seconds a process has to end after each signal that tells it to. A job leaves at a checkpoint, within two or three.
PATIENCE = 8.0
# Seconds for a command that has processes of its own to end.
LONGER_PATIENCE = 30.0


class Stopped(Exception):  # noqa: N818 - not an error
    """Somebody ended the demo: Ctrl-C, SIGTERM, or a closed terminal."""


class ProcessError(Exception):
    """A process of the demo did not start, ended too early, or did not do what was waited for."""


def manage(*arguments: str) -> list[str]:
    """The command line of a management command of this project."""
    return [sys.executable, os.fspath(settings.BASE_DIR / "manage.py"), *arguments]


class Process:
    """A child process, in a session of its own, so that Ctrl-C reaches the supervisor only."""

    def __init__(
        self,
        name: str,
        command: list[str] | Callable[[], list[str]],
        *,
        env: Mapping[str, str],
        output: int | None,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self.starts = 0
        self._patience = patience
        # A callable is asked again at each start.
        self._command = command if callable(command) else lambda: command
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self._output = output
        self._popen = self._open()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def ended(self) -> bool:
        return self.exit_code is not None

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def restart(self) -> None:
        self._popen = self._open()

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def stop(self) -> None:
        """Ask it to end, ask again (an RQ worker then kills the job it is running), and at last make it."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self.send(number)
            try:
                self._popen.wait(self._patience)
            except subprocess.TimeoutExpired:
                continue
            return

    def _open(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        return subprocess.Popen(
            self._command(),
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid}, exit code {self.exit_code})"


class Supervisor:
    """The processes of one demo. Leaving it as a context manager ends them all, the one started last first.

    While it is entered, SIGINT, SIGTERM and SIGHUP do no more than make `wait_for` and `watch` raise `Stopped`, so
    that no process can be started and forgotten.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        # What the processes write; None goes where our own output goes.
        self._output = subprocess.DEVNULL if quiet else None
        self._asked = Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._stack.callback(signal.signal, number, signal.signal(number, self._ask))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def enter(self, resource: AbstractContextManager[T]) -> T:
        """Enter `resource` now, and leave it when the processes started later have ended."""
        return self._stack.enter_context(resource)

    def start(
        self,
        name: str,
        command: list[str] | Callable[[], list[str]],
        *,
        env: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> Process:
        """Start a process that ends with the supervisor. A callable makes the command anew for each restart."""
        process = Process(name, command, env=env or {}, output=self._output, patience=patience)
        self._stack.callback(process.stop)
        return process

    def run(self, name: str, command: list[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start a process and wait until it ends. Raises `ProcessError` unless it exits with 0."""
        process = self.start(name, command, env=env, patience=LONGER_PATIENCE)
        while not process.ended:
            self._rest(GLANCE)
        if process.exit_code:
            raise ProcessError(f"{process} failed.")

    def wait_for(
        self,
        condition: Callable[[], bool],
        *,
        what: str,
        process: Process | None = None,
        timeout: float = 300,
    ) -> None:
        """Return once `condition()` holds. Raises `ProcessError` after `timeout` seconds, or if `process` ends."""
        deadline = time.monotonic() + timeout
        while not condition():
            if process is not None and process.ended:
                raise ProcessError(f"{process} ended while waiting for {what}.")
            if time.monotonic() > deadline:
                raise ProcessError(f"Waited {timeout:g} s for {what}.")
            self._rest(GLANCE)

    def watch(
        self, *, stay: Sequence[Process], needed: Process, on_restart: Callable[[], object] = lambda: None
    ) -> None:
        """Restart each process that is to `stay` whenever it ends; go on for as long as the `needed` one runs.

        `on_restart` is called after each restart.
        """
        due: dict[Process, float] = {}
        while not needed.ended:
            for process in stay:
                if not process.ended:
                    continue
                if time.monotonic() >= due.setdefault(process, time.monotonic() + RESTART_DELAY):
                    del due[process]
                    process.restart()
                    on_restart()
            self._rest(GLANCE)
        raise ProcessError(f"{needed} ended.")

    def _rest(self, seconds: float) -> None:
        if self._asked.wait(seconds):
            raise Stopped

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()
