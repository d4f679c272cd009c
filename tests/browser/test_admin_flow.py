"""A day in the life of jobs: steered in a browser, run by a real worker."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from continuations.models import Continuation, StepRecord
from tests.admin import states
from tests.admin.pages import LIST, address
from tests.processes import Worker
from tests.shop.jobs import Approved, Count, Fails, Poisoned
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Any]


@pytest.fixture
def worker(start_worker: Callable[..., Worker]) -> Worker:
    return start_worker("default", worker_class=None)


@pytest.fixture(autouse=True)
def _patience() -> Any:
    """Workers take their time on a busy machine."""
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


def endless(run: str) -> Continuation:
    return Poisoned.enqueue(run, 1_000_000, 0.02)


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def expect_state(page: Any, state: str) -> None:
    """The page says so, by itself if it has to."""
    expect(page.locator("#continuations-state")).to_have_text(state)


def counted(page: Any) -> Any:
    return page.locator(".continuations-progress")


def expect_movement(page: Any) -> None:
    """What is counted changes, and nobody has touched the page."""
    expect(counted(page)).to_contain_text("step 2")
    before = counted(page).inner_text()
    expect(counted(page)).not_to_have_text(before)


def cursor(row: Continuation) -> int:
    return int(StepRecord.objects.get(continuation=row, name="count").cursor_json or 0)


def history(page: Any, row: Continuation) -> list[str]:
    """What was done, by whom: oldest first."""
    page.goto(address(row, "history"))
    lines = page.locator("#change-history tbody tr")
    return [" ".join(line.split("\t")[1:]).strip() for line in lines.all_inner_texts()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_its_start_to_its_cancellation(opened: Open, worker: Worker, scheme: str) -> None:
    row = endless("a")
    page = opened(address(row), scheme=scheme)
    expect_state(page, "running")
    expect_movement(page)

    page.fill("#continuations-reason", "a deploy")
    press(page, "Pause")
    expect_state(page, "paused")
    paused_at = cursor(row)
    assert paused_at > 0

    press(page, "Resume")
    expect_state(page, "running")
    expect_movement(page)
    assert cursor(row) > paused_at

    Applied.objects.create(run="a", item="poison")
    expect_state(page, "failed")
    expect(page.get_by_role("region", name="Last error")).to_contain_text("row is poisoned")
    failed_at = cursor(row)
    expect(page.locator(".continuations-frames")).to_contain_text("tests/shop/jobs.py")

    Applied.objects.create(run="a", item="fixed")
    page.fill("#continuations-reason", "the row is mended")
    press(page, "Retry")
    expect_state(page, "running")
    expect_movement(page)
    assert cursor(row) > failed_at
    assert Applied.objects.filter(run="a", item="first").count() == 1

    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_text("What its steps have done already.")).to_be_visible()
    page.get_by_label("Reason").fill("wrong file")
    press(page, "Yes, cancel it")
    expect_state(page, "cancelled")
    assert history(page, row) == [
        "ada Paused it. Reason: a deploy",
        "ada Resumed it.",
        "ada Retried it. Reason: the row is mended",
        "ada Cancelled it. Reason: wrong file",
    ]


def test_without_scripts(opened: Open, worker: Worker) -> None:
    row = endless("a")
    page = opened(address(row), java_script_enabled=False)

    def reloaded(state: str) -> None:
        for _ in range(600):
            if page.locator("#continuations-state").inner_text().strip() == state:
                return
            page.reload()
        raise AssertionError(page.locator("#continuations-state").inner_text())

    reloaded("running")
    expect(page.get_by_role("button", name="Live updates")).to_be_hidden()
    page.fill("#continuations-reason", "a deploy")
    press(page, "Pause")
    reloaded("paused")
    press(page, "Resume")
    reloaded("running")
    page.get_by_role("link", name="Cancel…").click()
    press(page, "Yes, cancel it")
    reloaded("cancelled")
    assert history(page, row) == ["ada Paused it. Reason: a deploy", "ada Resumed it.", "ada Cancelled it."]


def test_a_failed_one_is_run_again_from_its_first_step(opened: Open, worker: Worker) -> None:
    row = Fails.enqueue("a")
    page = opened(address(row))
    expect_state(page, "failed")
    Applied.objects.create(run="a", item="fixed")
    page.get_by_role("link", name="Run again from a step…").click()
    page.get_by_role("link", name="first", exact=True).click()
    expect(page.get_by_text("“first” and “second”, from the start.")).to_be_visible()
    press(page, "Run again from a step")
    expect_state(page, "succeeded")
    assert Applied.objects.filter(run="a", item="first").count() == 2


def test_what_waits_is_sent_an_event(opened: Open, worker: Worker) -> None:
    row = Approved.enqueue()
    page = opened(address(row))
    expect_state(page, "waiting")
    page.get_by_role("link", name="Send an event…").click()
    expect(page.get_by_label("Event")).to_have_value("approved")
    page.get_by_label("Payload").fill('{"by": "the board"')
    press(page, "Send an event")
    expect(page.get_by_text("This is no JSON")).to_be_visible()
    page.get_by_label("Payload").fill('{"by": "the board"}')
    press(page, "Send an event")
    expect_state(page, "succeeded")
    expect(page.locator("#continuations-result")).to_contain_text("the board")
    row.refresh_from_db()
    assert row.result == {"by": "the board"}


def test_the_cursor_of_a_paused_one_is_edited(opened: Open, worker: Worker) -> None:
    row = Count.enqueue("a", 100_000, 0.02)
    page = opened(address(row))
    expect(counted(page)).to_contain_text("step 2")
    press(page, "Pause")
    expect_state(page, "paused")
    page.get_by_role("link", name="Edit the cursor…").first.click()
    page.locator("#id_cursor").fill("99990")
    page.get_by_label("Reason").fill("the rest is elsewhere")
    press(page, "Edit the cursor")
    expect_state(page, "paused")
    press(page, "Resume")
    expect_state(page, "succeeded")
    done = Applied.objects.filter(run="a").values_list("item", flat=True)
    assert [str(item) for item in range(99_990, 100_000)] == [item for item in done if len(item) == 5][-10:]
    assert "50000" not in done
    assert history(page, row)[1] == "ada Edited the cursor of step “count”. Reason: the rest is elsewhere"


def test_many_are_paused_and_resumed_in_the_list(opened: Open, worker: Worker) -> None:
    rows = [Approved.enqueue() for _ in range(3)]
    page = opened(LIST)
    cells = page.locator("[data-continuations-cell=state] .continuations-state")
    expect(cells).to_have_text(["waiting"] * 3)
    page.check("#action-toggle")
    page.select_option("select[name=action]", "pause_selected")
    page.locator("button[name=index]").click()
    page.get_by_label("Reason").fill("a freeze")
    press(page, "Pause")
    expect(page.get_by_text("3 are now paused.")).to_be_visible()
    expect(cells).to_have_text(["paused"] * 3)
    for row in rows:
        row.resume()
        row.send("approved")
    expect(cells).to_have_text(["succeeded"] * 3)
    assert history(page, rows[0]) == ["ada Paused it. Reason: a freeze"]


# Live updates. No worker: nothing changes but what the test changes, and the clock of the page is the test's.


class Polls:
    """What a page asked for in the background, and was answered."""

    def __init__(self, page: Any) -> None:
        self.answers: list[int] = []
        self._page = page
        self._open: set[Any] = set()
        page.on("request", lambda request: "/live/" in request.url and self._open.add(request))
        page.on("response", lambda response: "/live/" in response.url and self.answers.append(response.status))
        for ended in ("requestfinished", "requestfailed"):
            page.on(ended, lambda request: self._open.discard(request))

    def after(self, seconds: int) -> list[int]:
        """The answers in a time that passes at once."""
        self.answers.clear()
        for _ in range(seconds):
            self._page.clock.run_for(1000)
            # Behind what it has asked for, one more question: by then it is known what was asked.
            self._page.evaluate("fetch('/admin/jsi18n/').then(each => each.text())")
            while self._open:
                self._page.wait_for_timeout(10)
        return self.answers


@pytest.fixture
def polls(opened: Open) -> Callable[[str], tuple[Any, Polls]]:
    def open_with_clock(path: str) -> tuple[Any, Polls]:
        page = opened(LIST)
        page.clock.install()
        page.goto(path)
        return page, Polls(page)

    return open_with_clock


def test_nothing_is_sent_while_nothing_changes_and_asked_less_and_less(polls: Any) -> None:
    _, seen = polls(address(states.interrupted()))
    answers = seen.after(60)
    assert set(answers) == {304}
    assert 4 <= len(answers) <= 12


def test_the_page_changes_by_itself_and_says_so_until_it_has_ended(polls: Any) -> None:
    row = states.interrupted()
    page, seen = polls(address(row))
    row.pause(by="ana")
    seen.after(3)
    expect_state(page, "paused")
    expect(page.get_by_role("status")).to_have_text("paused")
    row.cancel(by="ana")
    seen.after(3)
    expect_state(page, "cancelled")
    assert seen.after(30) == []


def test_live_updates_are_switched_off_and_stay_off(polls: Any) -> None:
    row = states.interrupted()
    page, seen = polls(address(row))
    switch = page.get_by_role("button", name="Live updates")
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    row.pause()
    assert seen.after(30) == []
    expect_state(page, "interrupted")
    page.reload()
    expect_state(page, "paused")
    expect(switch).to_have_attribute("aria-pressed", "false")
    row.resume()
    assert seen.after(30) == []
    switch.click()
    assert seen.after(3) == [200]
    expect_state(page, "enqueued")


def test_nothing_moves_under_somebody_who_types(polls: Any) -> None:
    row = states.interrupted()
    page, seen = polls(address(row))
    reason = page.get_by_label("Reason")
    reason.focus()
    row.pause()
    assert seen.after(10) == []
    expect(page.get_by_text("Updates wait")).to_be_visible()
    page.keyboard.type("half a word")
    reason.blur()
    assert seen.after(10) == []
    expect(reason).to_have_value("half a word")
    expect_state(page, "interrupted")
    reason.fill("")
    reason.blur()
    assert seen.after(3) == [200]
    expect_state(page, "paused")
    expect(page.get_by_text("Updates wait")).to_be_hidden()


@pytest.mark.parametrize("where", ["page", "list"])
def test_who_is_signed_out_is_told_and_asks_no_more(polls: Any, where: str) -> None:
    row = states.interrupted()
    page, seen = polls(LIST if where == "list" else address(row))
    expect(page.get_by_text("You are signed out")).to_be_hidden()
    Session.objects.all().delete()
    seen.after(3)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("You are signed out")
    assert seen.after(30) == []
    alert.get_by_role("link", name="Log in").click()
    page.fill("#id_username", "ada")
    page.fill("#id_password", "lovelace")
    press(page, "Log in")
    expect(page.locator("#continuations-state, #result_list")).to_be_visible()


def expect_refusals(visit: Any) -> None:
    """A browser notes what it was refused, and nothing else went wrong."""
    assert visit.faults
    assert all("Failed to load resource" in fault for fault in visit.faults)
    visit.faults.clear()


def test_a_server_that_does_not_answer_is_told_and_asked_again(polls: Any, visit: Any) -> None:
    row = states.interrupted()
    page, seen = polls(address(row))
    alert = page.get_by_text("The server does not answer")
    page.route("**/live/", lambda route: route.abort())
    seen.after(3)
    expect(alert).to_be_visible()
    row.pause()
    page.unroute("**/live/")
    seen.after(12)
    expect_state(page, "paused")
    expect(alert).to_be_hidden()
    expect_refusals(visit)


def test_what_was_deleted_is_told_and_asked_for_no_more(polls: Any, visit: Any) -> None:
    row = states.interrupted()
    page, seen = polls(address(row))
    row.delete()
    seen.after(3)
    expect(page.get_by_text("is not there any more")).to_be_visible()
    assert seen.after(30) == []
    expect_refusals(visit)


def test_nothing_is_asked_while_the_tab_is_hidden(polls: Any) -> None:
    row = states.interrupted()
    page, seen = polls(address(row))
    hide = "state => { Object.defineProperty(document, 'hidden', { value: state, configurable: true }); "
    hide += "document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    row.pause()
    assert seen.after(30) == []
    page.evaluate(hide, False)
    assert seen.after(3) == [200]
    expect_state(page, "paused")


def test_the_cells_of_a_list_change_by_themselves(polls: Any) -> None:
    row = states.interrupted()
    # "3 s ago" would be another text every second.
    Continuation.objects.update(started_at=timezone.now() - dt.timedelta(days=3, hours=5))
    page, seen = polls(LIST)
    assert seen.after(30)[1:] == [304] * (len(seen.answers) - 1)
    page.locator(".action-select").check()
    row.pause(by="ana")
    seen.after(3)
    expect(page.locator("[data-continuations-cell=state] .continuations-state")).to_have_text("paused")
    expect(page.locator(".action-select")).to_be_checked()
