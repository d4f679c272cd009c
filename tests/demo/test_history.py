"""The history of the made-up shop: rows by the million, and one continuation in each state."""

from __future__ import annotations

import io
import time
from collections import Counter
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from continuations.liveness import MARKER_KEY
from continuations.masking import MASK
from continuations.models import Continuation, Execution, StepRecord
from continuations.recovery import recover
from continuations.testing import run_until_finished
from demo_project.accounts.jobs import PostRecords
from demo_project.history.causes import CAUSES, cause_of
from demo_project.history.jobs import ArchiveAccounts, ImportOrders, ShopJob
from demo_project.history.past import ENDED, UNFINISHED, Past, forget
from demo_project.history.states import TOKEN, make_states

pytestmark = pytest.mark.django_db

COUNT = 1_200
EXPECTED = {
    "NightlyReport": ["enqueued"],
    "ArchiveAccounts": ["paused", "running"],
    "ImportOrders": ["cancelled", "failed"],
    "RemindCustomer": ["discarded"],
    "SyncCatalogue": ["paused"],
    "SendInvoices": ["paused", "succeeded"],
    "CloseBranch": ["failed", "paused", "succeeded"],
    "CloseMonth": ["waiting"],
    "ApproveBudget": ["waiting"],
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(ShopJob, "pace", 0)


def write(count=COUNT, **options):
    return list(Past(count, **options).write())


def of_status(status):
    return Continuation.objects.filter(status=status)


# By the million


def test_a_past_has_as_many_continuations_as_were_asked_for_in_every_status_that_lasts():
    assert write() == [1_000, COUNT]
    counts = Counter(Continuation.objects.values_list("status", flat=True))
    assert counts.total() == COUNT
    assert set(counts) == {status.value for status in (*ENDED, *UNFINISHED)}
    assert sum(counts[status] for status in UNFINISHED) == COUNT // 20
    assert counts["succeeded"] > 0.9 * (COUNT - COUNT // 20)


def test_what_has_not_ended_does_not_grow_with_the_history():
    assert len(Past(1_000_000).unfinished) == sum(UNFINISHED.values())


def test_the_same_seed_gives_the_same_past():
    def told():
        columns = ("job_path", "status", "executions", "arguments_json", "error_message")
        return list(Continuation.objects.order_by("pk").values_list(*columns))

    write(200, seed=3)
    first = told()
    list(forget())
    write(200, seed=3)
    assert told() == first
    list(forget())
    write(200, seed=4)
    assert told() != first


def test_steps_and_executions_agree_with_their_continuation():
    write()
    for row in Continuation.objects.prefetch_related("steps", "execution_records"):
        steps, executions = list(row.steps.all()), list(row.execution_records.all())
        assert [each.number for each in executions] == list(range(1, row.executions + 1))
        assert [each.position for each in steps] == list(range(len(steps)))
        if row.is_finished:
            assert row.created_at < row.started_at < row.finished_at < timezone.now()
            assert executions[-1].outcome == row.status
            assert executions[-1].finished_at == row.finished_at
        if row.status == Continuation.Status.SUCCEEDED:
            assert {step.status for step in steps} == {StepRecord.Status.COMPLETED}
        for before, after in pairwise(executions):
            assert before.finished_at < after.started_at
            assert before.cursor_after == after.cursor_before


def test_ids_lie_as_time_has_passed():
    write(500)
    assert list(Continuation.objects.order_by("pk")) == list(Continuation.objects.order_by("created_at"))


def test_a_failed_one_has_the_traceback_of_a_real_error_of_its_class():
    write()
    for row in of_status("failed"):
        assert row.error_traceback.startswith("Traceback (most recent call last):\n  File ")
        assert row.error_traceback.rstrip().endswith(f"{row.error_class}: {row.error_message}")
    for job in CAUSES:
        assert cause_of(job).message


@pytest.mark.parametrize(
    ("status", "go_on"),
    [
        ("failed", Continuation.retry),
        ("paused", Continuation.resume),
        ("waiting", lambda row: row.send("approved", "yes")),
        ("succeeded", lambda row: row.rerun_from(row.steps.last().name)),
    ],
    ids=["failed", "paused", "waiting", "succeeded"],
)
def test_a_person_may_go_on_with_what_the_past_has_left_and_it_runs_to_its_end(status, go_on):
    write()
    jobs = set()
    for row in of_status(status).exclude(job_path__endswith="ImportOrders"):
        if row.job_path in jobs:
            continue
        jobs.add(row.job_path)
        executions = row.executions
        go_on(row)
        assert run_until_finished(row).status == Continuation.Status.SUCCEEDED
        assert row.executions == executions + 1
    assert jobs


def test_an_import_of_the_past_fails_again_at_the_broken_order_until_a_person_moves_its_cursor_past_it():
    write()
    row = of_status("failed").filter(job_path__endswith="ImportOrders").first()
    row.retry()
    with pytest.raises(KeyError, match="sku"):
        run_until_finished(row)
    row.set_cursor("load", 6_754)
    row.retry()
    assert run_until_finished(row).status == Continuation.Status.SUCCEEDED


# One in each state


def test_there_is_one_in_each_state_that_the_admin_shows():
    make_states()
    found = {}
    for row in Continuation.objects.order_by("status"):
        found.setdefault(row.job_name, []).append(row.status)
    assert found == EXPECTED


def test_the_states_are_as_they_are_described():
    make_states()
    row = of_status("paused").get(job_path__endswith="SendInvoices")
    step = row.steps.get(name="send")
    assert (step.processed, step.total) == (430, 1_000)
    assert (row.request_by, row.request_reason) == ("ana", "the letterhead has changed")
    failed = of_status("failed").get(job_path__endswith="ImportOrders")
    assert 'self.article = item["sku"]' in failed.error_traceback
    assert of_status("succeeded").get(job_path__endswith="SendInvoices").executions == 3
    assert of_status("paused").get(job_path__endswith="ArchiveAccounts").steps.get().cursor == (25, (26, 13))
    pull = of_status("paused").get(job_path__endswith="SyncCatalogue").steps.get()
    assert (pull.processed, pull.total) == (23, None)
    assert of_status("enqueued").get().queue_name == "nightly"
    assert list(Continuation.objects.stalled()) == list(of_status("running"))
    assert of_status("waiting").get(job_path__endswith="CloseMonth").children.count() == 3


def test_all_that_has_happened_lies_in_the_past_and_has_taken_its_time():
    make_states()
    now = timezone.now()
    for row in Continuation.objects.all():
        assert row.created_at < now
        for each in row.execution_records.exclude(finished_at=None):
            assert row.created_at <= each.started_at <= each.finished_at < now
    assert of_status("succeeded").filter(executions=3).get().steps.get(name="send").busy_seconds > 60


def test_every_page_of_the_admin_shows_its_state_and_nobody_reads_the_token(admin_client):
    make_states()
    for row in Continuation.objects.all():
        page = admin_client.get(reverse("admin:continuations_continuation_change", args=[row.pk])).content.decode()
        assert str(row.get_status_display()) in page
        assert TOKEN not in page
        if row.job_name == "ImportOrders":
            assert MASK in page
    assert admin_client.get(reverse("admin:continuations_continuation_changelist")).status_code == 200


def test_the_states_are_made_at_once_and_their_jobs_take_their_time_afterwards(monkeypatch):
    monkeypatch.setattr(ShopJob, "pace", 60)
    make_states()
    assert ShopJob.pace == 60


# What recovery does with them


@pytest.fixture
def long_remembering_redis(redis_url):
    """A Redis that knows of nothing, and has not been emptied for a long time: what has no sign of life is dead."""
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.set(MARKER_KEY, time.time() - 10_000)


def told(row):
    return row.job_name, row.status, row.owner, row.executions, row.delivery


@pytest.mark.django_db(transaction=True)
def test_recovery_has_nothing_to_do_with_the_past(long_remembering_redis):
    write()
    before = [told(row) for row in Continuation.objects.order_by("pk")]
    assert recover() == []
    assert [told(row) for row in Continuation.objects.order_by("pk")] == before


@pytest.mark.django_db(transaction=True)
def test_recovery_delivers_the_job_without_a_worker_and_leaves_all_others_as_they_are(long_remembering_redis):
    make_states()
    before = {row.pk: told(row) for row in Continuation.objects.all()}
    Continuation.objects.exclude(check_after=None).update(check_after=timezone.now())
    recovered = {found.continuation.job_name: found.action for found in recover()}
    assert recovered == {"NightlyReport": "delivered again"}
    for row in Continuation.objects.exclude(job_path__endswith="NightlyReport"):
        assert told(row) == before[row.pk]


# The command


def seed(*arguments):
    out = io.StringIO()
    call_command("seed_continuations", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def debug(settings):
    settings.DEBUG = True


@pytest.mark.usefixtures("debug")
def test_the_command_makes_and_deletes_what_it_made_and_nothing_else():
    other = PostRecords.enqueue(1)
    assert seed("50") == "50 of 50 made\n"
    assert seed("--states") == "11 states made\n"
    assert Continuation.objects.count() == 1 + 50 + 14
    assert seed("20", "--clear") == "64 deleted\n20 of 20 made\n"
    assert seed("--clear") == "20 deleted\n"
    assert list(Continuation.objects.all()) == [other]
    assert not StepRecord.objects.exists()
    assert not Execution.objects.exists()


@pytest.mark.usefixtures("debug")
def test_the_command_can_be_run_again_for_more():
    seed("200")
    seed("200")
    assert Continuation.objects.count() == 400


@pytest.mark.usefixtures("debug")
def test_somebody_who_watches_sees_how_far_it_is():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    call_command("seed_continuations", "1001", stdout=out)
    assert out.getvalue() == "\r1,000 of 1,001 made\r1,001 of 1,001 made\r1,001 of 1,001 made\n"


def test_the_command_refuses_a_site_without_debug():
    with pytest.raises(CommandError, match="DJANGO_DEBUG=1 only"):
        seed("10")


@pytest.mark.usefixtures("debug")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [([], "Say how many"), (["1000001"], "is not from 1 to 1,000,000"), (["-1"], "is not from 1 to 1,000,000")],
)
def test_the_command_says_what_is_wrong_with_a_number(arguments, complaint):
    with pytest.raises(CommandError, match=complaint):
        seed("--", *arguments)


def test_jobs_of_the_shop_hide_their_token():
    assert ImportOrders.sensitive == ("token",)
    assert ArchiveAccounts.cursor_after(638) == (25, (26, 13))
