"""O5: status moves along one table, and each arrow says who causes it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import continuations
from continuations import ContinuableJob, TransitionError
from continuations.models import Continuation
from continuations.testing import run_enqueued
from continuations.transitions import ARROWS, CLAIMABLE, FINISHED, OWNED, Status, check

PACKAGE = Path(continuations.__file__).parent


def test_every_arrow_says_who_causes_it() -> None:
    """O5"""
    assert all(reason.strip() and reason == reason.strip() for reason in ARROWS.values())


def test_every_status_can_be_reached() -> None:
    """O5: all but the first by an arrow."""
    assert {target for _, target in ARROWS} | {Status.ENQUEUED} == set(Status)


def test_every_unfinished_status_leads_to_an_end() -> None:
    """O5"""
    for status in set(Status) - FINISHED:
        reached, grown = {status}, True
        while grown:
            more = {target for source, target in ARROWS if source in reached} - reached
            grown = bool(more)
            reached |= more
        assert reached & FINISHED, status


def test_what_has_ended_only_comes_back_to_its_queue_and_by_a_person() -> None:
    """O5"""
    leaving = {(source, target): who for (source, target), who in ARROWS.items() if source in FINISHED}
    assert set(leaving) == {(status, Status.ENQUEUED) for status in FINISHED}
    assert all("a person" in who for who in leaving.values())


def test_groups_of_statuses_do_not_overlap() -> None:
    groups = [FINISHED, OWNED, CLAIMABLE]
    assert sum(map(len, groups)) == len(frozenset().union(*groups))
    assert frozenset(Status) - frozenset().union(*groups) == {Status.PAUSED}


def test_requests_only_come_from_owned_statuses() -> None:
    """O5: what nobody runs is paused or cancelled at once."""
    for request in (Status.PAUSING, Status.CANCELLING):
        assert {source for source, target in ARROWS if target == request} <= OWNED


def test_success_comes_only_from_an_execution() -> None:
    """O5"""
    assert {source for source, target in ARROWS if target == Status.SUCCEEDED} == OWNED


def test_check_lets_pass_what_the_table_has() -> None:
    for source, target in ARROWS:
        check(source, target, subject="x", verb="move")


def test_check_refuses_what_the_table_has_not() -> None:
    with pytest.raises(TransitionError) as caught:
        check("succeeded", "running", subject="Import 5", verb="run")
    message = str(caught.value)
    assert message.startswith("Import 5 is succeeded: cannot run it. That needs one of these statuses: ")
    assert "enqueued" in message


def test_check_can_be_narrowed_to_some_sources() -> None:
    with pytest.raises(TransitionError, match="That needs one of these statuses: failed"):
        check("paused", "enqueued", subject="x", verb="retry", sources=frozenset({Status.FAILED}))


def test_statuses_are_their_words() -> None:
    assert [each.value for each in Status] == [
        "enqueued",
        "running",
        "interrupted",
        "waiting",
        "pausing",
        "paused",
        "cancelling",
        "cancelled",
        "succeeded",
        "failed",
        "discarded",
    ]


def test_a_status_fits_its_column() -> None:
    field = Continuation._meta.get_field("status")
    assert max(map(len, Status.values)) <= field.max_length  # type: ignore[operator]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_a_status_is_never_compared_with_a_text(path: Path) -> None:
    """One table, one spelling: `Status.PAUSED`, not "paused"."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "status":
            values = [value for each in node.comparators for value in getattr(each, "elts", [each])]
            texts = [each for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            assert not texts, f"{path.name}:{node.lineno}"


class Quick(ContinuableJob):
    def perform(self) -> None: ...


@pytest.mark.django_db
@pytest.mark.parametrize("status", sorted(FINISHED - {Status.FAILED}))
def test_only_what_failed_can_be_retried(status: str) -> None:
    """E8"""
    continuation = Quick.enqueue()
    Continuation.objects.update(status=status)
    continuation.refresh_from_db()
    with pytest.raises(TransitionError, match=rf"Quick .* is {status}: cannot retry it"):
        continuation.retry()


@pytest.mark.django_db
@pytest.mark.parametrize("status", [*sorted(FINISHED), "paused"])
def test_what_has_ended_or_is_paused_does_not_run(status: str) -> None:
    """O5"""
    Quick.enqueue()
    Continuation.objects.update(status=status)
    run_enqueued()
    assert Continuation.objects.get().executions == 0
