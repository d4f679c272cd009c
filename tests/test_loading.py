"""From stored paths to job classes: modules that are gone, classes that moved, and what no path leads to."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continuations import ContinuableJob, JobClassError, JobDefinitionError, loading
from continuations.loading import load_job_class, paths_of
from continuations.models import Continuation
from continuations.testing import enqueued, interrupt_during, run_enqueued, run_until_finished
from tests.shop.models import Applied

Write = Callable[..., None]

HEADER = """
from continuations import ContinuableJob, Step
from tests.shop.models import Applied


"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules, by dotted name, as a deploy would: what was loaded before is forgotten, registry and all."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = dict(loading._registry), dict(loading._aliases)

    def forget() -> None:
        for name in set(sys.modules) - known:
            del sys.modules[name]
        for current, before in zip((loading._registry, loading._aliases), registry, strict=True):
            current.clear()
            current.update(before)
        importlib.invalidate_caches()

    def write(**contents: str | None) -> None:
        forget()
        for name, content in contents.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            if content is None:
                path.unlink()
            else:
                path.write_text(HEADER + textwrap.dedent(content))

    yield write
    forget()


OLD = """
    class Import(ContinuableJob):
        def perform(self):
            self.step(self.load)

        def load(self, step):
            for item in step.iterate("a b c".split()):
                Applied.objects.create(item=f"{type(self).__name__} {item}")
"""
NEW = OLD.replace(
    "class Import(ContinuableJob):", 'class Ingest(ContinuableJob):\n        aliases = ["stock.jobs.Import"]\n'
)


def started(path: str) -> Continuation:
    """A continuation of the class there, interrupted after its first item."""
    job_class = load_job_class(path)
    continuation = job_class.enqueue()
    with interrupt_during(job_class, "load", 1):
        run_enqueued(job_class)
    return continuation


def applied() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


# --- classes that were moved or renamed


@pytest.mark.django_db
def test_a_class_that_was_moved_goes_on_with_what_the_old_one_began(modules: Write) -> None:
    modules(stock__jobs=OLD)
    continuation = started("stock.jobs.Import")

    modules(stock__jobs=None, store__jobs=NEW)
    importlib.import_module("store.jobs")

    assert run_until_finished(continuation).status == "succeeded"
    assert applied() == ["Import a", "Ingest b", "Ingest c"]


@pytest.mark.django_db
@pytest.mark.parametrize("old", [None, "", "raise RuntimeError", "import nowhere_at_all"])
def test_the_new_class_is_found_in_the_jobs_module_of_an_app_that_nobody_has_imported(
    modules: Write, settings: Any, old: str | None
) -> None:
    """Whether the old module is gone, is there without the class, or is broken."""
    modules(stock__jobs=OLD)
    continuation = started("stock.jobs.Import")

    modules(stock__jobs=old, store__jobs=NEW)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "store"]

    assert "store.jobs" not in sys.modules
    run_until_finished(continuation)
    assert applied() == ["Import a", "Ingest b", "Ingest c"]


@pytest.mark.django_db
def test_a_class_renamed_in_its_module_is_found_there(modules: Write) -> None:
    modules(stock__jobs=OLD)
    continuation = started("stock.jobs.Import")

    modules(stock__jobs=NEW)

    run_until_finished(continuation)
    assert applied() == ["Import a", "Ingest b", "Ingest c"]


def test_a_class_may_have_been_moved_more_than_once(modules: Write) -> None:
    modules(stock__jobs=NEW.replace('"stock.jobs.Import"', '"first.Import", "second.jobs.Import"'))
    found = load_job_class("stock.jobs.Ingest")

    assert [load_job_class(path) for path in ("first.Import", "second.jobs.Import")] == [found, found]


def test_a_nested_class_may_have_been_moved(modules: Write) -> None:
    modules(stock__jobs=NEW.replace("stock.jobs.Import", "stock.jobs.Imports.Nightly"))

    assert load_job_class("stock.jobs.Imports.Nightly").__name__ == "Ingest"


@pytest.mark.django_db
def test_rows_under_the_old_path_belong_to_the_class(modules: Write) -> None:
    modules(stock__jobs=OLD)
    old = started("stock.jobs.Import")
    modules(stock__jobs=NEW)
    job_class = load_job_class("stock.jobs.Ingest")
    new = job_class.enqueue()

    assert set(Continuation.objects.for_job(job_class)) == {old, new}
    assert set(enqueued(job_class)) == {old, new}
    assert set(Continuation.objects.for_job(ContinuableJob)) == {old, new}
    assert new.job_path == "stock.jobs.Ingest"


def test_aliases_are_not_inherited(modules: Write) -> None:
    modules(stock__jobs=NEW + "\n    class Nightly(Ingest): pass\n")
    nightly = load_job_class("stock.jobs.Nightly")

    assert load_job_class("stock.jobs.Import").__name__ == "Ingest"
    assert paths_of(nightly) == ["stock.jobs.Nightly"]


