"""The database of a run: where it is, and which faults it can take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from .servers import PostgreSQL, postgresql_binaries

RESTARTS = frozenset({"database fast", "database immediate"})
KINDS = ("postgresql", "mariadb", "sqlite")


class Database(Protocol):
    """What a run needs of its database."""

    url: str
    # Faults that it cannot take.
    spared: frozenset[str]
    # Ends the sessions of everybody else.
    end_sessions: str

    @property
    def is_up(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self, mode: str) -> None: ...
    def remove(self) -> None: ...


class PrivatePostgreSQL(PostgreSQL):
    spared: frozenset[str] = frozenset()
    end_sessions = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def remove(self) -> None:
        self.stop("immediate")


class Unstoppable:
    """A database that this program did not start, or that is no server."""

    is_up = True

    def start(self) -> None:
        pass

    def stop(self, mode: str) -> None:
        raise AssertionError("this database is not restarted")


class SQLite(Unstoppable):
    spared = RESTARTS | {"sessions ended"}
    end_sessions = ""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'chaos.sqlite3'}"

    def remove(self) -> None:
        # Goes with the folder.
        pass


class MariaDB(Unstoppable):
    """A database of this run's own on a server that runs anyway: MARIADB_URL, or root on 127.0.0.1."""

    spared = RESTARTS
    end_sessions = (
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() "
        "AND command <> 'Killed'"
    )

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server: dict[str, Any] = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or 3306,
            "user": parts.username or "root",
            "password": parts.password or "",
        }
        self._name = f"continuations_chaos_{os.getpid()}"
        self._execute(f"CREATE DATABASE {self._name} CHARACTER SET utf8mb4")
        self.url = parts._replace(path=f"/{self._name}").geturl()

    def remove(self) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {self._name}")

    def _execute(self, statement: str) -> None:
        import MySQLdb

        connection = MySQLdb.connect(**self._server)
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()


def default_kind() -> str:
    """PostgreSQL where its programs are installed, else what DATABASE_URL says."""
    if postgresql_binaries() is not None:
        return "postgresql"
    return "mariadb" if os.environ.get("DATABASE_URL", "").startswith("mysql") else "sqlite"


def make(kind: str, folder: Path) -> Database:
    if kind == "postgresql":
        return PrivatePostgreSQL(folder)
    if kind == "mariadb":
        given = os.environ.get("DATABASE_URL", "")
        default = given if given.startswith("mysql") else "mysql://root@127.0.0.1:3306/"
        return MariaDB(os.environ.get("MARIADB_URL", default))
    return SQLite(folder)
