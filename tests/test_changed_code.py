"""S2: code that changes under a job. What may change, what is refused, and what the refusal says would help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from continuations import ContinuableJob, InvalidStepError, Step, attribute
from continuations.models import Continuation
from continuations.testing import crash_during, interrupt_after, interrupt_during, run_enqueued, run_until_finished

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []

# The names of the steps, as the code has them now.
names: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    did.clear()
    names.clear()


class Import(ContinuableJob):
    """Its code is `names`, of which those that begin with "walk" walk, and what `deploy` changes on the class."""

    seen = attribute(default=list)

    def perform(self) -> list[Any]:
        results = [self.step(name, self.walk if name.startswith("walk") else self.note) for name in names]
        did.append(self.completed_steps)
        return results

    def note(self) -> str:
        did.append(self.current_step)
        return f"result of {self.current_step}"

    def walk(self, step: Step) -> str:
        for item in step.iterate(["x", "y", "z"]):
            did.append(f"{step.name} {item}")
            self.seen.append(item)
        return "walked"


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change the code, from one execution to the next."""

    def change(*steps: str, **renamed: str) -> None:
        names[:] = steps
        monkeypatch.setattr(Import, "renamed_steps", renamed)

    yield change


Deploy = Callable[..., None]


def begun(deploy: Deploy, *steps: str, until: str) -> Continuation:
    """The import of these steps, which was interrupted after step `until`, or in it if it walks."""
    deploy(*steps)
    around = interrupt_during(Import, until, 1) if until.startswith("walk") else interrupt_after(Import, until)
    with around:
        continuation = Import.enqueue()
        run_enqueued()
    did.clear()
    return continuation


def refusal() -> str:
    with pytest.raises(InvalidStepError) as caught:
        run_enqueued()
    return str(caught.value)


# --- steps that were renamed


def test_a_completed_step_that_was_renamed_counts_as_the_new_one(deploy: Deploy) -> None:
    continuation = begun(deploy, "a", "b", "c", until="b")

    deploy("first", "b", "c", a="first")

    assert run_until_finished(continuation).result == ["result of a", "result of b", "result of c"]
    assert did == ["c", ["first", "b", "c"]]


def test_a_step_in_progress_that_was_renamed_resumes_under_the_new_name(deploy: Deploy) -> None:
    continuation = begun(deploy, "a", "walk", until="walk")

    deploy("a", "walk over it", walk="walk over it")

    run_until_finished(continuation)
    assert did == ["walk over it y", "walk over it z", ["a", "walk over it"]]
    assert continuation.steps.get(name="walk").attributes_json == '{"seen":["x","y","z"]}'


@pytest.mark.parametrize("stored", ["walk 1", "walk 2", "walk 3", "walk 4"])
def test_a_step_may_be_renamed_again_and_again(deploy: Deploy, stored: str) -> None:
    continuation = begun(deploy, stored, until=stored)

    deploy("walk 4", **{"walk 1": "walk 2", "walk 2": "walk 3", "walk 3": "walk 4"})

    run_until_finished(continuation)
    assert did == ["walk 4 y", "walk 4 z", ["walk 4"]]


@pytest.mark.parametrize("stored", ["walk 1", "walk 2"])
def test_two_old_names_may_lead_to_the_same_new_one(deploy: Deploy, stored: str) -> None:
    continuation = begun(deploy, stored, until=stored)

    deploy("walk 3", **{"walk 1": "walk 3", "walk 2": "walk 3"})

    run_until_finished(continuation)
    assert did == ["walk 3 y", "walk 3 z", ["walk 3"]]


def test_a_crash_after_the_rename_goes_on_under_the_new_name(deploy: Deploy) -> None:
    continuation = begun(deploy, "walk", "b", until="walk")
    deploy("walk on", "b", walk="walk on")

    with crash_during(Import, "walk on", 2):
        run_enqueued()
    run_until_finished(continuation)

    assert sorted(set(did[:-1])) == ["b", "walk on y", "walk on z"]


def test_workers_with_the_old_code_still_find_the_old_name(deploy: Deploy) -> None:
    """While a deploy rolls, both versions run side by side."""
    continuation = begun(deploy, "a", "walk", until="walk")
    deploy("first", "walk on", a="first", walk="walk on")
    with interrupt_during(Import, "walk on", 2):
        run_enqueued()

    deploy("a", "walk")

    run_until_finished(continuation)
    assert did == ["walk on y", "walk z", ["a", "walk"]]
    assert [each.name for each in continuation.steps.order_by("position")] == ["a", "walk"]


def test_errors_call_steps_by_their_new_names(deploy: Deploy) -> None:
    begun(deploy, "a", "walk", until="walk")

    deploy("first", "other", "walk on", a="first", walk="walk on")

    message = refusal()
    assert "step 'other' was met, but step 'walk on' is in progress" in message
    assert "'walk'" not in message


