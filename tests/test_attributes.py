"""`attribute()`: values on the job that survive interruptions, crashes and retries, because they go with the cursor."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from continuations import ContinuableJob, JobDefinitionError, SerializationError, Step, attribute
from continuations.models import StepRecord
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
)

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


class Counts(ContinuableJob):
    skipped = attribute(default=0)
    names = attribute(default=list)

    def perform(self) -> tuple[int, list[str]]:
        did.append((self.skipped, list(self.names)))
        self.step("walk", self.walk)
        self.step("last", lambda: None)
        return self.skipped, self.names

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "", "b", ""]):
            if item:
                self.names.append(item)
            else:
                self.skipped += 1


def test_an_attribute_begins_with_its_default() -> None:
    run_until_finished(Counts.enqueue())
    assert did == [(0, [])]


@pytest.mark.parametrize("cursor", [1, 2, 3, 4])
def test_attributes_survive_an_interruption(cursor: int) -> None:
    with interrupt_during(Counts, "walk", cursor):
        continuation = run_until_finished(Counts.enqueue())
    assert continuation.result == (2, ["a", "b"])
    assert len(did) == 2


def test_attributes_survive_an_interruption_between_steps() -> None:
    with interrupt_after(Counts, "walk"):
        continuation = run_until_finished(Counts.enqueue())
    assert continuation.result == (2, ["a", "b"])
    assert did == [(0, []), (2, ["a", "b"])]


class CountsClosely(Counts):
    checkpoint_interval = 0


@pytest.mark.parametrize("cursor", [1, 2, 3, 4])
def test_attributes_survive_a_crash_with_the_cursor_they_go_with(cursor: int) -> None:
    continuation = CountsClosely.enqueue()
    with crash_during(CountsClosely, "walk", cursor):
        run_enqueued()
    assert run_until_finished(continuation).result == (2, ["a", "b"])


class CountsRarely(Counts):
    checkpoint_interval = 3600


def test_what_a_crash_loses_of_the_cursor_it_loses_of_the_attributes() -> None:
    continuation = CountsRarely.enqueue()
    with crash_during(CountsRarely, "walk", 3):
        run_enqueued()
    assert run_until_finished(continuation).result == (2, ["a", "b"])


class FailsOnce(Counts):
    def walk(self, step: Step) -> None:
        super().walk(step)
        if self.executions == 1:
            raise ValueError


def test_attributes_survive_an_error() -> None:
    continuation = run_until_finished(FailsOnce.enqueue())
    assert continuation.result == (2, ["a", "b"])


class FailsForGood(Counts):
    resume_errors_after_advancing = False

    def walk(self, step: Step) -> None:
        super().walk(step)
        if self.executions == 1:
            raise ValueError


def test_attributes_survive_a_failure_and_a_retry() -> None:
    """E8"""
    continuation = FailsForGood.enqueue()
    with pytest.raises(ValueError):
        run_enqueued()
    continuation.refresh_from_db()
    continuation.retry()
    assert run_until_finished(continuation).result == (2, ["a", "b"])


def test_two_continuations_do_not_share_a_default() -> None:
    results = [run_until_finished(Counts.enqueue()).result for _ in range(2)]
    assert results == [(2, ["a", "b"])] * 2


class SetsOutside(ContinuableJob):
    label = attribute(default="none")

    def perform(self, label: str) -> None:
        self.label = label
        self.step("first", lambda: did.append(self.label))
        self.step("second", lambda: did.append(self.label))


def test_an_attribute_may_be_set_outside_steps() -> None:
    with interrupt_after(SetsOutside, "first"):
        continuation = run_until_finished(SetsOutside.enqueue("x"))
    assert did == ["x", "x"]
    record = continuation.steps.get(name="first")
    assert record.attributes_json == '{"label":"x"}'


class Inherits(Counts):
    more = attribute(default=lambda: {"a": 1})

    def walk(self, step: Step) -> None:
        super().walk(step)
        self.more["b"] = self.skipped


def test_attributes_are_inherited() -> None:
    with interrupt_during(Inherits, "walk", 2):
        continuation = run_until_finished(Inherits.enqueue())
    assert continuation.steps.last().attributes_json == '{"skipped":2,"names":["a","b"],"more":{"a":1,"b":2}}'


class Typed(ContinuableJob):
    day = attribute(default=dt.date(2026, 1, 1))
    pair = attribute(default=(1, "a"))
    nothing: Any = attribute(default=None)

    def perform(self) -> None:
        self.step("first", self.first)
        self.step("second", lambda: did.append((self.day, self.pair, self.nothing)))

    def first(self) -> None:
        self.day += dt.timedelta(days=1)
        self.pair = (*self.pair, 3)  # type: ignore[assignment]
        self.nothing = {1, 2}


def test_attributes_keep_their_types() -> None:
    """Q2"""
    with interrupt_after(Typed, "first"):
        run_until_finished(Typed.enqueue())
    assert did == [(dt.date(2026, 1, 2), (1, "a", 3), {1, 2})]


class OneLess(ContinuableJob):
    kept = attribute(default=0)

    def perform(self) -> None:
        self.step("first", lambda: setattr(self, "kept", 5))
        self.step("second", lambda: did.append((self.kept, hasattr(self, "gone"))))


def test_an_attribute_the_class_no_longer_declares_is_dropped() -> None:
    with interrupt_after(OneLess, "first"):
        continuation = OneLess.enqueue()
        run_enqueued()
    StepRecord.objects.update(attributes_json='{"kept":5,"gone":1}')
    run_until_finished(continuation)
    assert did == [(5, False)]


def test_an_attribute_the_class_declares_anew_has_its_default() -> None:
    with interrupt_after(Counts, "walk"):
        continuation = Counts.enqueue()
        run_enqueued()
    StepRecord.objects.update(attributes_json='{"skipped":7}')
    assert run_until_finished(continuation).result == (7, [])


# What is refused


@pytest.mark.parametrize(("default", "name"), [([], "list"), ({}, "dict"), (set(), "set"), ([1], "list")])
def test_a_default_that_all_jobs_would_share_is_refused(default: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"would be shared by all jobs: pass a callable, attribute\(default={name}\)"):
        attribute(default=default)


def test_a_default_that_cannot_be_stored_is_refused() -> None:
    """Q2"""
    with pytest.raises(
        SerializationError, match=r"the default of an attribute\(\): a builtins\.object cannot be stored"
    ):
        attribute(default=object())


def test_the_refusal_of_a_default_is_a_definition_error() -> None:
    with pytest.raises(JobDefinitionError):
        attribute(default=[])


class SetsUnstorable(ContinuableJob):
    kept = attribute(default=1)

    def perform(self) -> None:
        with pytest.raises(SerializationError, match=r"SetsUnstorable\.kept: a builtins\.object cannot be stored"):
            self.kept = object()  # type: ignore[assignment]
        did.append(self.kept)


def test_a_value_that_cannot_be_stored_is_refused_where_it_is_set() -> None:
    """Q2: the value before it is kept."""
    run_until_finished(SetsUnstorable.enqueue())
    assert did == [1]


class UnstorableInPlace(ContinuableJob):
    kept = attribute(default=list)

    def perform(self) -> None:
        self.step("work", self.work)

    def work(self, step: Step) -> None:
        self.kept.append(object())
        step.set(1)


def test_a_value_that_became_unstorable_in_place_fails_the_job() -> None:
    """Q2, E8: the outcome is written with what can be."""
    continuation = UnstorableInPlace.enqueue()
    with pytest.raises(SerializationError, match="attributes of UnstorableInPlace"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"


class UnstorableOutside(ContinuableJob):
    kept = attribute(default=list)

    def perform(self) -> None:
        self.kept.append(object())
        self.step("work", lambda: did.append("ran"))


def test_a_value_that_became_unstorable_before_the_first_step_fails_the_job() -> None:
    """Q2"""
    continuation = UnstorableOutside.enqueue()
    with pytest.raises(SerializationError, match="attributes of UnstorableOutside"):
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, did) == ("failed", [])


def test_a_class_gives_the_declaration_itself() -> None:
    assert Counts.skipped is Counts.__dict__["skipped"]
