"""The story of the import, from its start to its end, with real workers that are stopped and killed."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from playwright.sync_api import expect

from demo_project.imports.world import poison

# Of whatever release of the airports is installed: its rows, and the one that is broken with its line in the file.
WORLD = files("airportsdata").joinpath("airports.csv").read_bytes().splitlines()
ROWS = len(WORLD) - 1
ROW = poison(b"\n".join(WORLD) + b"\n")[1]
LINE = WORLD.index(ROW.encode()) + 1
# Milliseconds for a whole import, on a machine that does other things too.
WHOLE = 300_000


def state(page: Any) -> Any:
    return page.locator(".demo-now .continuations-state")


def count(page: Any, name: str) -> Any:
    """What stands under this name among the counts of the continuation."""
    return page.locator(".demo-tally").first.locator("div", has_text=name).locator("dd")


def expect_exact(page: Any) -> None:
    expect(count(page, "Rows repeated")).to_have_text("0")
    expect(count(page, "Rows lost")).to_have_text("0")


def executions(page: Any) -> Any:
    return page.get_by_role("region", name="Executions").locator("tbody tr")


def expect_movement(page: Any) -> None:
    before = count(page, "Rows imported").inner_text()
    expect(count(page, "Rows imported")).not_to_have_text(before)


def start(page: Any, *, pace: str = "0.02", beside: bool = False, poisoned: bool = False) -> None:
    world = page.get_by_role("region", name="The airports of the world")
    world.get_by_label("Pace").select_option(pace)
    world.get_by_label("Beside it").set_checked(beside)
    world.get_by_label("Break one row").set_checked(poisoned)
    world.get_by_role("button").click()


def test_a_deploy_and_a_crash_cost_no_row_while_the_plain_job_starts_over(tour: Any, picture: Any) -> None:
    page = tour.open("/")
    picture(page, "demo-home")
    page.get_by_role("link", name="Import the world").click()
    tour.look(page)

    start(page, beside=True)
    expect(state(page)).to_have_text("running")
    expect_movement(page)
    tour.kill(page, "Deploy · SIGTERM", job="ProcessImport")
    expect(executions(page).first).to_contain_text("the worker was told to stop")
    expect(executions(page)).to_have_count(2)
    expect_movement(page)
    expect_exact(page)
    tour.kill(page, "Kill its job · SIGKILL", job="plain_import")
    expect(page.locator("#plain-starts")).to_have_text("2")
    tour.kill(page, "Crash · SIGKILL", job="ProcessImport")
    expect(executions(page).nth(1)).to_contain_text("its process died")
    expect(executions(page)).to_have_count(3)
    expect_movement(page)
    expect_exact(page)
    expect(page.locator("#plain-repeated")).not_to_have_text("0")
    picture(page, "demo-import")

    expect(state(page)).to_have_text("succeeded", timeout=WHOLE)
    expect(count(page, "Rows imported")).to_have_text(f"{ROWS:,}")
    expect_exact(page)
    expect(page.locator("[data-dots]")).to_have_attribute("data-drawn", str(ROWS))
    expect(page.locator(".demo-bars rect")).to_have_count(3)
    tour.look(page)
    page.get_by_role("link", name="Open in the admin").click()
    expect(page.get_by_label("Username:")).to_be_visible()


def test_a_row_is_fixed_and_the_import_goes_on_at_that_row(tour: Any, picture: Any) -> None:
    page = tour.open("/imports/")
    start(page, pace="0", poisoned=True)
    expect(state(page)).to_have_text("failed", timeout=WHOLE)
    error = page.get_by_role("region", name="Last error")
    expect(error).to_contain_text(f"Line {LINE} is no airport: lat: “north” value must be a float.")
    expect(count(page, "Rows imported")).to_have_text(f"{LINE - 2:,}")
    picture(page, "demo-poison")
    tour.look(page)

    error.get_by_label("Row").fill("no airport")
    tour.press(page, "Fix the row")
    expect(error).to_contain_text("The row has 1 columns instead of 11.")
    error.get_by_label("Row").fill(ROW)
    tour.press(page, "Fix the row")
    expect(page.get_by_text(f"Line {LINE:,} is fixed.")).to_be_visible()
    tour.press(page, "Retry")
    expect(state(page)).to_have_text("succeeded", timeout=WHOLE)
    expect(executions(page).nth(1)).to_contain_text(re.compile(rf"line {LINE:,}, byte [\d,]+"))
    expect(executions(page)).to_have_count(2)
    expect(count(page, "Rows imported")).to_have_text(f"{ROWS:,}")
    expect_exact(page)


def test_a_file_of_ones_own_is_imported_without_scripts(tour: Any, tmp_path: Any) -> None:
    from tests.demo.airports import HEATHROW, file_of

    path = tmp_path / "mine.csv"
    path.write_bytes(file_of(HEATHROW))
    page = tour.open("/imports/", java_script_enabled=False)
    page.get_by_label("CSV file").set_input_files(path)
    tour.press(page, "Upload and import")
    for _ in range(600):
        if state(page).inner_text() == "succeeded":
            break
        page.get_by_role("link", name="Reload").click()
    expect(state(page)).to_have_text("succeeded")
    expect_exact(page)
    expect(page.locator("path.demo-dots")).to_have_attribute("d", "M179.5 38.5h0")
    expect(page.get_by_role("button", name="Live updates")).to_be_hidden()
