"""A real browser in front of a real server, under a strict Content-Security-Policy, with a real worker behind it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import django
import pytest
from pytest_django.live_server_helper import LiveServer

from .demo import PATIENCE, Demo, Tour
from .visitor import ROOT, Visitor, accessible

# Asked for without Playwright, nothing is collected, which is an error of pytest's.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

PICTURES = ROOT / "docs" / "pictures"
# Pixels that a picture shows of a long page.
HIGHEST = 1000


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
    return lambda page: accessible(page, visit)


@pytest.fixture
def picture() -> Callable[[Any, str], None]:
    """Takes a picture of a page for the docs, when PICTURES=1; without it, takes it and throws it away."""
    from PIL import Image

    def picture(page: Any, name: str) -> None:
        height = min(page.evaluate("document.documentElement.scrollHeight"), HIGHEST)
        content = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": height})
        if os.environ.get("PICTURES"):
            # With a palette it is a third of the size, and no eye sees the difference.
            Image.open(io.BytesIO(content)).convert("RGB").quantize().save(PICTURES / f"{name}.png", optimize=True)

    return picture


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The whole demo, running; one for all tests that ask for it."""
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def tour(demo: Demo, browser: Any) -> Iterator[Tour]:
    """A visit to the demo. At the end nothing may have gone wrong in its pages."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE * 1000)
    tour = Tour(demo, browser)
    yield tour
    expect.set_options(timeout=5_000)
    tour.visit.close()
    # Shown by pytest when the test has failed.
    print(demo.output)
    assert tour.visit.faults == []
