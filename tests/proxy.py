"""A TCP proxy in front of a database server, which cuts a connection while an answer is on its way."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection

# The first message of a transaction in either protocol.
BEGIN = re.compile(rb"(BEGIN\0|set autocommit=0)$", re.IGNORECASE)
# More than any message here has: each comes in one piece, and the next one once it was answered.
SIZE = 2**16
# Options that keep the drivers from encrypting what is looked at here.
PLAIN = {"postgresql": {"sslmode": "disable"}, "mysql": {"ssl_mode": "DISABLED"}}


class Proxy:
    """Passes on what comes to `port` of 127.0.0.1, except for what `cut` has chosen."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._chosen: Callable[[bytes], bool] | None = None
        self._reached = True
        # What was sent since the transaction began, up to the message that was cut.
        self.cuts: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, chosen: Callable[[bytes], bool], *, reached: bool) -> None:
        """Cut the connection at the next message for which `chosen(all since the transaction began)` is true.

        `reached`: the server has done what it says, and its answer is lost; else the message is. Nobody can tell.
        """
        self.cuts = []
        self._reached = reached
        self._chosen = chosen

    def close(self) -> None:
        # Wakes the thread that accepts; closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        # Raised once the listener is closed.
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        transaction = b""
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if server in ready:
                    if not (answer := server.recv(SIZE)):
                        return
                    client.sendall(answer)
                if client in ready:
                    if not (message := client.recv(SIZE)):
                        return
                    transaction = message if BEGIN.search(message) else transaction + message
                    if self._take(transaction):
                        if self._reached:
                            server.sendall(message)
                            server.recv(SIZE)
                        return
                    server.sendall(message)

    def _take(self, transaction: bytes) -> bool:
        if self._chosen is None or not self._chosen(transaction):
            return False
        self._chosen = None
        self.cuts.append(transaction)
        return True


@contextlib.contextmanager
def proxy_to_the_database() -> Iterator[Proxy]:
    """One in front of the database of these tests."""
    found: dict[str, Any] = connection.settings_dict
    default_port = {"postgresql": 5432, "mysql": 3306}[connection.vendor]
    proxy = Proxy(found["HOST"] or "127.0.0.1", int(found["PORT"] or default_port))
    try:
        yield proxy
    finally:
        proxy.close()


@contextlib.contextmanager
def through(proxy: Proxy) -> Iterator[None]:
    """Let this thread's connection be one through `proxy`."""
    options = {**connection.settings_dict["OPTIONS"], **PLAIN[connection.vendor]}
    with connected_to(HOST="127.0.0.1", PORT=proxy.port, OPTIONS=options):
        yield


@contextlib.contextmanager
def connected_to(**settings: Any) -> Iterator[None]:
    """Let this thread's connection be another one, with some settings changed."""
    given = connection.settings_dict
    connection.close()
    connection.settings_dict = {**given, **settings}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = given
