"""Virtual environments of what is compared with ours, in `.venvs`, made once."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# dbos needs it.
SQLITE = (3, 42)


def python_of(name: str) -> str:
    """The Python of the environment `name`; of this one if it is empty. Raises `CalledProcessError`."""
    if not name:
        return sys.executable
    folder = ROOT / ".venvs" / name
    wanted = "".join(path.read_text() for path in _requirements(name))
    installed = folder / "installed.txt"
    python = folder / "bin" / "python"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {name} into {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        files = [part for path in _requirements(name) for part in ("--requirement", str(path))]
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, *files], check=True)
        installed.write_text(wanted)
    return str(python)


def install(names: Iterable[str]) -> None:
    """Make these environments now. What cannot be installed is told when it is needed."""
    for name in sorted(names):
        with contextlib.suppress(subprocess.CalledProcessError):
            python_of(name)


def _requirements(name: str) -> list[Path]:
    folder = Path(__file__).parent
    files = [folder / f"requirements-{name}.txt"]
    if name == "dbos" and sqlite3.sqlite_version_info < SQLITE:
        files.append(folder / "requirements-old-sqlite.txt")
    return files
