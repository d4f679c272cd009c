"""The jobs that the pages on iterating and on deploying show, run as they stand there."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from continuations import ContinuableJob, loading
from continuations.models import Continuation
from continuations.testing import crash_during, interrupt_during, run_enqueued, run_until_finished, stopping_when
from tests.documented import ROOT, blocks
from tests.shop import models
from tests.shop.models import Applied, Product, Shelf

pytestmark = pytest.mark.django_db

ITERATING = ROOT / "docs" / "iterating.md"
DEPLOYING = ROOT / "docs" / "deploying-code.md"

Shown = Callable[..., Any]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """Gives a job class of a page, from the block that defines it and holds `text`, in the module the block names."""
    registry = dict(loading._registry), dict(loading._aliases)
    shop = ModuleType("shop")
    shop.wholesaler = Wholesaler()  # type: ignore[attr-defined]
    for name, module in (("shop", shop), ("shop.models", models), ("warehouse", ModuleType("warehouse"))):
        monkeypatch.setitem(sys.modules, name, module)

    def run(page: Path, job_name: str, text: str = "") -> Any:
        (block,) = (
            each for each in blocks(page, "python") if f"class {job_name}(ContinuableJob)" in each and text in each
        )
        first_line = block.partition("\n")[0]
        name = first_line.removeprefix("# ").split(".py")[0].replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(block, str(page), "exec"), vars(module))
        return getattr(module, job_name)

    yield run
    loading._registry.clear(), loading._aliases.clear()
    loading._registry.update(registry[0])
    loading._aliases.update(registry[1])


class Wholesaler:
    """Somebody else's API."""

    asked = 0

    def products(self, page_token: str | None) -> dict[str, Any]:
        return {
            None: {"names": ["tea", "jam"], "next_page_token": "2"},
            "2": {"names": [], "next_page_token": "3"},
            "3": {"names": ["salt"], "next_page_token": ""},
        }[page_token]

    async def aprice(self, name: str) -> Decimal:
        return Decimal(len(name))

    async def anote(self, name: str) -> str:
        return name.upper()

    async def ais_ready(self) -> bool:
        self.asked += 1
        return self.asked > 3


def run(job_class: type[ContinuableJob], *args: Any) -> Continuation:
    """To the end, interrupted at every checkpoint on the way."""
    visited: list[Any] = []

    def once_at_each(job: Any) -> bool:
        step = job._running()[0].current
        place = (job.current_step, None if step is None else repr(step.cursor))
        if place in visited:
            return False
        visited.append(place)
        return True

    with stopping_when(once_at_each):
        return run_until_finished(job_class.enqueue(*args))


def products(*names: str, **fields: Any) -> list[Product]:
    return [Product.objects.create(name=name, **fields) for name in names]


def applied() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


# --- iterating


def test_the_first_job(shown: Shown) -> None:
    products("tea", "jam", note="")
    run(shown(ITERATING, "Relabel"), "new")
    assert set(Product.objects.values_list("note", flat=True)) == {"new"}


def test_keyset(shown: Shown) -> None:
    products("tea", "jam", "salt")
    assert run_until_finished(shown(ITERATING, "Newest").enqueue()).result == ["salt", "jam", "tea"]


def test_the_list_that_begins_anew(shown: Shown) -> None:
    _, _, salt = products("tea", "jam", "salt")
    job_class = shown(ITERATING, "Newest")
    with interrupt_during(job_class, "collect", (salt.created, salt.pk)):
        assert run_until_finished(job_class.enqueue()).result == ["jam", "tea"]


def test_iterables(shown: Shown) -> None:
    assert run(shown(ITERATING, "Countries")).result == ["at", "fr", "gb"]


def test_batches(shown: Shown) -> None:
    products("tea", "jam", price=2)
    run(shown(ITERATING, "Reprice"))
    assert set(Product.objects.values_list("price", flat=True)) == {Decimal(4)}


