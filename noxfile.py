"""The whole matrix: `nox`. One of it: `nox -s "tests(python='3.12', django='6.0', rq='3.0', database='postgresql')"`.

Databases: SQLite needs nothing; POSTGRESQL_URL and MARIADB_URL say where the servers are.
"""

from __future__ import annotations

import os

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests"]

URLS = {
    "sqlite": "",
    "postgresql": os.environ.get("POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("MARIADB_URL", "mysql://root@127.0.0.1:3306/test"),
}
DRIVERS = {"sqlite": [], "postgresql": ["--group", "postgresql"], "mariadb": ["--group", "mysql"]}
# What Django itself supports.
PYTHONS = {"5.2": ["3.11", "3.12", "3.13"], "6.0": ["3.12", "3.13", "3.14"], "6.1": ["3.12", "3.13", "3.14"]}


@nox.session
@nox.parametrize("database", list(URLS))
@nox.parametrize("rq", ["3.0"])
@nox.parametrize("python,django", [(python, django) for django, pythons in PYTHONS.items() for python in pythons])
def tests(session: nox.Session, django: str, rq: str, database: str) -> None:
    """All tests with these versions."""
    groups = ["--group", "test", "--group", "types", *DRIVERS[database]]
    session.install("-e", ".[demo]", *groups, f"django~={django}.0", f"rq~={rq}.0")
    session.run("python", "-m", "pytest", *session.posargs, env={"DATABASE_URL": URLS[database]})


@nox.session(python="3.12")
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install("-e", ".[demo]", "--group", "lint", "--group", "test", "--group", "types")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