# --- what no path leads to


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("stock.jobs.Gone", r"stock\.jobs\.Gone is not a ContinuableJob: .* name the path in the `aliases`"),
        ("nowhere.jobs.Import", r"nowhere\.jobs\.Import cannot be imported: there is no such module\. Put it back, or"),
        ("stock.gone.Import", r"stock\.gone\.Import is not a ContinuableJob"),
        ("stock.jobs.helper", r"stock\.jobs\.helper is not a ContinuableJob"),
        ("os.system", r"os\.system is not a ContinuableJob"),
        ("continuations.job.ContinuableJob", "is not a ContinuableJob"),
        ("", "cannot be imported"),
    ],
)
def test_a_path_leads_to_a_registered_class_or_nowhere(modules: Write, path: str, message: str) -> None:
    modules(stock__jobs=OLD + "\n    def helper(): pass\n")

    with pytest.raises(JobClassError, match=message):
        load_job_class(path)


def test_a_name_that_an_old_module_only_passes_on_is_no_alias(modules: Write) -> None:
    """The class says itself what it was called: a stored path is no way to reach whatever a module holds."""
    modules(stock__jobs="from store.jobs import Ingest as Import", store__jobs=NEW.replace("stock.jobs", "nowhere"))

    with pytest.raises(JobClassError, match="is not a ContinuableJob"):
        load_job_class("stock.jobs.Import")


def test_an_import_error_keeps_its_cause(modules: Write) -> None:
    modules(stock__jobs="raise KeyError('secret')")

    with pytest.raises(JobClassError, match=r"stock\.jobs\.Import cannot be imported: KeyError: 'secret'") as caught:
        load_job_class("stock.jobs.Import")

    assert isinstance(caught.value.__cause__, KeyError)


def test_a_broken_jobs_module_hides_no_other(modules: Write, settings: Any) -> None:
    modules(broken__jobs="raise KeyError", store__jobs=NEW)
    settings.INSTALLED_APPS = ["broken", *settings.INSTALLED_APPS, "store"]

    assert load_job_class("stock.jobs.Import").__name__ == "Ingest"


def test_a_broken_jobs_module_is_named_if_nothing_is_found(modules: Write, settings: Any) -> None:
    modules(broken__jobs="raise KeyError('x')")
    settings.INSTALLED_APPS = ["broken", *settings.INSTALLED_APPS]

    with pytest.raises(JobClassError, match=r"a module that is broken: broken\.jobs cannot be imported: KeyError: 'x'"):
        load_job_class("stock.jobs.Import")


def test_apps_are_searched_only_for_a_path_that_is_not_found_otherwise(modules: Write, settings: Any) -> None:
    """So that a worker starts with what it needs."""
    modules(stock__jobs=OLD, broken__jobs="raise AssertionError")
    settings.INSTALLED_APPS = ["broken", *settings.INSTALLED_APPS]

    assert load_job_class("stock.jobs.Import").__name__ == "Import"
    assert "broken.jobs" not in sys.modules


# --- who may claim a path


def test_the_path_of_another_class_is_no_alias(modules: Write) -> None:
    modules(stock__jobs=OLD + NEW)

    with pytest.raises(
        JobDefinitionError, match=r"stock\.jobs\.Ingest has the alias stock\.jobs\.Import, which is a job"
    ):
        importlib.import_module("stock.jobs")


def test_a_class_cannot_be_defined_where_another_has_its_alias(modules: Write) -> None:
    modules(stock__jobs=NEW + OLD)

    with pytest.raises(
        JobDefinitionError,
        match=r"stock\.jobs\.Import is an alias of stock\.jobs\.Ingest, so it cannot be a job class of",
    ):
        importlib.import_module("stock.jobs")


def test_two_classes_cannot_have_the_same_alias(modules: Write) -> None:
    modules(stock__jobs=NEW + NEW.replace("Ingest", "Digest"))

    with pytest.raises(
        JobDefinitionError,
        match=r"stock\.jobs\.Import is an alias of stock\.jobs\.Ingest, so it cannot be one of stock",
    ):
        importlib.import_module("stock.jobs")


def test_a_class_cannot_be_its_own_alias(modules: Write) -> None:
    modules(stock__jobs=NEW.replace("Ingest", "Import"))

    with pytest.raises(JobDefinitionError, match=r"has the alias stock\.jobs\.Import"):
        importlib.import_module("stock.jobs")


def test_a_refused_class_leaves_nothing_behind(modules: Write) -> None:
    modules(stock__jobs=OLD + NEW.replace('"stock.jobs.Import"', '"stock.jobs.Older", "stock.jobs.Import"'))
    with pytest.raises(JobDefinitionError):
        importlib.import_module("stock.jobs")

    assert not {"stock.jobs.Ingest", "stock.jobs.Older"} & {*loading._registry, *loading._aliases}


def test_a_module_may_be_loaded_again_with_other_aliases(modules: Write) -> None:
    modules(stock__jobs=NEW)
    module = importlib.import_module("stock.jobs")
    file = Path(str(module.__file__))
    file.write_text(file.read_text().replace("stock.jobs.Import", "stock.jobs.Other"))
    importlib.invalidate_caches()
    Path(str(module.__cached__)).unlink(missing_ok=True)

    module = importlib.reload(module)

    assert load_job_class("stock.jobs.Other") is module.Ingest
    with pytest.raises(JobClassError):
        load_job_class("stock.jobs.Import")
