"""Somebody who opens pages and notes what a person would not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

# Parts of the stock admin in which axe finds something: links in the breadcrumbs have no underline, and the label of
# the search is a picture.
DJANGOS = [".breadcrumbs", "#searchbar"]


class Visitor:
    """Opens pages and notes what a person would not see: errors, violations, requests to other hosts."""

    def __init__(self, browser: Any, site: str) -> None:
        self._browser = browser
        self._site = site
        self._contexts: list[Any] = []
        self.faults: list[str] = []

    def __call__(self, path: str = "/", *, scheme: str = "light", width: int = 1280, **options: Any) -> Any:
        """A new page at `path`. `scheme`: light or dark. Options are those of a Playwright context."""
        context = self._browser.new_context(
            base_url=self._site, color_scheme=scheme, viewport={"width": width, "height": 900}, **options
        )
        context.set_default_timeout(30_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.faults.append(f"error in a script: {error}"))
        page.on("request", self._note_request)
        assert "content-security-policy" in page.goto(path).headers
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note_message(self, message: Any) -> None:
        if message.type == "error" and "favicon" not in message.location.get("url", ""):
            self.faults.append(message.text)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self._site, "data:", "blob:")):
            self.faults.append(f"a request to {request.url}")


def accessible(page: Any, visitor: Visitor) -> None:
    """Fails with what axe finds on a page, beside faults of Django's own."""
    from axe_playwright_python.sync_playwright import Axe

    # Colours fade from one scheme to another.
    page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
    faults = list(visitor.faults)
    found = Axe().run(page, context={"exclude": [[each] for each in DJANGOS]})
    # It tries inline styles, and the policy forbids them to it, too.
    page.evaluate("1")
    visitor.faults[:] = faults
    assert found.violations_count == 0, found.generate_report()
