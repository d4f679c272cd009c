"""A loop that deletes, with bare checkpoints and no cursor."""

from __future__ import annotations

import pytest

from continuations.models import Continuation
from continuations.testing import assert_resumable, crash_during, run_enqueued, run_until_finished, stopping_when
from demo_project.cleanup.jobs import DeleteOldVisits, start
from demo_project.cleanup.models import Farewell, Sweep, Tally, Visit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(DeleteOldVisits, "pace", 0)


def continuation_of(sweep):
    return Continuation.objects.get(pk=sweep.continuation_id)


def test_old_visits_are_deleted_each_with_one_farewell_and_recent_ones_stay():
    sweep = start(old=5, recent=3)
    assert (sweep.visits.count(), sweep.old_visits().count()) == (8, 5)
    assert run_until_finished(continuation_of(sweep)).status == Continuation.Status.SUCCEEDED
    assert sweep.tally() == Tally(old=5, deleted=5, lost=0, farewells=5, repeated=0, unsaid=0)
    assert sweep.visits.count() == 3


def test_old_and_recent_visits_lie_among_each_other():
    sweep = Sweep.prepare(old=4, recent=4)
    assert list(sweep.old_visits().values_list("number", flat=True)) == [2, 4, 6, 8]


def test_a_clean_up_stopped_at_any_checkpoint_or_crashed_there_deletes_what_is_old_and_nothing_else():
    sweep = Sweep.prepare(old=4, recent=2)
    visits = list(sweep.visits.all())

    def reset():
        sweep.visits.all().delete()
        sweep.farewells.all().delete()
        Visit.objects.bulk_create(visits)

    assert_resumable(DeleteOldVisits, sweep.pk, effects=sweep.tally, reset=reset)
    assert sweep.tally() == Tally(old=4, deleted=4, lost=0, farewells=4, repeated=0, unsaid=0)


def test_an_interrupted_clean_up_counts_on_from_where_it_was():
    sweep = start(old=6, recent=0)
    row = continuation_of(sweep)
    with stopping_when(lambda job: job.current_step == "delete" and sweep.visits.count() == 4):
        run_enqueued()
    assert [(step.processed, step.total, step.cursor) for step in row.steps.all()] == [(2, 6, None)]
    run_until_finished(row)
    assert [(step.processed, step.total) for step in row.steps.all()] == [(6, 6)]
    row.refresh_from_db()
    assert row.executions == 2


def test_crashes_do_not_use_up_a_limit_that_progress_without_a_cursor_would_not_renew():
    sweep = start(old=8, recent=0)
    for _ in range(5):
        with crash_during(DeleteOldVisits, "delete"):
            run_enqueued()
    assert run_until_finished(continuation_of(sweep)).status == Continuation.Status.SUCCEEDED
    assert sweep.tally().deleted == 8


def test_the_tally_tells_a_farewell_said_again_from_one_not_said_and_a_visit_lost():
    sweep = Sweep.prepare(old=3, recent=2)
    again, unsaid, _left = sweep.old_visits()
    # As if the process had died between the farewell and the deletion.
    Farewell.objects.create(sweep=sweep, visit=again.number)
    assert sweep.tally() == Tally(old=3, deleted=0, lost=0, farewells=1, repeated=0, unsaid=0)
    sweep.forget(again)
    unsaid.delete()
    sweep.visits.exclude(pk__in=sweep.old_visits()).first().delete()
    assert sweep.tally() == Tally(old=3, deleted=2, lost=1, farewells=2, repeated=1, unsaid=1)
