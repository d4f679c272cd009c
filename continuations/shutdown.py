"""Signals while a job runs: noted, passed on, and held back while our own books are written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

Handler = Callable[[int, FrameType | None], Any]

# They mean "end soon". RQ's HerokuWorker tells its horse by SIGRTMIN.
_STOPS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGRTMIN") if hasattr(signal, name))
# RQ's death penalty. Handlers of all of these may raise in the middle of anything.
_ALARM = getattr(signal, "SIGALRM", None)


class Signals:
    """Wraps the handlers of stop signals and of RQ's death penalty for the time of one execution.

    A stop signal calls `on_stop` at once, then the handler that was there before. While `hold()` is open, handlers
    that were there before are only called once it closes: they may raise, and our own books must not tear.

    `keep`: leave ours installed afterwards. In a horse nothing but RQ's bookkeeping follows, which a SIGTERM to the
    whole process group (systemd, Heroku) must not kill either.
    """

    def __init__(self, on_stop: Callable[[], None], *, keep: bool = False) -> None:
        self._on_stop = on_stop
        self._keep = keep
        self._previous: dict[int, Any] = {}
        self._pending: list[int] = []
        self._hold = _Hold(self)
        self._on_held: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only; elsewhere the worker's hash in Redis has to do.
        if threading.current_thread() is threading.main_thread():
            for signum in (*_STOPS, _ALARM):
                self._wrap(signum)
        return self

    def __exit__(self, *_: object) -> None:
        if self._keep:
            return
        for signum, previous in self._previous.items():
            if signal.getsignal(signum) == self._handle:
                signal.signal(signum, previous)

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """Let nothing raise inside. Handlers that were due run when the outermost hold closes."""
        return self._hold

    @contextlib.contextmanager
    def defer(self, on_held: Callable[[], object]) -> Iterator[Callable[[], None]]:
        """A hold that says when it has held something back. What it gives lets that through, where it may raise."""
        outer, self._on_held = self._on_held, on_held
        try:
            with self.hold():
                yield self._let_through
        finally:
            self._on_held = outer

    def disarm(self) -> None:
        """End RQ's death penalty: what follows is bookkeeping, not the job."""
        if _ALARM in self._previous:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._pending = [signum for signum in self._pending if signum != _ALARM]

    def release(self) -> None:
        """Run what was due, unless something is held still."""
        if not self._hold.depth:
            self._let_through()

    def _let_through(self) -> None:
        while self._pending:
            self._pass_on(self._pending.pop(0), None)

    def _wrap(self, signum: int | None) -> None:
        if signum is None:
            return
        current = signal.getsignal(signum)
        # Ignored SIGINT stays ignored: RQ's horses leave Ctrl-C to their worker. None: set by C code, not ours to wrap.
        if current is None or current == self._handle or (signum == signal.SIGINT and current == signal.SIG_IGN):
            return
        self._previous[signum] = current
        signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if signum != _ALARM:
            self._on_stop()
        if self._hold.depth:
            self._pending.append(signum)
            if self._on_held is not None:
                self._on_held()
        else:
            self._pass_on(signum, frame)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        previous = self._previous.get(signum)
        try:
            # SIG_DFL would end the process and SIG_IGN would do nothing: we have noted it, which is better than either.
            if callable(previous):
                previous(signum, frame)
        finally:
            # RQ's handlers install others for the second signal, and Heroku's one its own alarm: wrap those too.
            for each in list(self._previous):
                self._wrap(each)


class _Hold:
    """Open as often as it was entered. A class of its own, since every write opens it."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if not self.depth:
            self._signals.release()