def test_files(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text('name;price\ntea;1\n"two\nlines";2\nsalt;3\n')
    run(shown(ITERATING, "ImportProducts"), str(path))
    assert list(Product.objects.order_by("pk").values_list("name", flat=True)) == ["tea", "two\nlines", "salt"]


def test_pages(shown: Shown) -> None:
    run(shown(ITERATING, "PullProducts"))
    assert list(Product.objects.order_by("pk").values_list("name", flat=True)) == ["tea", "jam", "salt"]


def test_nested(shown: Shown) -> None:
    for label, names in (("high", "ab"), ("empty", ""), ("low", "c")):
        products(*names, shelf=Shelf.objects.create(label=label))
    run(shown(ITERATING, "Inventory"))
    assert applied() == ["high: a", "high: b", "low: c"]


def test_nested_in_nested(shown: Shown) -> None:
    lines = ["lunch, starter: soup", "lunch, main: pie", "lunch, main: fish", "tea, cake: scone"]
    assert run(shown(ITERATING, "Menu")).result == lines * 2


def test_shards(shown: Shown) -> None:
    products(*"abcdefghijkl")
    run(shown(ITERATING, "ExportAll"))
    children = Continuation.objects.for_job(sys.modules["shop.jobs"].Export)
    assert children.count() == 8
    for child in children:
        run_until_finished(child)
    assert sorted(applied()) == list("abcdefghijkl")


def test_a_source_of_ones_own(shown: Shown) -> None:
    continuation = run(shown(ITERATING, "Timesheets"), dt.date(2026, 1, 1), dt.date(2026, 1, 8))
    assert [day.day for day in continuation.result] == [1, 2, 5, 6, 7, 8]
    record = continuation.steps.get()
    assert (record.processed, record.total) == (6, 6)


def test_coroutines(shown: Shown) -> None:
    products("tea", "jam", "salt")
    continuation = run(shown(ITERATING, "Prices"))
    assert list(Product.objects.order_by("pk").values_list("price", "note")) == [(3, "TEA"), (3, "JAM"), (4, "SALT")]
    assert continuation.result == 3


# --- deploying


@pytest.mark.parametrize("disturb", [interrupt_during, crash_during])
def test_a_job_goes_on_after_its_steps_were_renamed(shown: Shown, disturb: Any) -> None:
    tea, *_ = products("tea", "jam", "salt")
    before = shown(DEPLOYING, "Nightly", "py, before")
    with disturb(before, "load", tea.pk):
        continuation = before.enqueue()
        run_enqueued()

    shown(DEPLOYING, "Nightly", "py, after")

    assert run_until_finished(continuation).result == "begun"
    assert applied() == ["before: tea", "after: jam", "after: salt"]


def test_a_job_goes_on_after_its_class_was_moved(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    tea, *_ = products("tea", "jam")
    before = shown(DEPLOYING, "Nightly", "py, before")
    with interrupt_during(before, "load", tea.pk):
        continuation = before.enqueue()
        run_enqueued()
    monkeypatch.delitem(sys.modules, "shop.jobs")
    del loading._registry["shop.jobs.Nightly"]

    moved = shown(DEPLOYING, "LoadProducts")

    assert run_until_finished(continuation).status == "succeeded"
    assert applied() == ["before: tea", "moved: jam"]
    assert list(Continuation.objects.for_job(moved)) == [continuation]


def test_the_test_that_is_shown(shown: Shown) -> None:
    shown(DEPLOYING, "Nightly", "py, after")
    (block,) = (each for each in blocks(DEPLOYING, "python") if each.startswith("# shop/tests.py"))
    namespace: dict[str, Any] = {}
    exec(compile(block, str(DEPLOYING), "exec"), namespace)
    namespace["test_the_nightly_job_goes_on_after_a_deploy"](db=None)


def test_every_job_that_is_shown_is_run_here() -> None:
    tests = Path(__file__).read_text()
    for page in (ITERATING, DEPLOYING):
        for block in blocks(page, "python"):
            for line in block.splitlines():
                if line.endswith("(ContinuableJob):"):
                    name = line.removeprefix("class ").removesuffix("(ContinuableJob):")
                    assert f'"{name}"' in tests or f".{name})" in tests, name
