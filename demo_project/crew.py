"""The demo's workers, side by side, and the roster by which the web server knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from uuid import uuid4

from django.conf import settings

from .roster import Entry, Identity, Roster
from .supervisor import Process, Supervisor, manage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

# When one of them is stopped, the other takes over at once.
SIZE = 2


class Crew:
    """Starts `SIZE` workers on the queues of WORKER_QUEUES. Leaving it removes the roster; the supervisor ends them."""

    def __init__(self, supervisor: Supervisor, folder: Path, *, env: Mapping[str, str]) -> None:
        self._roster = Roster(folder)
        self._rq_names: dict[str, str] = {}
        self._identities: dict[int, Identity] = {}
        names = [f"worker-{number}" for number in range(1, SIZE + 1)]
        self.workers: list[Process] = [supervisor.start(name, self._command(name), env=env) for name in names]

    def __enter__(self) -> Self:
        self.note()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._roster.remove()

    def note(self) -> None:
        """Write down which processes the workers are now."""
        self._roster.write(
            Entry(worker.name, self._rq_names[worker.name], self._identity(worker), worker.starts)
            for worker in self.workers
        )

    def _identity(self, worker: Process) -> Identity:
        # Asked once, right after the start: of one that has ended since, the system knows nothing.
        if worker.pid not in self._identities:
            self._identities[worker.pid] = Identity.of(worker.pid)
        return self._identities[worker.pid]

    def _command(self, name: str) -> Callable[[], list[str]]:
        def command() -> list[str]:
            # A name of its own for each start: RQ would refuse that of a worker that was killed a moment ago.
            self._rq_names[name] = f"{name}-{uuid4().hex[:8]}"
            return manage("rqworker", *settings.WORKER_QUEUES, "--name", self._rq_names[name])

        return command
