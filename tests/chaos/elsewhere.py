"""A management command on what claims to be another machine: its processes cannot be looked up there, nor it here.

python -m tests.chaos.elsewhere NAME rqworker default
"""

from __future__ import annotations

import socket
import sys


def main() -> None:
    name, *command = sys.argv[1:]
    socket.gethostname = lambda: name
    from django.core.management import execute_from_command_line

    execute_from_command_line(["django", *command])


if __name__ == "__main__":
    main()
