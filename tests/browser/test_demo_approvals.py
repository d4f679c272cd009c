"""The story about an approval, from start to end, with the demo's own workers."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import expect

from .demo import PATIENCE


def hand_in(tour: Any, waits: str = "ten minutes", **options: Any) -> Any:
    page = tour.open("/approvals/", **options)
    page.get_by_label(waits, exact=True).check()
    tour.press(page, "Hand in, and ask for an approval")
    return page


def answer(tour: Any, page: Any, button: str, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    tour.press(page, button)


def test_an_import_waits_for_a_person_though_all_workers_die_meanwhile(tour: Any, picture: Any) -> None:
    page = hand_in(tour)
    expect(page.get_by_text("Waits for an approval until")).to_be_visible()
    for worker in (1, 2):
        expect(page.locator(f"#worker-{worker}-state")).to_contain_text("waits for a job")
        tour.kill(page, "Crash · SIGKILL", worker=worker)
        expect(page.locator(f"#worker-{worker}-state")).to_contain_text("restarting")
    expect(page.get_by_text("Waits for an approval until")).to_be_visible()
    tour.look(page)
    picture(page, "demo-approval")
    answer(tour, page, "Approve", "Grace")
    expect(page.get_by_text("Approved by Grace, and imported.")).to_be_visible()
    expect(page.get_by_role("row", name="Cheesecake")).to_be_visible()
    expect(page.locator(".approvals-answer")).to_be_hidden()
    tour.look(page)


def test_a_list_that_is_declined_imports_nothing(tour: Any) -> None:
    page = hand_in(tour)
    expect(page.get_by_text("Waits for an approval until")).to_be_visible()
    answer(tour, page, "Decline", "Edith")
    expect(page.get_by_text("Declined by Edith. Nothing was imported.")).to_be_visible()


def test_when_nobody_answers_it_ends_and_the_buttons_go(tour: Any) -> None:
    page = hand_in(tour, waits="15 seconds")
    expect(page.get_by_text("Waits for an approval until")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    expect(page.get_by_text("Nobody answered in time. Nothing was imported.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_be_hidden()


def test_an_event_sent_in_the_admin_approves_too(tour: Any) -> None:
    page = hand_in(tour, waits="for ever")
    expect(page.get_by_text("for as long as it takes")).to_be_visible()
    story = page.url
    page.get_by_role("link", name="Open in the admin").click()
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Send an event…").click()
    expect(page.get_by_label("Event")).to_have_value("approval")
    page.get_by_label("Payload").fill('{"approved": true, "by": "the admin"}')
    tour.press(page, "Send an event")
    page.goto(story)
    expect(page.get_by_text("Approved by the admin, and imported.")).to_be_visible()


def test_an_approval_works_without_scripts(tour: Any) -> None:
    page = hand_in(tour, java_script_enabled=False)
    # An answer that comes before the job waits is kept.
    answer(tour, page, "Approve", "Barbara")
    end = time.monotonic() + PATIENCE
    while "Approved by Barbara" not in page.content():
        assert time.monotonic() < end, page.content()
        time.sleep(0.5)
        page.get_by_role("link", name="Reload").click()


def test_the_first_page_of_the_approval_is_accessible(tour: Any) -> None:
    tour.look(tour.open("/approvals/"))
