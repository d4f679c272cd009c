"""Stories of jobs that walk: through records of accounts, through what is to be deleted, through pages of an API.

Each is played from its button to its end with real workers, which are stopped and killed meanwhile.
"""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from .demo import PATIENCE

TIMEOUT = PATIENCE * 1000
DEPLOY, CRASH, KILL_JOB = "Deploy · SIGTERM", "Crash · SIGKILL", "Kill its job · SIGKILL"


def count(page: Any, name: str) -> int:
    return int(page.locator(f"dt:text-is('{name}') + dd").inner_text().replace(",", ""))


def await_more(page: Any, name: str, than: int) -> None:
    """Until the count of that name is higher. The policy forbids Playwright's own way of waiting for that."""
    end = time.monotonic() + PATIENCE
    while count(page, name) <= than:
        assert time.monotonic() < end, f"{name} stays {than}"
        page.wait_for_timeout(200)


def executions(page: Any) -> Any:
    return page.locator("section:has(#executions) tbody tr")


def stop(tour: Any, page: Any, how: str, job: str, name: str) -> None:
    """Stop the worker that runs `job` in one way, and see another execution go on, by the count of that name."""
    before = executions(page).count()
    tour.kill(page, how, job=job)
    expect(executions(page).nth(before)).to_be_visible(timeout=TIMEOUT)
    await_more(page, name, count(page, name))


def await_success(page: Any) -> None:
    expect(page.locator(".demo-now")).to_contain_text("succeeded", timeout=TIMEOUT)


def test_records_of_accounts_are_posted_once_although_workers_are_stopped_and_killed(tour: Any, picture: Any) -> None:
    page = tour.open("/")
    page.get_by_role("link", name="Post records").click()
    tour.press(page, "Post the records of 40 accounts")
    await_more(page, "Posted", 0)
    for how in (DEPLOY, CRASH):
        stop(tour, page, how, "PostRecords", "Posted")
    expect(page.locator("tr:has(th:text-is('post'))")).to_contain_text(re.compile(r"\(\d+, \(\d+, \d+\)\)"))
    picture(page, "demo-accounts")
    stop(tour, page, KILL_JOB, "PostRecords", "Posted")
    await_success(page)
    assert count(page, "Posted") == count(page, "Records") > 1_000
    assert [count(page, name) for name in ("Records posted twice", "Records lost", "Wrong balances")] == [0, 0, 0]
    assert executions(page).count() == 4
    tour.look(page)


def test_old_visits_are_deleted_and_recent_ones_kept_although_workers_are_stopped_and_killed(
    tour: Any, picture: Any
) -> None:
    page = tour.open("/cleanup/")
    tour.press(page, "Delete the old visits")
    await_more(page, "Deleted", 0)
    for how in (DEPLOY, CRASH, KILL_JOB):
        stop(tour, page, how, "DeleteOldVisits", "Deleted")
    picture(page, "demo-cleanup")
    await_success(page)
    assert (count(page, "Old visits"), count(page, "Deleted")) == (1_200, 1_200)
    assert [count(page, name) for name in ("Recent visits lost", "Deleted without farewell")] == [0, 0]
    # At least once: a kill may come between a farewell and its deletion. A deploy never does.
    assert count(page, "Farewells said again") <= 2
    assert executions(page).count() == 4
    tour.look(page)


def begin_pull(tour: Any, fails: str) -> Any:
    page = tour.open("/catalogue/")
    page.get_by_label("The API answers 503").select_option(fails)
    tour.press(page, "Pull the catalogue")
    return page


def check_pull(page: Any) -> None:
    """Every product once, and no request but those for a page, those that failed and those of a page in hand."""
    assert count(page, "Products") == 48 * 20
    assert [count(page, name) for name in ("Products stored twice", "Products lost")] == [0, 0]
    assert count(page, "Requests") == 48 + count(page, "Answered with 503") + count(page, "Pages asked for again")


def test_a_catalogue_is_pulled_from_an_api_that_fails_at_every_seventh_request(tour: Any, picture: Any) -> None:
    page = begin_pull(tour, "at every 7th request")
    await_more(page, "Answered with 503", 1)
    expect(page.locator("section:has(#executions)")).to_contain_text("The API answered 503 Service Unavailable.")
    picture(page, "demo-catalogue")
    await_success(page)
    check_pull(page)
    assert count(page, "Answered with 503") == count(page, "Requests") // 7 == 7
    assert count(page, "Pages asked for again") == 0
    tour.look(page)


def test_a_catalogue_is_pulled_although_workers_are_stopped_and_killed(tour: Any) -> None:
    page = begin_pull(tour, "never")
    await_more(page, "Products", 0)
    for how in (DEPLOY, CRASH, KILL_JOB):
        stop(tour, page, how, "PullCatalogue", "Products")
    await_success(page)
    check_pull(page)
    # At least once: a page in hand when its process was killed is asked for again. At a deploy none is in hand.
    assert count(page, "Pages asked for again") <= 2
    assert executions(page).count() == 4
    for why in ("told to stop", "died"):
        expect(executions(page).filter(has_text=why).first).to_be_visible()


@pytest.mark.parametrize("path", ["/accounts/", "/cleanup/", "/catalogue/"])
def test_the_first_page_of_a_story_is_for_everybody(tour: Any, path: str) -> None:
    tour.look(tour.open(path))


def test_a_story_is_told_without_scripts(tour: Any) -> None:
    page = tour.open("/cleanup/", java_script_enabled=False)
    tour.press(page, "Delete the old visits")
    assert count(page, "Old visits") == 1_200
    for _ in range(60):
        page.wait_for_timeout(1_000)
        page.get_by_role("link", name="Reload").click()
        if "succeeded" in page.locator(".demo-now").inner_text():
            break
    assert count(page, "Deleted") == 1_200


def test_the_admin_has_something_to_show_from_the_start(tour: Any, picture: Any) -> None:
    page = tour.open("/admin/login/?next=/admin/continuations/continuation/")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill("demo")
    tour.press(page, "Log in")
    expect(page.locator("body")).to_contain_text("No worker listens on queue “nightly”, and jobs wait there.")
    expect(page.locator("body")).to_contain_text("1 job is stalled")
    # Workers have been there for a while: recovery has neither run nor ended what only looks as if it ran.
    page.wait_for_timeout(3_000)
    page.reload()
    for job, state in {
        "NightlyReport": "enqueued",
        "ApproveBudget": "waiting",
        "SyncCatalogue": "paused",
        "RemindCustomer": "discarded",
        "CloseMonth": "waiting",
    }.items():
        expect(page.locator("#result_list tr", has_text=job)).to_contain_text(state)
    expect(page.locator("#result_list tr", has_text="430 of 1,000 (43 %)")).to_contain_text("paused")
    picture(page, "demo-history")
