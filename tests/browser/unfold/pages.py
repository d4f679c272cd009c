"""The pages under django-unfold. Run by `test_unfold`, since a theme is chosen before Django starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer
from unfold.admin import ModelAdmin

from continuations.models import Continuation
from tests.admin import states
from tests.admin.pages import LIST, address

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # The theme's own, on Django 6.1.
    pytest.mark.filterwarnings("ignore:Overriding get_action"),
]

OURS = [".continuations-page", ".continuations-switch", ".continuations-above"]


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    """Without a policy: the theme's own scripts would break it."""
    server = LiveServer("localhost")
    yield server.url
    server.stop()


@pytest.fixture
def opened(browser: Any, site: str, admin_client: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page as the superuser; at the end no script may have failed."""
    contexts, faults = [], []

    def opened(path: str, *, scheme: str = "light", width: int = 1280) -> Any:
        context = browser.new_context(
            base_url=site, color_scheme=scheme, viewport={"width": width, "height": 900}, locale="en"
        )
        contexts.append(context)
        session = admin_client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def check_accessibility() -> Callable[[Any], None]:
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Any) -> None:
        page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
        ours = [[each] for each in OURS if page.locator(each).count()]
        found = Axe().run(page, context={"include": ours})
        assert found.violations_count == 0, found.generate_report()

    return check


def test_the_theme_is_there() -> None:
    assert isinstance(admin.site.get_model_admin(Continuation), ModelAdmin)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list(opened: Any, check_accessibility: Any, scheme: str) -> None:
    for make in states.STATES:
        make()
    page = opened(LIST, scheme=scheme)
    assert page.locator("[data-continuations-cell=state] .continuations-state").count() >= len(states.STATES)
    expect(page.get_by_role("button", name="Live updates")).to_be_visible()
    check_accessibility(page)
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_its_verbs(opened: Any, check_accessibility: Any, picture: Any, scheme: str) -> None:
    row = states.interrupted()
    page = opened(address(row), scheme=scheme)
    state = page.locator("#continuations-state")
    expect(state).to_have_text("interrupted")
    check_accessibility(page)
    page.get_by_label("Reason").fill("a deploy")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    page.get_by_role("link", name="Edit the cursor…").first.click()
    check_accessibility(page)
    page.locator("#id_cursor").fill("7")
    page.get_by_role("button", name="Edit the cursor").click()
    expect(page.locator("#continuations-cursor-2")).to_have_text("7")
    if scheme == "light":
        picture(page, "admin-unfold")
    row.refresh_from_db()
    row.resume()
    expect(state).to_have_text("enqueued", timeout=15_000)
    page.get_by_role("link", name="Cancel…").click()
    check_accessibility(page)
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(state).to_have_text("cancelled")
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_many_are_paused_in_the_list(opened: Any) -> None:
    rows = [states.interrupted(), states.waiting_for_event()]
    page = opened(LIST)
    page.locator("#action-toggle").check()
    page.select_option("select[name=action]", "pause_selected")
    page.locator("button[name=index]").click()
    page.get_by_label("Reason").fill("a freeze")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("2 are now paused.")).to_be_visible()
    for row in rows:
        row.refresh_from_db()
        assert (row.status, row.request_reason) == ("paused", "a freeze")


@pytest.mark.parametrize("make", states.STATES, ids=lambda make: make.__name__)
def test_the_page_of_every_state(admin_client: Any, make: Callable[[], Continuation]) -> None:
    row = make()
    for where in (address(row), address(row, "live"), address(row, "history"), address(row, "verb", "cancel")):
        response = admin_client.get(where, follow=True)
        assert response.status_code == 200
        assert "unfold" in response.content.decode() or where == address(row, "live")
