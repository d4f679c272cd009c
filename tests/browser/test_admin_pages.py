"""The admin's pages as they are seen, heard and used with a keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from continuations.models import Continuation
from tests.admin import states
from tests.admin.pages import LIST, address

pytestmark = pytest.mark.django_db(transaction=True)

Open = Callable[..., Any]

OUTLINE = "each => { const style = getComputedStyle(each); return [style.outlineStyle, style.outlineWidth]; }"


def check_all(page: Any, check_accessibility: Any) -> None:
    """In light, in dark, and on a narrow screen."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        check_accessibility(page)
    fits(page, 320)


def fits(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def tab_to(page: Any, locator: Any) -> None:
    """Press Tab until it has the focus, which must be seen."""
    expect(locator).to_be_visible()
    for _ in range(80):
        page.keyboard.press("Tab")
        if locator.evaluate("each => each === document.activeElement"):
            break
    expect(locator).to_be_focused()
    style, width = locator.evaluate(
        "each => [getComputedStyle(each).outlineStyle, getComputedStyle(each).outlineWidth]"
    )
    assert style != "none"
    assert float(width.removesuffix("px")) >= 2


@pytest.mark.parametrize("make", states.STATES, ids=lambda make: make.__name__)
def test_the_page_of_every_state(opened: Open, check_accessibility: Any, make: Callable[[], Continuation]) -> None:
    row = make()
    page = opened(address(row))
    expect(page.locator(".continuations-header .continuations-heading .continuations-state")).to_be_visible()
    check_all(page, check_accessibility)


def test_the_list_of_every_state(opened: Open, check_accessibility: Any) -> None:
    for make in states.STATES:
        make()
    page = opened(LIST)
    assert page.locator("#result_list tbody tr").count() >= len(states.STATES)
    check_all(page, check_accessibility)


def test_an_empty_list(opened: Open, check_accessibility: Any) -> None:
    check_all(opened(LIST), check_accessibility)


VERBS = [
    (states.running, "cancel"),
    (states.deaf, "force-pause"),
    (states.interrupted, "cursor"),
    (states.waiting_for_event, "send"),
    (states.failed, "rerun"),
    (states.failed, "rerun?step=load"),
    (states.failed, "retry"),
]


@pytest.mark.parametrize(("make", "verb"), VERBS, ids=lambda each: getattr(each, "__name__", each))
def test_the_page_of_every_verb(
    opened: Open, check_accessibility: Any, make: Callable[[], Continuation], verb: str
) -> None:
    slug, _, query = verb.partition("?")
    page = opened(f"{address(make(), 'verb', slug)}?{query}")
    assert f"/verb/{slug}/" in page.url
    check_all(page, check_accessibility)


def test_the_page_of_a_verb_for_many(opened: Open, check_accessibility: Any) -> None:
    states.running()
    states.paused()
    page = opened(LIST)
    page.check("#action-toggle")
    page.select_option("select[name=action]", "cancel_selected")
    page.locator("button[name=index]").click()
    expect(page.get_by_role("heading", name="Cancel", level=1)).to_be_visible()
    check_all(page, check_accessibility)


@pytest.mark.parametrize("language", ["he", "ar"])
def test_a_language_written_from_right_to_left(opened: Open, language: str) -> None:
    row = states.failed()
    page = opened(LIST, locale=language)
    for path in (address(row), LIST, address(row, "verb", "cancel"), f"{address(row, 'verb', 'rerun')}?step=load"):
        page.goto(path)
        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        fits(page, 1280)
        fits(page, 320)


def test_every_verb_is_within_reach_of_the_keyboard(opened: Open) -> None:
    page = opened(LIST)
    for row in (states.running(), states.paused(), states.failed(), states.waiting_for_event()):
        page.goto(address(row))
        controls = page.locator(".continuations-buttons :is(a, button)")
        assert controls.count() >= 2
        for index in range(controls.count()):
            tab_to(page, controls.nth(index))


def test_verbs_are_called_with_the_keyboard_alone(opened: Open) -> None:
    row = states.interrupted()
    page = opened(address(row))
    tab_to(page, page.get_by_label("Reason"))
    page.keyboard.type("a deploy")
    tab_to(page, page.get_by_role("button", name="Pause"))
    page.keyboard.press("Enter")
    expect(page.locator("#continuations-state")).to_have_text("paused")
    tab_to(page, page.get_by_role("link", name="Cancel…"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Yes, cancel it"))
    page.keyboard.press("Enter")
    expect(page.locator("#continuations-state")).to_have_text("cancelled")
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_a_table_that_is_too_wide_is_scrolled_with_the_keyboard(opened: Open) -> None:
    page = opened(address(states.failed()), width=320)
    box = page.get_by_role("region", name="Steps")
    tab_to(page, box)
    page.keyboard.press("ArrowRight")
    expect(box).not_to_have_js_property("scrollLeft", 0)


def test_a_value_is_copied_with_a_button(opened: Open) -> None:
    row = states.interrupted()
    page = opened(address(row), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=f"Copy {row.pk}").first.click()
    expect(page.locator("[data-continuations-announcement]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == str(row.pk)