@pytest.mark.parametrize("renamed", [{"b": "a"}, {"b": "c", "c": "a"}])
def test_a_name_that_was_given_away_is_not_used_again(deploy: Deploy, renamed: dict[str, str]) -> None:
    """The stored step of that name is another one, and the mapping may be the wrong way round."""
    deploy("a", "b", **renamed)
    Import.enqueue()

    assert f"step 'b' was met, but renamed_steps says that it is called {renamed['b']!r} now" in refusal()


def test_a_rename_of_what_was_never_stored_does_nothing(deploy: Deploy) -> None:
    deploy("a", "b", x="y")

    run_until_finished(Import.enqueue())

    assert did == ["a", "b", ["a", "b"]]


# --- what else may change


def test_steps_may_be_appended(deploy: Deploy) -> None:
    continuation = begun(deploy, "a", "b", until="a")

    deploy("a", "b", "c")

    run_until_finished(continuation)
    assert did == ["b", "c", ["a", "b", "c"]]


def test_steps_that_nobody_has_met_may_change_in_any_way(deploy: Deploy) -> None:
    continuation = begun(deploy, "a", "walk", "c", "d", until="walk")

    deploy("a", "walk", "d", "e")

    run_until_finished(continuation)
    assert did == ["walk y", "walk z", "d", "e", ["a", "walk", "d", "e"]]


# --- what is refused, and what would help


def test_a_new_name_at_the_place_of_a_completed_step_says_how_to_rename_it(deploy: Deploy) -> None:
    begun(deploy, "a", "b", "c", until="b")

    deploy("first", "b", "c")

    message = refusal()
    assert "step 'first' was met where step 'a' was completed before" in message
    assert "If 'first' is its new name, say so: renamed_steps = {'a': 'first'}." in message
    assert "If 'first' is a new step, put it behind those completed, and 'a' back." in message
    assert "call rerun_from('a') on the continuation" in message


def test_what_the_message_says_of_renaming_helps(deploy: Deploy) -> None:
    continuation = begun(deploy, "a", "b", "c", until="b")
    deploy("first", "b", "c")
    refusal()
    continuation.refresh_from_db()
    continuation.retry()

    deploy("first", "b", "c", a="first")

    assert run_until_finished(continuation).status == "succeeded"


def test_a_completed_step_that_was_taken_out_says_to_put_it_back(deploy: Deploy) -> None:
    begun(deploy, "a", "b", "c", until="b")

    deploy("b", "c")

    message = refusal()
    assert (
        "step 'b' was met where step 'a' was completed before; the order of completed steps cannot change: 'a', 'b'."
        in message
    )
    assert "Put 'a' back before 'b': it will not run again." in message
    assert "renamed_steps" not in message
    assert "call rerun_from('a') on the continuation" in message


def test_what_the_message_says_of_putting_back_helps(deploy: Deploy) -> None:
    continuation = begun(deploy, "a", "b", "c", until="b")
    deploy("b", "a", "c")
    refusal()
    continuation.refresh_from_db()
    continuation.retry()

    deploy("a", "b", "c")

    run_until_finished(continuation)
    assert did == ["c", ["a", "b", "c"]]


def test_a_step_before_the_one_in_progress_says_all_that_it_may_mean(deploy: Deploy) -> None:
    begun(deploy, "a", "walk", until="walk")

    deploy("a", "new", "walk")

    message = refusal()
    assert "step 'new' was met, but step 'walk' is in progress at cursor 1 and has to be resumed first." in message
    assert "If 'new' is its new name, say so: renamed_steps = {'walk': 'new'}." in message
    assert "If 'new' is a new step, put it behind 'walk'." in message
    assert "If 'walk' was taken out, put it back." in message
    assert "if it may begin again, call rerun_from('walk') on the continuation" in message


def test_a_step_in_progress_that_is_gone_says_to_put_it_back(deploy: Deploy) -> None:
    begun(deploy, "a", "walk", until="walk")

    deploy("a")

    message = refusal()
    assert "perform returned, but step 'walk' is in progress (cursor 1) and was not met; steps met: 'a'." in message
    assert "Put 'walk' back; it may be empty." in message
    assert "call rerun_from('walk') on the continuation, which forgets it" in message


def test_a_failure_by_changed_code_keeps_all_progress(deploy: Deploy) -> None:
    """E8: whatever helps, helps from where the job was."""
    continuation = begun(deploy, "a", "walk", until="walk")
    deploy("a")
    refusal()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.steps.get(name="walk").cursor) == ("failed", 1)
    continuation.retry()

    deploy("a", "walk")

    run_until_finished(continuation)
    assert did[-3:] == ["walk y", "walk z", ["a", "walk"]]
