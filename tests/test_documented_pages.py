"""The code of pages that say how to operate, test and extend: run from top to bottom, and looked at for what it did."""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import django
import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core import mail
from django.template import engines
from django.utils import timezone
from rq.cron import CronJob

from continuations import ContinuableJob
from continuations.admin import ContinuationAdminMixin
from continuations.conf import unknown_keys, wrong_values
from continuations.masking import names_for
from continuations.models import Continuation
from continuations.signals import failed
from continuations.testing import run_enqueued, run_until_finished
from continuations.worker import ContinuableWorkerMixin
from tests.documented import ROOT, blocks, run_page, shop
from tests.shop.models import Product

pytestmark = pytest.mark.django_db


class ProcessImport(ContinuableJob):
    def perform(self, import_id: int) -> None:
        pass


class NightlyReport(ContinuableJob):
    def perform(self) -> None:
        pass


class CloseOrders(ContinuableJob):
    def perform(self) -> None:
        pass


class Invoices(ContinuableJob):
    def perform(self, day: Any) -> str:
        return f"{day:%Y}"


GIVEN = {each.__name__: each for each in (ContinuableJob, ProcessImport, NightlyReport, CloseOrders, Invoices)}


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    with shop(GIVEN):
        yield


@pytest.mark.parametrize("page", ["retention.md", "settings.md", "testing.md"])
def test_settings_that_are_shown_pass_the_checks(page: str) -> None:
    shown = [text for text in blocks(ROOT / "docs" / page, "python") if "CONTINUATIONS = " in text]
    assert shown
    for text in shown:
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        assert [*unknown_keys(namespace["CONTINUATIONS"]), *wrong_values(namespace["CONTINUATIONS"])] == []


def test_retention() -> None:
    ProcessImport.perform_now(7)
    long_ago = timezone.now() - dt.timedelta(days=91)
    Continuation.objects.update(status="failed", created_at=long_ago, finished_at=long_ago, anchor_open=False)
    run_page("retention.md", GIVEN)
    assert not Continuation.objects.exists()


def test_cron_functions_enqueue_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = []
    monkeypatch.setattr("rq.cron.register", lambda function, **options: registered.append((function, options)))
    names = run_page("scheduling.md", GIVEN)
    assert [function.__name__ for function, _ in registered] == ["nightly_report", "close_orders", "recover", "prune"]
    # With options that RQ takes.
    for function, options in registered:
        CronJob(func=function, **options)
    for _ in range(2):
        for name in ("nightly_report", "close_orders", "daily_invoices", "recover", "prune"):
            names[name]()
    assert sorted(Continuation.objects.values_list("key", flat=True)) == [
        "close-orders",
        f"invoices:{timezone.localdate()}",
        "nightly-report",
    ]
    assert run_enqueued() == 3


def test_a_receiver_is_told_of_a_failure(settings: Any) -> None:
    address = "ada@example.com"
    settings.ADMINS = [address] if django.VERSION >= (6, 0) else [("ada", address)]
    receiver = run_page("signals.md")["tell_somebody"]
    try:
        Continuation.objects.bulk_create([Continuation(job_path="shop.Gone", arguments_json="[[], {}]")])
        with pytest.raises(Exception, match="Gone"):
            run_enqueued()
    finally:
        assert failed.disconnect(receiver)
    assert "has failed" in mail.outbox[0].subject


def test_a_group_for_people_on_call() -> None:
    run_page("permissions.md")
    assert Group.objects.get(name="on call").permissions.count() == 3


def test_a_worker_of_ones_own() -> None:
    assert issubclass(run_page("guarantees.md")["MyWorker"], ContinuableWorkerMixin)


@pytest.fixture
def registry() -> Iterator[Any]:
    """What the site has registered, given back afterwards. By hand: the site is lazy, which misleads `monkeypatch`."""
    registry = admin.site._registry
    before = dict(registry)
    yield registry
    registry.clear()
    registry.update(before)


def test_an_admin_of_ones_own(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theme = ModuleType("unfold.admin")
    vars(theme)["ModelAdmin"] = admin.ModelAdmin
    monkeypatch.setitem(sys.modules, "unfold.admin", theme)
    names = run_page("admin.md", GIVEN)
    assert isinstance(registry[Continuation], names["ContinuationAdmin"])
    assert issubclass(names["ContinuationAdmin"], ContinuationAdminMixin)
    assert {"token", "password"} <= set(names_for(names["SyncAccounts"].__module__ + ".SyncAccounts") or ())


def test_monitoring_is_turned_on_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr("continuations.contrib.opentelemetry.instrument", lambda: called.append("opentelemetry"))
    monkeypatch.setattr("continuations.contrib.prometheus.register", lambda: called.append("prometheus"))
    monkeypatch.setattr(
        "sentry_sdk.init", lambda **options: called.extend(each.identifier for each in options["integrations"])
    )
    config = run_page("monitoring.md")["ShopConfig"]
    config.ready(config)
    assert called == ["continuations", "opentelemetry", "prometheus"]


def test_the_tests_that_are_shown_pass(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_page("testing.md")
    monkeypatch.setattr(client, "post", lambda url, data: names["Relabel"].enqueue(data["note"]))
    shown = {name: value for name, value in names.items() if name.startswith("test_")}
    assert len(shown) == 7
    for test in shown.values():
        Continuation.objects.all().delete()
        Product.objects.all().delete()
        Product.objects.bulk_create([Product(name="tea", note=""), Product(name="jam", note="")])
        test(**{name: client if name == "client" else None for name in inspect.signature(test).parameters})


def test_the_assertion_finds_what_is_done_twice_without_a_block() -> None:
    """As the page says."""
    Product.objects.bulk_create([Product(name=name, note="") for name in ("tea", "jam", "salt")])
    text = blocks(ROOT / "docs" / "testing.md", "python")[1].replace("step.atomic()", "open('/dev/null')")
    namespace: dict[str, Any] = {"__name__": "shop.jobs"}
    exec(text, namespace)
    sys.modules["shop.jobs"].Relabel = namespace["Relabel"]  # type: ignore[attr-defined]
    check = blocks(ROOT / "docs" / "testing.md", "python")[-1]
    exec(check, namespace)
    with pytest.raises(AssertionError, match="not resumable: a crash"):
        namespace["test_it_can_be_stopped_and_killed_anywhere"](None)


def test_the_template_that_is_shown_is_one() -> None:
    (text,) = blocks(ROOT / "docs" / "templates.md", "html+django")
    job = run_until_finished(ProcessImport.enqueue(7))
    assert (
        engines["django"].from_string(text.replace('{% url "import"', '{% firstof "import"')).render({"original": job})
    )
