"""Follows docs/tutorial.md to the letter: writes its files, types its commands, pulls the plug where it says so.

`python tests/tutorial.py PYTHON FOLDER` uses an interpreter into which the package is installed, as `.ci/run` does with
the built wheel; it imports nothing of this package. REDIS_URL says where Redis is.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
PATIENCE = 240.0
# How many letters the page writes: enough for a person to pull the plug.
LETTERS = 3000
# Commands that prepare what is given here already.
GIVEN = re.compile(r"python -m venv|\. venv/bin/activate|pip install")
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Tutorial:
    """One run through the page. `letters`: fewer, since a program types faster than a person."""

    def __init__(self, python: str, folder: Path, *, letters: int = LETTERS) -> None:
        self._python = python
        self._page = PAGE.read_text().replace(f"enqueue({LETTERS})", f"enqueue({letters})")
        self._page = self._page.replace(
            f"{LETTERS} letters to {LETTERS} customers", f"{letters} letters to {letters} customers"
        )
        self._letters = letters
        self._folder = folder
        self._worker: subprocess.Popen[bytes] | None = None
        self._log = folder / "worker.log"
        self._environ = {
            **os.environ,
            "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "TEST_DELIVERY"):
            self._environ.pop(name, None)

    def follow(self) -> None:
        """Do everything the page says, in its order. Raises if anything goes another way."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for kind, text in BLOCK.findall(self._page):
                if kind == "python":
                    self._write(text)
                else:
                    self._type(text)
        finally:
            if self._worker is not None:
                self._end_worker(signal.SIGKILL)

    def log(self) -> str:
        """What the workers have said."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def letters(self) -> int:
        """How many letters were written so far."""
        with sqlite3.connect(self._folder / "db.sqlite3", timeout=20) as database:
            (count,) = database.execute("SELECT count(*) FROM orders_letter").fetchone()
        return int(count)

    def _write(self, text: str) -> None:
        first, _, code = text.partition("\n")
        path = self._folder / first.removeprefix("# ")
        before = path.read_text() if path.name == "settings.py" else ""
        path.write_text(before + code)

    def _type(self, text: str) -> None:
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if not line.startswith("$ "):
                continue
            command = line.removeprefix("$ ")
            expected = [each for each in lines[number + 1 :] if not each.startswith("$ ")][:1]
            if GIVEN.match(command):
                continue
            if command.endswith("# terminal 2"):
                self._start_worker()
            elif command.endswith("# while it runs"):
                self._pull_the_plug(command)
            else:
                self._run(command, expected)

    def _run(self, command: str, expected: list[str]) -> None:
        if expected:
            self._await(lambda: self.log().count("step 'count' completed") == 1, "the job did not end")
        done = subprocess.run(
            shlex.split(command), cwd=self._folder, env=self._environ, capture_output=True, text=True, check=False
        )
        print(f"$ {command}\n{done.stdout}{done.stderr}")
        if done.returncode:
            raise AssertionError(f"{command!r} ended with {done.returncode}")
        for line in expected:
            if line not in done.stdout:
                raise AssertionError(f"{command!r} did not print {line!r}")

    def _start_worker(self) -> None:
        with self._log.open("ab") as log:
            self._worker = subprocess.Popen(
                [self._python, "manage.py", "rqworker", "default"],
                cwd=self._folder,
                env=self._environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _pull_the_plug(self, command: str) -> None:
        """In the middle: when another hundred letters have been written."""
        goal = self.letters() + 100
        self._await(lambda: self.letters() >= goal, "the worker writes no letters")
        self._end_worker(signal.SIGKILL if "-KILL" in command else signal.SIGTERM)
        if self.letters() >= self._letters:
            raise AssertionError("the plug was pulled too late")

    def _end_worker(self, signum: signal.Signals) -> None:
        assert self._worker is not None
        if signum == signal.SIGTERM:
            self._worker.send_signal(signum)
        else:
            # Its horse has the same command line.
            os.killpg(self._worker.pid, signum)
            for pid in _session(self._worker.pid):
                os.kill(pid, signum)
        self._worker.wait(PATIENCE)
        self._worker = None

    def _await(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{otherwise}:\n{self.log()}")
            time.sleep(0.05)


def _session(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    # Not resolved: the interpreter of a virtual environment is a link.
    tutorial = Tutorial(os.path.abspath(sys.argv[1]), Path(sys.argv[2]).absolute())
    tutorial.follow()
    print(tutorial.log())
