"""The stories about mails, from start to end, with the demo's own workers."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import expect

from .demo import PATIENCE


def sign_up(tour: Any, *, name: str, tips_after: str = "5 seconds", fails: str = "nothing", **options: Any) -> Any:
    page = tour.open("/mails/welcome/", **options)
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail address").fill(f"{name.lower()}@example.org")
    page.get_by_label("Tips come after").select_option(tips_after)
    page.get_by_label(fails, exact=True).check()
    tour.press(page, "Sign up")
    expect(page.get_by_role("heading", name=f"Welcome, {name}", exact=True).first).to_be_visible()
    return page


def row(page: Any, job: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=job, exact=True))


def ended(page: Any) -> Any:
    return expect(page.locator("[data-live-end]")).to_be_attached()


def subjects(page: Any) -> list[str]:
    return sorted(page.locator(".mails-list h3").all_inner_texts())


def numbers(page: Any) -> dict[str, int]:
    shown = page.locator(".mails-numbers > div")
    return {each.locator("dt").inner_text(): int(each.locator("dd").first.inner_text()) for each in shown.all()}


def test_the_chain_of_a_welcome_comes_to_its_end_though_all_workers_are_replaced(tour: Any) -> None:
    page = sign_up(tour, name="Ada", tips_after="15 seconds")
    expect(row(page, "WelcomeMail")).to_contain_text("succeeded")
    expect(row(page, "TellAdministrators")).to_contain_text("succeeded")
    expect(row(page, "CountPerson")).to_contain_text("to come")
    # The tips rest: no worker knows of them.
    tour.kill(page, "Deploy · SIGTERM", worker=1)
    tour.kill(page, "Crash · SIGKILL", worker=2)
    ended(page)
    for job in ("WelcomeMail", "TellAdministrators", "TipsMail", "CountPerson"):
        expect(row(page, job)).to_contain_text("succeeded")
    assert subjects(page) == ["A new person", "Three tips", "Welcome, Ada"]
    expect(page.get_by_text("Counted once")).to_be_visible()
    tour.look(page)


def test_a_follow_up_that_fails_leaves_its_parent_succeeded_until_somebody_mends_it(tour: Any, picture: Any) -> None:
    page = sign_up(tour, name="Grace", fails="what on_success of the welcome mail enqueues")
    expect(row(page, "WelcomeMail")).to_contain_text("(follow-up failed)")
    expect(row(page, "WelcomeMail")).to_contain_text("succeeded")
    assert subjects(page) == ["Welcome, Grace"]
    tour.look(page)
    picture(page, "demo-welcome")
    tour.press(page, "Run it again as it is")
    expect(page.get_by_text("It failed again: The address book is away.")).to_be_visible()
    expect(row(page, "TipsMail")).to_contain_text("to come")
    tour.press(page, "Mend the cause, then run it again")
    expect(page.get_by_text("WelcomeMail runs again.")).to_be_visible()
    ended(page)
    expect(row(page, "CountPerson")).to_contain_text("succeeded")
    assert subjects(page) == ["A new person", "Three tips", "Welcome, Grace"]


def test_a_child_that_fails_leaves_the_others_alone_and_is_retried_by_itself(tour: Any) -> None:
    page = sign_up(tour, name="Edith", fails="the job that tells the administrators")
    expect(row(page, "TellAdministrators")).to_contain_text("failed")
    expect(row(page, "CountPerson")).to_contain_text("succeeded")
    ended(page)
    expect(row(page, "WelcomeMail")).to_contain_text("succeeded")
    tour.press(page, "Mend the cause, then run it again")
    expect(row(page, "TellAdministrators")).to_contain_text("succeeded")
    ended(page)
    assert subjects(page) == ["A new person", "Three tips", "Welcome, Edith"]


def test_a_newsletter_survives_a_crash_and_a_deploy_and_nobody_is_left_out(tour: Any, picture: Any) -> None:
    page = tour.open("/mails/bulk/")
    tour.press(page, "Make up 400 people")
    expect(page.get_by_text("400 people were made up.")).to_be_visible()
    tour.look(page)
    tour.press(page, "Send it to everybody")
    await_mails(page, 60)
    tour.kill(page, "Crash · SIGKILL")
    expect(page.get_by_role("row").filter(has_text="its process died")).to_be_visible()
    await_mails(page, numbers(page)["Mails in the outbox"] + 60)
    picture(page, "demo-bulk")
    tour.kill(page, "Deploy · SIGTERM")
    ended(page)
    found = numbers(page)
    assert found["People"] >= 400
    assert found["People without a mail"] == 0
    assert found["Mails in the outbox"] - found["Mails repeated"] == found["People"]
    # One crash leaves one mail in doubt at most, and the deploy none.
    assert found["Mails repeated"] <= found["In doubt"] <= 1
    expect(page.get_by_role("row").filter(has_text="interrupted")).to_be_visible()
    expect(page.locator(".mails-list li").last).to_contain_text("Report: News")
    expect(page.locator(".mails-list li").last).to_contain_text(f"Mails in the outbox: {found['Mails in the outbox']}")
    tour.look(page)


def test_the_stories_about_mails_work_without_scripts(tour: Any) -> None:
    page = sign_up(tour, name="Barbara", java_script_enabled=False)
    end = time.monotonic() + PATIENCE
    while "Counted once" not in page.content():
        assert time.monotonic() < end, page.content()
        time.sleep(0.5)
        page.get_by_role("link", name="Reload").click()
    assert subjects(page) == ["A new person", "Three tips", "Welcome, Barbara"]


def test_the_first_pages_of_the_stories_about_mails_are_accessible(tour: Any) -> None:
    tour.look(tour.open("/mails/welcome/"))


def await_mails(page: Any, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while numbers(page)["Mails in the outbox"] < count:
        assert time.monotonic() < end
        time.sleep(0.1)
