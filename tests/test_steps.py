"""S1 to S6: steps run when they are met, once to completion; what is skipped, resumed and refused."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from continuations import ContinuableJob, InvalidStepError, SerializationError, Step
from continuations.models import Continuation, StepRecord
from continuations.testing import (
    crash_during,
    interrupt_after,
    interrupt_during,
    run_enqueued,
    run_until_finished,
    stopping_when,
)

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()


def run(job_class: type[ContinuableJob], *args: Any) -> Continuation:
    """Enqueue and run to the end."""
    return run_until_finished(job_class.enqueue(*args))


# S1: order, skipping, resuming, code outside steps


class ThreeSteps(ContinuableJob):
    def perform(self) -> str:
        did.append("outside")
        self.step("first", lambda: did.append("first"))
        number = self.step("second", lambda: did.append("second") or 7)
        self.step("third", lambda: did.append(f"third {number}"))
        return f"got {number}"


def test_steps_run_in_the_order_in_which_they_are_met() -> None:
    """S1"""
    run(ThreeSteps)
    assert did == ["outside", "first", "second", "third 7"]


def test_a_completed_step_is_skipped_and_its_result_returned() -> None:
    """S1"""
    with interrupt_after(ThreeSteps, "second"):
        continuation = run(ThreeSteps)
    assert did == ["outside", "first", "second", "outside", "third 7"]
    assert continuation.result == "got 7"


def test_code_outside_steps_runs_on_every_execution() -> None:
    """S1"""
    with stopping_when(lambda job: True):
        run(ThreeSteps)
    assert did.count("outside") == 3


def test_each_step_is_stored_with_position_name_status_and_result() -> None:
    """S1"""
    continuation = run(ThreeSteps)
    assert [(each.position, each.name, each.status, each.result) for each in continuation.steps.all()] == [
        (0, "first", "completed", None),
        (1, "second", "completed", 7),
        (2, "third", "completed", None),
    ]


class Countdown(ContinuableJob):
    def perform(self) -> None:
        @self.step(start=3)
        def count(step: Step) -> None:
            while step.cursor:
                did.append(step.cursor)
                step.set(step.cursor - 1)


def test_the_step_in_progress_resumes_at_its_cursor() -> None:
    """S1"""
    with interrupt_during(Countdown, "count", 2):
        continuation = Countdown.enqueue()
        run_enqueued()
        assert did == [3]
        run_enqueued()
    assert did == [3, 2, 1]
    continuation.refresh_from_db()
    assert continuation.status == "succeeded"


class ReturnsNothing(ContinuableJob):
    def perform(self) -> list[Any]:
        results = [self.step("nothing", lambda: None), self.step("false", lambda: False), self.step("zero", lambda: 0)]
        self.step("last", lambda: None)
        return results


def test_results_that_are_falsy_come_back_as_they_were() -> None:
    """S1: None, False and 0 are results like any other."""
    with stopping_when(lambda job: True):
        continuation = run(ReturnsNothing)
    assert continuation.executions == 4
    assert continuation.result == [None, False, 0]
    assert [type(each) for each in continuation.result] == [type(None), bool, int]


class ReturnsATuple(ContinuableJob):
    def perform(self) -> None:
        did.append(self.step("pair", lambda: (1, {2, 3})))
        self.step("last", lambda: None)


def test_a_result_keeps_its_type_between_executions() -> None:
    """S1"""
    with interrupt_after(ReturnsATuple, "pair"):
        run(ReturnsATuple)
    assert did == [(1, {2, 3}), (1, {2, 3})]


class NoSteps(ContinuableJob):
    def perform(self) -> int:
        return 5


def test_a_job_without_steps_just_runs() -> None:
    continuation = run(NoSteps)
    assert (continuation.status, continuation.result) == ("succeeded", 5)


class UnstorableResult(ContinuableJob):
    def perform(self) -> None:
        self.step("make", lambda: object())


def test_a_result_that_cannot_be_stored_fails_with_the_name_of_the_step() -> None:
    continuation = UnstorableResult.enqueue()
    with pytest.raises(SerializationError, match=r"result of step 'make': a builtins\.object cannot be stored"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert continuation.steps.get().status == "running"


class UnstorableEnd(ContinuableJob):
    def perform(self) -> object:
        self.step("make", lambda: 1)
        return object()


def test_a_result_of_perform_that_cannot_be_stored_fails() -> None:
    continuation = UnstorableEnd.enqueue()
    with pytest.raises(SerializationError, match=r"result of UnstorableEnd\.perform"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert continuation.steps.get().status == "completed"


# How a body is called


class Bodies(ContinuableJob):
    """One job for each way to pass a body; `given` chooses."""

    def perform(self, given: str) -> Any:
        return getattr(self, given)()

    def method(self) -> Any:
        return self.step(self.plain)

    def plain(self) -> str:
        return f"plain in {self.current_step}"

    def method_with_step(self) -> Any:
        return self.step(self.load)

    def load(self, step: Step) -> str:
        return step.name

    def named_method(self) -> Any:
        return self.step("other", self.load)

    def optional_parameter(self) -> Any:
        def body(limit: int = 3) -> int:
            return limit

        return self.step(body)

    def step_and_optional_parameter(self) -> Any:
        def body(step: Step, limit: int = 3) -> tuple[str, int]:
            return step.name, limit

        return self.step(body)

    def any_parameters(self) -> Any:
        def body(*args: Any, **kwargs: Any) -> Any:
            return args, kwargs

        return self.step(body)

    def step_and_any_parameters(self) -> Any:
        def body(step: Step, *args: Any, **kwargs: Any) -> Any:
            return step.name, args, kwargs

        return self.step(body)

    def partial(self) -> Any:
        return self.step("partial", functools.partial(lambda a, step: (a, step.name), 1))

    def full_partial(self) -> Any:
        return self.step("partial", functools.partial(lambda a, b: a + b, 1, 2))

    def no_signature(self) -> Any:
        return self.step("empty", dict)

    def named_by_itself(self) -> Any:
        return self.step(dict)

    def bound_method_of_another(self) -> Any:
        return self.step("upper", "loud".upper)

    def callable_object(self) -> Any:
        return self.step("object", CallableObject())

    def decorator(self) -> Any:
        @self.step
        def block(step: Step) -> str:
            return step.name

        return block

    def named_decorator(self) -> Any:
        @self.step("chosen", start=4)
        def block(step: Step) -> Any:
            return step.name, step.cursor

        return block

    def bare_decorator(self) -> Any:
        @self.step("chosen")
        def block() -> str:
            return "bare"

        return block

    def options_only_decorator(self) -> Any:
        @self.step(start=4)
        def block(step: Step) -> Any:
            return step.name, step.cursor

        return block


class CallableObject:
    def __call__(self, step: Step) -> str:
        return step.name


@pytest.mark.parametrize(
    ("given", "result"),
    [
        ("method", "plain in plain"),
        ("method_with_step", "load"),
        ("named_method", "other"),
        ("optional_parameter", 3),
        ("step_and_optional_parameter", ("body", 3)),
        ("any_parameters", ((), {})),
        ("step_and_any_parameters", ("body", (), {})),
        ("partial", (1, "partial")),
        ("full_partial", 3),
        ("no_signature", {}),
        ("named_by_itself", {}),
        ("bound_method_of_another", "LOUD"),
        ("callable_object", "object"),
        ("decorator", "block"),
        ("named_decorator", ("chosen", 4)),
        ("bare_decorator", "bare"),
        ("options_only_decorator", ("block", 4)),
    ],
)
def test_a_body_gets_the_step_if_it_has_one_required_parameter_and_nothing_otherwise(given: str, result: Any) -> None:
    assert run(Bodies, given).result == result


class BadBodies(ContinuableJob):
    def perform(self, given: str) -> None:
        self.step("before", lambda: None)
        getattr(self, given)()

    def two(self) -> None:
        self.step("bad", lambda step, more: None)

    def keyword(self) -> None:
        def body(*, limit: int) -> None: ...

        self.step("bad", body)

    def step_and_keyword(self) -> None:
        def body(step: Step, *, limit: int) -> None: ...

        self.step("bad", body)

    def unnamed_partial(self) -> None:
        self.step(functools.partial(print, "x"))

    def unnamed_lambda(self) -> None:
        self.step(lambda: None)

    def three_arguments(self) -> None:
        self.step("bad", lambda: None, 3)  # type: ignore[call-overload]

    def atomic_with_start(self) -> None:
        self.step("bad", lambda: None, start=0, atomic=True)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("two", TypeError, "step 'bad': .* it has: step, more"),
        ("keyword", TypeError, "step 'bad': .* it has: limit"),
        ("step_and_keyword", TypeError, "step 'bad': .* it has: step, limit"),
        ("unnamed_partial", InvalidStepError, r'has no name of its own: give one, self\.step\("name", \.\.\.\)'),
        ("unnamed_lambda", InvalidStepError, r'has no name of its own: give one, self\.step\("name", \.\.\.\)'),
        ("three_arguments", TypeError, "step takes a name and a callable, got 3 arguments"),
        ("atomic_with_start", TypeError, "step 'bad': atomic=True is for steps without a cursor"),
    ],
)
def test_a_body_that_cannot_be_called_is_an_error_that_says_why(
    given: str, error: type[Exception], message: str
) -> None:
    continuation = BadBodies.enqueue(given)
    # An error after progress would be resumed, unless it is one of ours: either way it is this one.
    with pytest.raises(error, match=message):
        run_enqueued()
        run_enqueued()
    assert [each.name for each in continuation.steps.all()] == ["before"]


class WrongSignatureAfterProgress(ContinuableJob):
    def perform(self) -> None:
        self.step("before", lambda: None)
        self.step("bad", lambda a, b: did.append("ran"))


def test_a_body_with_the_wrong_signature_is_refused_before_the_checkpoint() -> None:
    """The checkpoint before "bad" would interrupt; the TypeError comes first."""
    with interrupt_after(WrongSignatureAfterProgress, "before"):
        continuation = WrongSignatureAfterProgress.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.error_class == "TypeError"
    assert did == []


# S2: validation


class Invalid(ContinuableJob):
    """One job for each mistake; `mistake` chooses."""

    def perform(self, mistake: str) -> None:
        self.step("first", lambda: None)
        getattr(self, mistake)()

    def empty(self) -> None:
        self.step("", lambda: None)

    def blank(self) -> None:
        self.step("  ", lambda: None)

    def empty_decorator(self) -> None:
        @self.step("")
        def block() -> None: ...

    def number(self) -> None:
        self.step(5, lambda: None)  # type: ignore[call-overload]

    def none(self) -> None:
        self.step(None, lambda: None)  # type: ignore[call-overload]

    def too_long(self) -> None:
        self.step("n" * 201, lambda: None)

    def twice(self) -> None:
        self.step("first", lambda: None)

    def nested(self) -> None:
        self.step("outer", lambda: self.step("inner", lambda: None))

    def nested_block(self) -> None:
        @self.step
        def outer() -> None:
            @self.step
            def inner() -> None: ...

    def name_before_body(self) -> None:
        self.step("", None)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("empty", "a step's name must be a non-empty string, got ''"),
        ("blank", "a step's name must be a non-empty string, got '  '"),
        ("empty_decorator", "a step's name must be a non-empty string, got ''"),
        ("number", "a step's name must be a non-empty string, got 5"),
        ("none", "a step's name must be a non-empty string, got None"),
        ("too_long", "step name '.*'… has 201 characters; 200 fit"),
        ("twice", "step 'first' was met twice in one execution; steps met: 'first'"),
        ("nested", "step 'inner' was met inside step 'outer': steps cannot be nested"),
        ("nested_block", "step 'inner' was met inside step 'outer': steps cannot be nested"),
        ("name_before_body", "a step's name must be a non-empty string, got ''"),
    ],
)
def test_an_invalid_step_is_an_error_that_names_it(mistake: str, message: str) -> None:
    """S2"""
    continuation = Invalid.enqueue(mistake)
    with pytest.raises(InvalidStepError, match=message):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"


class LongestName(ContinuableJob):
    def perform(self) -> None:
        self.step("n" * 200, lambda: None)


def test_a_name_of_200_characters_fits() -> None:
    """S2"""
    assert run(LongestName).steps.get().name == "n" * 200


class Reordered(ContinuableJob):
    def perform(self) -> None:
        names = ["a", "b", "c"] if self.executions == 1 else ["b", "a", "c"]
        for name in names:
            self.step(name, lambda: None)


def test_a_step_that_differs_from_the_completed_list_is_refused() -> None:
    """S2"""
    with interrupt_after(Reordered, "b"):
        Reordered.enqueue()
        run_enqueued()
        with pytest.raises(InvalidStepError, match=r"step 'b' was met where step 'a' was completed.*: 'a', 'b'"):
            run_enqueued()


class OneCompletedStepLess(ContinuableJob):
    def perform(self) -> None:
        if self.executions == 1:
            self.step("a", lambda: None)
        self.step("b", lambda: None)


def test_a_completed_step_that_is_gone_is_refused() -> None:
    """S2"""
    with interrupt_after(OneCompletedStepLess, "a"):
        OneCompletedStepLess.enqueue()
        run_enqueued()
    with pytest.raises(InvalidStepError, match="'b' was met where step 'a'"):
        run_enqueued()


class Inserted(ContinuableJob):
    def perform(self) -> None:
        if self.executions > 1:
            self.step("new", lambda: None)
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        for _ in step.iterate(["x", "y"]):
            pass


def test_another_step_than_the_one_that_must_resume_is_refused() -> None:
    """S2"""
    with interrupt_during(Inserted, "load", 1):
        Inserted.enqueue()
        run_enqueued()
    with pytest.raises(
        InvalidStepError, match="step 'new' was met, but step 'load' is in progress at cursor 1 and has to be"
    ):
        run_enqueued()


class ErrorSwallowed(ContinuableJob):
    def perform(self) -> None:
        try:
            self.step("broken", self.broken)
        except ValueError:
            did.append("caught")
        self.step("next", lambda: did.append("next"))

    def broken(self) -> None:
        raise ValueError


def test_a_step_after_one_whose_error_was_swallowed_is_refused() -> None:
    """S2: "broken" is in progress and was met; no other step may take its place."""
    ErrorSwallowed.enqueue()
    with pytest.raises(
        InvalidStepError,
        match=r"'next' was met, but step 'broken' is in progress: it was left by an error, .* Catch it",
    ):
        run_enqueued()
    assert did == ["caught"]


class Renamed(ContinuableJob):
    def perform(self) -> None:
        if self.executions == 1:
            self.step("old", self.body, start=5)
        else:
            self.step("new", self.body, start=8)

    def body(self, step: Step) -> None:
        did.append((step.name, step.cursor, step.resumed))
        step.checkpoint()


def test_a_step_that_never_advanced_may_give_way_to_another() -> None:
    """S2, S3: nothing of the old step must resume, so the new one starts afresh, at its own start."""
    with interrupt_during(Renamed, "old", 5):
        continuation = Renamed.enqueue()
        run_enqueued()
        run_enqueued()
    assert did == [("old", 5, False), ("new", 8, False)]
    assert [each.name for each in continuation.steps.all()] == ["new"]


class NewStepAtTheEnd(ContinuableJob):
    def perform(self) -> None:
        self.step("a", lambda: did.append("a"))
        if self.executions > 1:
            self.step("added", lambda: did.append("added"))
        self.step("b", lambda: did.append("b"))


def test_steps_may_be_added_after_those_completed() -> None:
    """S2"""
    with interrupt_after(NewStepAtTheEnd, "a"):
        continuation = NewStepAtTheEnd.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert did == ["a", "added", "b"]


# S3: start, resumed, advanced


class Starts(ContinuableJob):
    def perform(self) -> None:
        start = 10 if self.executions == 1 else 99
        self.step("count", self.count, start=start)

    def count(self, step: Step) -> None:
        did.append((step.cursor, step.resumed, step.advanced))
        while step.cursor < 12:
            step.advance()
            did.append(step.advanced)


def test_start_is_the_first_cursor_and_ignored_when_the_step_resumes() -> None:
    """S3"""
    with interrupt_during(Starts, "count", 11):
        run(Starts)
    assert did == [(10, False, False), (11, True, False), True]


class ResumedFlag(ContinuableJob):
    def perform(self) -> None:
        self.step("before", lambda: None)
        self.step("flag", self.flag)

    def flag(self, step: Step) -> None:
        did.append(step.resumed)


def test_a_step_that_a_later_execution_begins_is_not_resumed() -> None:
    """S3"""
    with interrupt_after(ResumedFlag, "before"):
        run(ResumedFlag)
    assert did == [False]


class ResumedWithoutAdvancing(ContinuableJob):
    def perform(self) -> None:
        self.step("wait", self.wait)

    def wait(self, step: Step) -> None:
        did.append(step.resumed)
        if not step.resumed:
            step.checkpoint()


def test_a_step_rebuilt_from_a_stored_one_is_resumed_though_it_never_advanced() -> None:
    """S3"""
    with interrupt_during(ResumedWithoutAdvancing, "wait"):
        run(ResumedWithoutAdvancing)
    assert did == [False, True]


class ListCursor(ContinuableJob):
    def perform(self) -> None:
        self.step("collect", self.collect, start=[])

    def collect(self, step: Step) -> None:
        did.append(list(step.cursor))
        while len(step.cursor) < 3:
            step.cursor.append(len(step.cursor))
            did.append(step.advanced)
            step.checkpoint()


def test_a_list_changed_in_place_counts_as_advanced() -> None:
    """S3"""
    run(ListCursor)
    assert did == [[], True, True, True]


def test_a_list_changed_in_place_is_stored_by_an_interrupt() -> None:
    """S3, C3"""
    with interrupt_during(ListCursor, "collect", [0, 1]):
        continuation = run(ListCursor)
    assert did == [[], True, True, [0, 1], True]
    assert continuation.steps.get().cursor == [0, 1, 2]


class UnstorableInPlace(ContinuableJob):
    def perform(self) -> None:
        self.step("collect", self.collect, start=[])

    def collect(self, step: Step) -> None:
        step.cursor.append(object())
        step.checkpoint()


def test_a_cursor_that_became_unstorable_in_place_fails_the_job() -> None:
    """Q2, E8: the outcome is written with the last cursor that can be."""
    continuation = UnstorableInPlace.enqueue()
    with pytest.raises(SerializationError, match="cursor of step 'collect'"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert continuation.steps.get().cursor == []


class UnstorableStart(ContinuableJob):
    def perform(self) -> None:
        self.step("begin", lambda: did.append("ran"), start=object())


def test_a_start_that_cannot_be_stored_is_refused_before_the_body_runs() -> None:
    UnstorableStart.enqueue()
    with pytest.raises(SerializationError, match="start of step 'begin'"):
        run_enqueued()
    assert did == []


class MovesBack(ContinuableJob):
    def perform(self) -> None:
        self.step("there", self.there, start=1)

    def there(self, step: Step) -> None:
        step.set(2)
        step.set(1)
        did.append(step.advanced)


def test_a_cursor_that_came_back_to_where_it_was_has_not_advanced() -> None:
    """S3"""
    run(MovesBack)
    assert did == [False]


# S4: isolated steps


class IsolatedMiddle(ContinuableJob):
    def perform(self) -> None:
        for name in ("a", "middle", "b", "c"):
            self.step(name, lambda: did.append((self.executions, self.current_step)), isolated=name == "middle")


def test_an_isolated_step_has_an_execution_of_its_own() -> None:
    """S4"""
    continuation = run(IsolatedMiddle)
    assert did == [(1, "a"), (2, "middle"), (3, "b"), (3, "c")]
    reasons = [each.reason for each in continuation.execution_records.all()]
    assert reasons == ["isolating", "isolating", ""]


class IsolatedFirst(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append(self.executions), isolated=True)
        self.step("second", lambda: did.append(self.executions))


def test_the_first_step_of_an_execution_runs_inline_though_isolated() -> None:
    """S4"""
    run(IsolatedFirst)
    assert did == [1, 2]


class IsolatedLast(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append(self.executions))
        self.step("last", lambda: did.append(self.executions), isolated=True)


def test_nothing_follows_an_isolated_step_that_is_the_last() -> None:
    """S4"""
    continuation = run(IsolatedLast)
    assert did == [1, 2]
    assert continuation.executions == 2


class IsolatedTwice(ContinuableJob):
    def perform(self) -> None:
        self.step("one", lambda: did.append(self.executions), isolated=True)
        self.step("two", lambda: did.append(self.executions), isolated=True)


def test_two_isolated_steps_in_a_row_have_one_execution_each() -> None:
    """S4"""
    assert run(IsolatedTwice).executions == 2
    assert did == [1, 2]


class IsolatedOnly(ContinuableJob):
    def perform(self) -> None:
        self.step("only", lambda: None, isolated=True)


def test_an_isolated_step_alone_needs_one_execution() -> None:
    """S4"""
    assert run(IsolatedOnly).executions == 1


class IsolatedWithCursor(ContinuableJob):
    def perform(self) -> None:
        self.step("before", lambda: None)
        self.step("long", self.long, isolated=True)
        self.step("after", lambda: did.append((self.executions, "after")))

    def long(self, step: Step) -> None:
        for item in step.iterate(["x", "y"]):
            did.append((self.executions, item))


def test_an_isolated_step_that_was_interrupted_goes_on_alone() -> None:
    """S4"""
    with interrupt_during(IsolatedWithCursor, "long", 1):
        run(IsolatedWithCursor)
    assert did == [(2, "x"), (3, "y"), (4, "after")]


class CodeAfterIsolated(ContinuableJob):
    def perform(self) -> None:
        self.step("alone", lambda: None, isolated=True)
        did.append(self.executions)


def test_code_after_an_isolated_step_needs_no_execution_of_its_own() -> None:
    """S4: only the next step that would run does."""
    run(CodeAfterIsolated)
    assert did == [1]


class SkipsThenIsolated(ContinuableJob):
    def perform(self) -> None:
        self.step("a", lambda: None)
        self.step("b", lambda: None)
        self.step("alone", lambda: did.append(self.executions), isolated=True)


def test_skipped_steps_do_not_count_as_advancing_before_an_isolated_one() -> None:
    """S4: nothing advanced in the second execution, so the step runs in it."""
    with interrupt_after(SkipsThenIsolated, "b"):
        run(SkipsThenIsolated)
    assert did == [2]


# S5: perform returned, but the job has not succeeded


class StepGone(ContinuableJob):
    def perform(self) -> str:
        if self.executions == 1:
            self.step("load", self.load)
        return "done"

    def load(self, step: Step) -> None:
        for _ in step.iterate(range(3)):
            pass


def test_returning_without_meeting_the_step_in_progress_is_no_success() -> None:
    """S5"""
    with interrupt_during(StepGone, "load", 2):
        continuation = StepGone.enqueue()
        run_enqueued()
    with pytest.raises(InvalidStepError, match=r"step 'load' is in progress \(cursor 2\) and was not met"):
        run_enqueued()
    continuation.refresh_from_db()
    assert continuation.status == "failed"
    assert continuation.steps.get().cursor == 2


class Swallows(ContinuableJob):
    def perform(self) -> None:
        try:
            self.step("count", self.count)
        except BaseException:
            did.append("swallowed")

    def count(self, step: Step) -> None:
        for _ in step.iterate(range(3)):
            pass


def test_an_interrupt_swallowed_by_perform_is_the_outcome_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """S5, with a warning."""
    with interrupt_during(Swallows, "count", 1, reason="enough"):
        continuation = Swallows.enqueue()
        run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.reason) == ("interrupted", "enough")
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "swallowed the interrupt (enough): do not catch BaseException" in warnings[0]


def test_a_job_that_swallows_an_interrupt_still_ends() -> None:
    """S5"""
    with interrupt_during(Swallows, "count", 1):
        continuation = run(Swallows)
    assert continuation.status == "succeeded"


class SwallowsIsolating(ContinuableJob):
    def perform(self) -> None:
        self.step("a", lambda: did.append("a"))
        try:
            self.step("alone", lambda: did.append("alone"), isolated=True)
        except BaseException:
            return


def test_a_swallowed_isolation_is_still_an_interrupt() -> None:
    """S5, S4"""
    continuation = run(SwallowsIsolating)
    assert did == ["a", "alone"]
    assert continuation.executions == 2


class SwallowsAndGoesOn(ContinuableJob):
    def perform(self) -> None:
        try:
            self.step("a", self.a)
        except BaseException:
            did.append("swallowed")
        self.step("b", lambda: did.append("b"))

    def a(self, step: Step) -> None:
        did.append("a")
        step.checkpoint()


def test_no_step_runs_after_an_interrupt_that_was_swallowed() -> None:
    """S5, E1: also when nothing had advanced before it."""
    with interrupt_during(SwallowsAndGoesOn, "a"):
        continuation = SwallowsAndGoesOn.enqueue()
        run_enqueued()
    assert did == ["a", "swallowed"]
    run_until_finished(continuation)
    assert did == ["a", "swallowed", "a", "b"]


# S6: what a skipped step set on the job


class SetsOnSelf(ContinuableJob):
    def perform(self) -> None:
        self.step("fetch", self.fetch)
        self.step("check", lambda: None)
        self.step("use", lambda: did.append(self.users))

    def fetch(self) -> None:
        self.users = ["ada"]


def test_an_attribute_set_by_the_same_execution_can_be_read() -> None:
    """S6"""
    run(SetsOnSelf)
    assert did == [["ada"]]


def test_an_attribute_set_by_a_skipped_step_is_an_error_with_the_remedies() -> None:
    """S6"""
    with interrupt_after(SetsOnSelf, "check"):
        SetsOnSelf.enqueue()
        run_enqueued()
    with pytest.raises(AttributeError) as caught:
        run_enqueued()
    message = str(caught.value)
    assert "'SetsOnSelf' object has no attribute 'users'" in message
    assert "'fetch', 'check'" in message
    assert "Set it outside steps" in message
    assert "return it from the step" in message
    assert "`users = attribute(default=...)`" in message
    assert caught.value.name == "users"


class MisspeltAttribute(ContinuableJob):
    def perform(self) -> None:
        self.step("read", lambda: self.user)


def test_an_attribute_missing_without_skipped_steps_is_pythons_own_error() -> None:
    """S6 speaks only where a skipped step may be the reason."""
    MisspeltAttribute.enqueue()
    with pytest.raises(AttributeError) as caught:
        run_enqueued()
    assert str(caught.value) == "'MisspeltAttribute' object has no attribute 'user'"


class ReadsWithDefault(ContinuableJob):
    def perform(self) -> None:
        self.step("fetch", lambda: setattr(self, "seen", True))
        self.step("use", lambda: did.append((hasattr(self, "seen"), getattr(self, "seen", "no"))))


def test_hasattr_and_getattr_with_a_default_work_as_ever() -> None:
    """S6"""
    with interrupt_after(ReadsWithDefault, "fetch"):
        run(ReadsWithDefault)
    assert did == [(False, "no")]


# What a job can ask about itself


class AsksItself(ContinuableJob):
    def perform(self) -> None:
        self.tell()
        self.step("a", self.tell)
        self.tell()
        self.step("b", self.tell)

    def tell(self) -> None:
        did.append((self.current_step, self.completed_steps, self.executions, self.resumptions))


def test_a_job_knows_its_steps_and_executions() -> None:
    with interrupt_after(AsksItself, "a"):
        continuation = run(AsksItself)
    assert did == [
        (None, [], 1, 0),
        ("a", [], 1, 0),
        (None, ["a"], 1, 0),
        (None, ["a"], 2, 1),
        (None, ["a"], 2, 1),
        ("b", ["a"], 2, 1),
    ]
    assert continuation.resumptions == 1


class KnowsItsRow(ContinuableJob):
    def perform(self) -> None:
        self.step("row", lambda: str(self.continuation.pk))


def test_a_job_knows_its_continuation() -> None:
    continuation = run(KnowsItsRow)
    assert continuation.steps.get().result == str(continuation.pk)


class DiesBetween(ContinuableJob):
    def perform(self) -> None:
        self.step("a", lambda: did.append("a"))
        self.step("b", self.b)

    def b(self, step: Step) -> None:
        did.append("b")
        step.checkpoint()


def test_a_completed_step_stays_completed_when_the_process_dies() -> None:
    """S1"""
    with crash_during(DiesBetween, "b"):
        continuation = DiesBetween.enqueue()
        run_enqueued()
    run_until_finished(continuation)
    assert did == ["a", "b", "b"]
    assert StepRecord.objects.filter(continuation=continuation).count() == 2
