"""The demo as a visitor finds it, with its workers behind it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect


def test_the_first_page_shows_the_stories_and_the_workers(tour: Any) -> None:
    page = tour.open("/")
    expect(page.get_by_role("link", name="Import the world")).to_be_visible()
    expect(page.locator("#worker-1-state")).to_contain_text("alive")
    expect(page.locator("#worker-2-state")).to_contain_text("alive")
    tour.look(page)


@pytest.mark.parametrize("how", ["Deploy · SIGTERM", "Crash · SIGKILL"])
def test_a_worker_that_is_stopped_is_started_again_by_itself(tour: Any, how: str) -> None:
    page = tour.open("/")
    workers = page.locator(".demo-workers li")
    pid = re.search(r"process (\d+)", workers.nth(1).inner_text())
    assert pid
    tour.kill(page, how, worker=2)
    expect(workers.nth(1)).not_to_contain_text(pid.group())
    expect(page.locator("#worker-2-state")).to_contain_text("alive")


def test_the_theme_is_chosen_and_stays(tour: Any) -> None:
    page = tour.open("/", scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    tour.press(page, "Theme: automatic")
    tour.press(page, "Theme: light")
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    tour.press(page, "Theme: dark")
    assert page.evaluate(background) == light
