"""A server that says nothing."""

from __future__ import annotations

import contextlib
import socket


class SilentServer:
    """Takes connections and never answers, as a machine does that hangs."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self.port: int = listener.getsockname()[1]

    def connections(self) -> int:
        """How many there have been since this was asked last."""
        found = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                found += 1
        return found
