"""Records the import of the demo for the README: `make recording`, or `python -m tests.browser.recording`.

A real run: real workers, really stopped. Frames are screenshots; those that look alike become one.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import expect, sync_playwright

from .demo import PATIENCE, Demo, Tour
from .test_demo_imports import executions, expect_movement, start, state
from .visitor import ROOT

PATH = ROOT / "docs" / "pictures" / "demo.webp"
# Pixels: of the page, and of the recording.
PAGE = (1280, 940)
WIDTH = 800
CAPTION = 36
# Seconds between two frames.
PERIOD = 0.7
# Milliseconds for which the last frame stays.
LAST = 4000


class Recording:
    """Frames of one page, each under what is said of it."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._frames: list[Image.Image] = []
        self._font = ImageFont.load_default(18)

    def film(self, caption: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._frames.append(self._frame(caption))
            time.sleep(PERIOD)

    def film_until(self, caption: str, condition: Any) -> None:
        """Film for as long as `condition()` does not hold."""
        end = time.monotonic() + 2 * PATIENCE
        while not condition():
            assert time.monotonic() < end, caption
            self.film(caption, PERIOD)

    def save(self, path: Path) -> None:
        durations = [int(PERIOD * 1000)] * (len(self._frames) - 1) + [LAST]
        first, *others = self._frames
        options: dict[str, Any] = {"loop": 0, "quality": 55, "method": 6, "minimize_size": True}
        first.save(path, save_all=True, append_images=others, duration=durations, **options)
        print(f"{path.relative_to(ROOT)}: {len(self._frames)} frames, {path.stat().st_size:,} bytes")

    def _frame(self, caption: str) -> Image.Image:
        page = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        height = page.height * WIDTH // page.width
        frame = Image.new("RGB", (WIDTH, height + CAPTION), "#131816")
        frame.paste(page.resize((WIDTH, height), Image.Resampling.LANCZOS), (0, CAPTION))
        ImageDraw.Draw(frame).text((12, 7), caption, fill="#e6ebe8", font=self._font)
        return frame


def record(tour: Tour, path: Path) -> None:
    page = tour.open("/imports/", width=PAGE[0])
    page.set_viewport_size({"width": PAGE[0], "height": PAGE[1]})
    start(page, beside=True)
    expect(state(page)).to_have_text("running")
    expect_movement(page)
    recording = Recording(page)
    recording.film("An import, and beside it a plain RQ job with the same file", 4)
    tour.kill(page, "Deploy · SIGTERM", job="ProcessImport")
    said = "A deploy: its worker is told to stop"
    recording.film_until(said, lambda: executions(page).count() == 2)
    recording.film("It goes on at the next row", 3)
    tour.kill(page, "Crash · SIGKILL", job="ProcessImport")
    recording.film_until("A crash: its worker and its process are killed", lambda: executions(page).count() == 3)
    recording.film("It goes on at the next row", 3)
    tour.kill(page, "Kill its job · SIGKILL", job="plain_import")
    recording.film("The process of the plain job is killed: it starts at the first row again", 6)
    expect(state(page)).to_have_text("succeeded", timeout=3 * PATIENCE * 1000)
    recording.film("Done: nothing repeated, nothing lost", 1)
    recording.save(path)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="recording-"))
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    expect.set_options(timeout=PATIENCE * 1000)
    try:
        with Demo(folder) as demo, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            record(Tour(demo, browser), PATH)
            browser.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
