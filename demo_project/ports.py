"""Ports of this machine's own address that nobody listens on."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """Any free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def first_free_port(start: int) -> int:
    """The first free port from `start` on. Raises `OSError` if there is none in the next hundred."""
    for port in range(start, start + 100):
        if is_free(port):
            return port
    raise OSError(f"No port from {start} to {start + 99} is free.")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that just ended do not keep a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Somebody listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
