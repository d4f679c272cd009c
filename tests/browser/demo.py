"""The whole demo, as `make demo` starts it: supervisor, web server, two workers, a Valkey and a database of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.chaos.servers import free_port
from tests.processes import eventually

from .visitor import ROOT, Visitor, accessible

# Number and state of each worker that runs a job, in the control bar.
BUSY = re.compile(r'demo-worker-busy" id="worker-(\d+)-state">(.*?)</span></span>', re.DOTALL)
# Seconds until something that should come to pass on a page is given up: machines are slow at times.
PATIENCE = 90.0


class Demo:
    """`manage.py demo` in a folder of its own. Leaving it ends all it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "demo.log"
        self.address = f"http://127.0.0.1:{(port := free_port())}"
        environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        environ |= {"DJANGO_SETTINGS_MODULE": "demo_project.settings", "DEMO_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "demo", f"--port={port}"],
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        end = time.monotonic() + PATIENCE
        while "The demo is at" not in self.output:
            assert self.process.poll() is None and time.monotonic() < end, self.output
            time.sleep(0.1)
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()

    def tail(self) -> str:
        """The last of it."""
        return self.output[-2000:]

    @property
    def output(self) -> str:
        """What its processes have printed so far."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text(errors="replace"))


class Tour:
    """A visit to a running demo: pages that note their faults, looked at from all sides."""

    def __init__(self, demo: Demo, browser: Any) -> None:
        self.demo = demo
        self.visit = Visitor(browser, demo.address)

    def open(self, path: str = "/", **options: Any) -> Any:
        """A new page at `path`. Options: `scheme` (light or dark), `width`, and those of a Playwright context."""
        return self.visit(path, **options)

    def press(self, page: Any, name: str) -> None:
        """Press the only button of that name."""
        page.get_by_role("button", name=name, exact=True).click()

    def kill(self, page: Any, how: str, *, job: str = "", worker: int | None = None) -> int:
        """Press `how` ("Deploy · SIGTERM" or the like) of a worker, or of the one that runs `job`. Its number."""
        number = worker or self.busy(page, job)
        page.get_by_role("button", name=f"Worker {number}: {how}", exact=True).click()
        return number

    def busy(self, page: Any, job: str = "") -> int:
        """Number of a worker that runs a job, or that of this name, once there is one.

        Asks the server: what a page says is a second old, and the job may have gone to the other worker meanwhile.
        """

        def number() -> int | None:
            found = BUSY.findall(page.request.get(f"{self.demo.address}/workers/live/").text())
            return next((int(each) for each, state in found if job in state), None)

        return eventually(number, self.demo.tail, PATIENCE)

    def look(self, page: Any) -> None:
        """Fails with what axe finds in light and in dark, and if the page is scrolled sideways at 320 pixels."""
        size = page.viewport_size
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            accessible(page, self.visit)
        page.set_viewport_size({"width": 320, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(size)
