"""§8: what a newcomer gets wrong, and what tells them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from continuations import (
    ContinuableJob,
    InvalidStepError,
    JobDefinitionError,
    NotRunningError,
    SerializationError,
    Step,
    UnadvanceableCursorError,
    attribute,
)
from continuations.testing import interrupt_after, run_enqueued
from tests.shop.models import Product

pytestmark = pytest.mark.django_db


def message_of(job_class: type[ContinuableJob], error: type[Exception]) -> str:
    """What running the job says."""
    job_class.enqueue()
    with pytest.raises(error) as caught:
        run_enqueued()
    return str(caught.value)


# Passing a result instead of the method


class CallsTheMethod(ContinuableJob):
    def perform(self) -> None:
        self.step(self.validate())  # type: ignore[call-overload, func-returns-value]

    def validate(self) -> None: ...


def test_passing_the_result_of_a_method_says_to_pass_the_method() -> None:
    message = message_of(CallsTheMethod, TypeError)
    assert "got None: pass the method, `self.step(self.validate)`" in message


class CallsTheMethodWithName(ContinuableJob):
    def perform(self) -> None:
        self.step("load", self.load())  # type: ignore[call-overload]

    def load(self) -> int:
        return 5


def test_passing_the_result_with_a_name_says_so_too() -> None:
    message = message_of(CallsTheMethodWithName, TypeError)
    assert "step 'load': expected a callable, got 5: pass the method, `self.step(self.load)`" in message


class DecoratesResult(ContinuableJob):
    def perform(self) -> None:
        self.step("load")(None)  # type: ignore[call-overload]


def test_decorating_no_function_says_so_too() -> None:
    assert "step 'load': expected a callable, got None" in message_of(DecoratesResult, TypeError)


class UnnamedLambda(ContinuableJob):
    def perform(self) -> None:
        self.step(lambda: None)


def test_a_lambda_without_a_name_says_how_to_give_one() -> None:
    assert 'give one, self.step("name", ...)' in message_of(UnnamedLambda, InvalidStepError)


# Calling perform


class ProcessImport(ContinuableJob):
    def perform(self, import_id: int) -> None:
        self.step("validate", lambda: None)


def test_calling_perform_says_how_to_run_a_job() -> None:
    with pytest.raises(NotRunningError) as caught:
        ProcessImport().perform(7)
    message = str(caught.value)
    assert "perform_now(" in message
    assert "enqueue(" in message
    assert message.startswith("ProcessImport is not running")


@pytest.mark.parametrize(
    "use",
    [
        lambda job: job.checkpoint(),
        lambda job: job.stopping(),
        lambda job: job.continuation,
        lambda job: job.current_step,
        lambda job: job.completed_steps,
        lambda job: job.executions,
        lambda job: job.resumptions,
    ],
)
def test_whatever_needs_an_execution_says_so(use: Any) -> None:
    with pytest.raises(NotRunningError, match="ProcessImport is not running"):
        use(ProcessImport())


# advance() without a cursor


class AdvancesNothing(ContinuableJob):
    def perform(self) -> None:
        self.step("count", lambda step: step.advance())


def test_advancing_nothing_says_to_give_a_start() -> None:
    message = message_of(AdvancesNothing, UnadvanceableCursorError)
    assert "`start=0`" in message
    assert "from_=" in message


# Querysets


class CursorIsQuerySet(ContinuableJob):
    def perform(self) -> None:
        self.step("load", lambda step: step.set(Product.objects.all()))


def test_a_queryset_as_cursor_says_to_store_its_pk() -> None:
    message = message_of(CursorIsQuerySet, SerializationError)
    assert message.startswith("cursor of step 'load': a QuerySet cannot be stored")
    assert "store its pk" in message


class TakesAnything(ContinuableJob):
    def perform(self, anything: Any) -> None: ...


def test_a_queryset_as_argument_says_to_store_its_pk() -> None:
    with pytest.raises(SerializationError, match=r"arguments of TakesAnything: a QuerySet cannot be stored.*its pk"):
        TakesAnything.enqueue(Product.objects.all())


class IteratesOrdered(ContinuableJob):
    def perform(self) -> None:
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        for _ in step.iterate(Product.objects.order_by("name")):
            pass


def test_iterating_an_ordered_queryset_shows_a_correct_call() -> None:
    assert "keyset(" in message_of(IteratesOrdered, TypeError)


class IteratesNothing(ContinuableJob):
    def perform(self) -> None:
        self.step("load", lambda step: list(step.iterate(5)))


def test_iterating_what_cannot_be_walked_shows_a_correct_call() -> None:
    assert "step.iterate(" in message_of(IteratesNothing, TypeError)


# Class definitions


def define(**namespace: Any) -> type[ContinuableJob]:
    """A job class with these members."""
    return type("Defined", (ContinuableJob,), {"perform": lambda self: None, **namespace})


@pytest.mark.parametrize(
    "name",
    [
        "step",
        "checkpoint",
        "stopping",
        "sleep",
        "wait_for",
        "wait_for_children",
        "continuation",
        "current_step",
        "completed_steps",
        "resumptions",
        "executions",
        "enqueue",
        "aenqueue",
        "enqueue_many",
        "perform_now",
        "using",
    ],
)
def test_a_method_that_hides_one_of_ours_is_refused_with_another_name(name: str) -> None:
    with pytest.raises(JobDefinitionError) as caught:
        define(**{name: lambda self: None})
    message = str(caught.value)
    assert f"Defined.{name} hides ContinuableJob.{name}" in message
    assert f"such as {name}_" in message


@pytest.mark.parametrize("value", [5, "x", property(lambda self: 1), attribute(default=0)])
def test_whatever_hides_one_of_ours_is_refused(value: Any) -> None:
    with pytest.raises(JobDefinitionError, match=r"Defined\.step hides ContinuableJob\.step"):
        define(step=value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("max_resumption", "max_resumptions"),
        ("queue_nam", "queue_name"),
        ("queuename", "queue_name"),
        ("resume_waits", "resume_wait"),
        ("max_crash", "max_crashes"),
        ("max_run_time", "max_runtime"),
        ("checkpoint_intervall", "checkpoint_interval"),
        ("on_limits", "on_limit"),
        ("rq_option", "rq_options"),
        ("renamed_step", "renamed_steps"),
        ("resume_error_after_advancing", "resume_errors_after_advancing"),
    ],
)
def test_a_misspelt_option_is_refused_with_the_near_name(name: str, near: str) -> None:
    with pytest.raises(JobDefinitionError, match=rf"Defined\.{name} .* did you mean '{near}'\?"):
        define(**{name: 5})


@pytest.mark.parametrize(("name", "near"), [("should_stopp", "should_stop"), ("on_sucess", "on_success")])
def test_a_misspelt_hook_is_refused_with_the_near_name(name: str, near: str) -> None:
    with pytest.raises(JobDefinitionError, match=rf"Defined\.{name} .* did you mean '{near}'\?"):
        define(**{name: lambda self: None})


def test_a_definition_error_is_a_type_error_too() -> None:
    with pytest.raises(TypeError):
        define(step=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on_limit", "stop"),
        ("queue_name", 5),
        ("resume_queue_name", 5),
        ("max_resumptions", "2"),
        ("max_resumptions", -1),
        ("max_crashes", None),
        ("max_crashes", 0),
        ("max_runtime", "5"),
        ("checkpoint_interval", "5"),
        ("checkpoint_interval", -1),
        ("resume_wait", "5s"),
        ("resume_wait", -1),
        ("rq_options", [1]),
        ("sensitive", "token"),
        ("sensitive", ("",)),
        ("renamed_steps", ["a", "b"]),
        ("renamed_steps", {"a": ""}),
        ("renamed_steps", {"": "a"}),
        ("renamed_steps", {" ": "a"}),
        ("renamed_steps", {"a": 5}),
        ("renamed_steps", {5: "a"}),
        ("renamed_steps", {"a": "a"}),
        ("renamed_steps", {"a": "b", "b": "a"}),
        ("renamed_steps", {"x": "a", "a": "b", "b": "c", "c": "a"}),
        ("aliases", "shop.jobs.Import"),
        ("aliases", ["Import"]),
        ("aliases", ("shop.jobs.",)),
        ("aliases", ("shop.jobs.make.<locals>.Import",)),
        ("aliases", (5,)),
        ("aliases", None),
    ],
)
def test_an_option_with_a_value_it_cannot_have_is_refused(name: str, value: Any) -> None:
    with pytest.raises(JobDefinitionError, match=re.escape(f"Defined.{name} is {value!r}; expected ")):
        define(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_resumptions", 0),
        ("max_resumptions", None),
        ("max_runtime", 0),
        ("max_runtime", 1.5),
        ("checkpoint_interval", 0),
        ("resume_wait", dt.timedelta(seconds=5)),
        ("resume_wait", 0.5),
        ("max_crashes", 1),
        ("on_limit", "pause"),
        ("rq_options", {"job_timeout": "5m"}),
        ("sensitive", ("token", "password")),
        ("renamed_steps", {}),
        ("renamed_steps", {"a": "b", "b": "c", "x": "c"}),
        ("aliases", ()),
    ],
)
def test_an_option_with_a_value_it_can_have_is_taken(name: str, value: Any) -> None:
    assert getattr(define(**{name: value}), name) == value


def test_names_that_are_near_to_nothing_are_fine() -> None:
    job_class = define(
        load=lambda self: None, steps=5, limit=3, users=attribute(default=0), _step=1, queue_name="slow", stop=1
    )
    assert job_class.queue_name == "slow"


def test_an_attribute_with_a_list_says_to_pass_a_callable() -> None:
    with pytest.raises(TypeError, match=r"attribute\(default=\[\]\) would be shared by all jobs: .*\(default=list\)"):
        attribute(default=[])


# S6


class SetsUsers(ContinuableJob):
    def perform(self) -> None:
        self.step("fetch", self.fetch)
        self.step("mail", self.mail)

    def fetch(self) -> None:
        self.users = ["ada"]

    def mail(self) -> None:
        for _ in self.users:
            pass


def test_what_a_skipped_step_set_on_self_says_where_it_went_and_what_to_do() -> None:
    """S6"""
    with interrupt_after(SetsUsers, "fetch"):
        SetsUsers.enqueue()
        run_enqueued()
    with pytest.raises(AttributeError) as caught:
        run_enqueued()
    message = str(caught.value)
    assert "'SetsUsers' object has no attribute 'users'" in message
    assert "('fetch')" in message
    assert "`users = attribute(default=...)`" in message


# Settings


def test_an_unknown_setting_is_refused_with_the_near_name(settings: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    settings.CONTINUATIONS = {"CHECKPOINT_INTERVALL": 5}
    with pytest.raises(
        ImproperlyConfigured, match=r"no key 'CHECKPOINT_INTERVALL'\. Did you mean 'CHECKPOINT_INTERVAL'"
    ):
        ProcessImport.enqueue(7)


def test_settings_that_are_no_dict_are_refused(settings: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    settings.CONTINUATIONS = ["DELIVERY"]
    with pytest.raises(ImproperlyConfigured, match="CONTINUATIONS must be a dict, got list"):
        ProcessImport.enqueue(7)
