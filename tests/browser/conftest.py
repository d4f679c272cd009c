"""A real browser in front of a real server, under a strict Content-Security-Policy, with a real worker behind it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
import pytest
from pytest_django.live_server_helper import LiveServer

# Asked for without Playwright, nothing is collected, which is an error of pytest's.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "docs" / "pictures"
# Pixels that a picture shows of a short page, and of a long one.
LOWEST, HIGHEST = 500, 1300

# Parts of the stock admin in which axe finds something: links in the breadcrumbs have no underline, and the label of
# the search is a picture.
DJANGOS = [".breadcrumbs", "#searchbar"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium. A machine without it fails: these tests run only where they are asked for."""
    from playwright.sync_api import sync_playwright

    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    # Playwright's event loop runs in the thread of the tests, where the ORM is used too.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    assert executable, "no Chromium found: apt-get install chromium, or set CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(settings: Any, transactional_db: None) -> Iterator[str]:
    """Address of the site, which lets a page load and do nothing but what comes from the site itself."""
    own = "demo_project.csp.ContentSecurityPolicyMiddleware"
    policy = "django.middleware.csp.ContentSecurityPolicyMiddleware" if django.VERSION >= (6, 0) else own
    settings.SECURE_CSP = {"default-src": ["'self'"]}
    sessions, *others = settings.MIDDLEWARE
    settings.MIDDLEWARE = [policy, sessions, "django.middleware.locale.LocaleMiddleware", *others]
    settings.ALLOWED_HOSTS = ["localhost"]
    # One for each test: a server reads its middleware as it starts.
    server = LiveServer("localhost")
    yield server.url
    server.stop()


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


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Visitor]:
    """Opens pages: `page = visit("/admin/", scheme="dark")`. At the end nothing may have gone wrong in them."""
    visitor = Visitor(browser, site)
    yield visitor
    visitor.close()
    assert visitor.faults == []


@pytest.fixture
def sign_in(django_user_model: Any, client: Any) -> Callable[[Any], None]:
    """Signs a page in as the superuser Ada, whose password is lovelace."""

    def sign_in(page: Any) -> None:
        ada = django_user_model.objects.filter(username="ada").first()
        client.force_login(ada or django_user_model.objects.create_superuser("ada", password="lovelace"))
        address = page.evaluate("location.origin")
        page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": address}])
        page.goto("/admin/")

    return sign_in


@pytest.fixture
def opened(visit: Visitor, sign_in: Callable[[Any], None]) -> Callable[..., Any]:
    """Opens a page at a path, with Ada signed in. Options are those of `visit`."""

    def opened(path: str, **options: Any) -> Any:
        page = visit("/admin/login/", **options)
        sign_in(page)
        page.goto(path)
        return page

    return opened


@pytest.fixture
def check_accessibility(visit: Visitor) -> Callable[[Any], None]:
    """Fails with what axe finds on a page, beside faults of Django's own."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Any) -> None:
        # Colours fade from one scheme to another.
        page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
        faults = list(visit.faults)
        found = Axe().run(page, context={"exclude": [[each] for each in DJANGOS]})
        # It tries inline styles, and the policy forbids them to it, too.
        page.evaluate("1")
        visit.faults[:] = faults
        assert found.violations_count == 0, found.generate_report()

    return check


@pytest.fixture
def picture() -> Callable[..., None]:
    """Takes a picture of a page for the docs, when PICTURES=1; without it, takes it and throws it away."""

    def picture(page: Any, name: str, *, highest: int = HIGHEST) -> None:
        path = PICTURES / f"{name}.png" if os.environ.get("PICTURES") else None
        page.set_viewport_size({"width": 1280, "height": LOWEST})
        height = min(page.evaluate("document.documentElement.scrollHeight"), highest)
        # Nothing that sticks to the edge of a window may lie over what is below it.
        page.set_viewport_size({"width": 1280, "height": height})
        page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": height})

    return picture
