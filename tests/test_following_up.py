"""F1: `on_success` and `on_failure`, in the transaction of the end; `follow_up()` when that went wrong."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from continuations import (
    ContinuableJob,
    CrashLimitError,
    JobDefinitionError,
    NotRunningError,
    Step,
    TransitionError,
    WaitTimeout,
    attribute,
    discard_on,
    retry_on,
)
from continuations.execution import execute
from continuations.models import Continuation, StepRecord
from continuations.testing import (
    MemoryDelivery,
    crash_during,
    enqueued,
    interrupt_during,
    run_enqueued,
    run_until_finished,
)
from tests.others import ending
from tests.processes import eventually
from tests.shapes import Bench
from tests.shop.models import Applied, Product
from tests.test_waiting import make_due

pytestmark = pytest.mark.django_db(transaction=True)

# What the hooks of the jobs below were given and did, in order.
did: list[Any] = []

# What the world outside looks like to them.
world: dict[str, Any] = {}

# What was handed to workers: names of jobs.
pushed: list[str] = []


class RecordingDelivery(MemoryDelivery):
    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        pushed.append(continuation.job_name)


@pytest.fixture(autouse=True)
def _forget(settings: Any) -> None:
    did.clear()
    world.clear()
    pushed.clear()
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "tests.test_following_up.RecordingDelivery"}


def items() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


class NotWanted(Exception):
    """What the job below discards."""


class Lasting(Exception):
    """What it resumes."""


class Reindex(ContinuableJob):
    def perform(self, name: str) -> None:
        did.append(f"reindexed {name}")


@discard_on(NotWanted)
@retry_on(ConnectionError, wait=0, attempts=2)
class Import(ContinuableJob):
    resume_errors_after_advancing = False
    checkpoint_interval = 0
    count = attribute(default=0)

    def perform(self, name: str, *, loudly: bool = False) -> str:
        self.name = name
        self.step(self.load)
        return name.upper()

    def load(self, step: Step) -> None:
        for _ in step.iterate([1, 2]):
            self.count += 1
        if error := world.get("error"):
            raise error

    def on_success(self, name: str, *, loudly: bool = False) -> None:
        did.append(("success", name, loudly, self.count, self.continuation.status, self.continuation.result))
        Reindex.enqueue(name)
        Applied.objects.create(item="success")
        if error := world.get("hook"):
            raise error

    def on_failure(self, error: Exception, name: str, *, loudly: bool = False) -> None:
        did.append(("failure", type(error), name, loudly, self.count, self.continuation.status))
        Reindex.enqueue(name)
        Applied.objects.create(item="failure")
        if error := world.get("hook"):
            raise error


def ended(**facts: Any) -> Continuation:
    """An import in such a world, as it ended."""
    world.update(facts)
    continuation = Import.enqueue("a", loudly=True)
    try:
        run_until_finished(continuation)
    except Exception as error:
        assert error is facts.get("error")
    continuation.refresh_from_db()
    return continuation


def reindexed() -> list[Continuation]:
    return list(Continuation.objects.for_job(Reindex))


# Success


def test_on_success_runs_once_with_the_arguments_and_sees_what_was_reached() -> None:
    continuation = ended()
    assert continuation.status == "succeeded"
    assert did == [("success", "a", True, 2, "succeeded", "A")]
    run_enqueued()
    assert did[1:] == ["reindexed a"]
    assert run_enqueued() == 0


def test_what_on_success_enqueues_is_a_child_that_is_delivered_on_commit() -> None:
    continuation = ended()
    (child,) = reindexed()
    assert child.parent == continuation
    assert list(continuation.children.all()) == [child]
    assert pushed == ["Import", "Reindex"]


def test_who_dies_in_on_success_has_not_succeeded_and_the_next_execution_follows_up() -> None:
    """See test_exhaustive.py for deaths in every statement."""
    world["hook"] = Death()
    continuation = Import.enqueue("a")
    with pytest.raises(Death):
        execute(continuation.pk, 0, Bench())
    continuation.refresh_from_db()
    assert (continuation.status, items(), reindexed()) == ("running", [], [])
    world.clear()
    assert execute(continuation.pk, 0, Bench()).status == "succeeded"
    assert (items(), len(reindexed())) == (["success"], 1)


def test_who_dies_right_after_the_commit_has_followed_up_once() -> None:
    """The child is there, though nobody has delivered it: recovery does."""
    world["then"] = die
    continuation = ImportThatDies.enqueue("a")
    with pytest.raises(Death):
        execute(continuation.pk, 0, Bench())
    continuation.refresh_from_db()
    assert continuation.status == "succeeded"
    # Delivered again, it has ended.
    assert execute(continuation.pk, 0, Bench()).status is None
    assert (items(), len(reindexed()), pushed) == (["success"], 1, ["ImportThatDies"])
    assert reindexed()[0].check_after is not None


class ImportThatDies(Import):
    def on_success(self, name: str, *, loudly: bool = False) -> None:
        transaction.on_commit(die)
        super().on_success(name)


def test_running_again_follows_up_again() -> None:
    continuation = ended()
    continuation.rerun_from("load")
    run_until_finished(continuation)
    assert [each[0] for each in did] == ["success", "success"]
    assert len(reindexed()) == 2


@pytest.mark.parametrize("verb", ["rerun", "retry"])
def test_children_of_hooks_are_none_of_the_next_run(verb: str) -> None:
    """It neither waits for them nor cancels them: what they follow up has happened."""
    parent = Parent.enqueue()
    run_until_finished(parent)
    run_enqueued(Reindex)
    if verb == "retry":
        world["error"] = ValueError()
    with pytest.raises(ValueError) if verb == "retry" else contextlib.nullcontext():
        run_until_finished(parent)
    hooked = parent.children.last()
    assert hooked is not None
    assert hooked.arguments[0] == ("hook",)
    world.clear()
    parent.refresh_from_db()
    parent.rerun_from("fan_out") if verb == "rerun" else parent.retry()
    run_until_finished(parent)
    hooked.refresh_from_db()
    assert hooked.status == "enqueued"
    Continuation.objects.for_job(Reindex).exclude(pk=hooked.pk).update(status="succeeded")
    run_until_finished(parent)
    run_until_finished(parent)
    assert parent.result == ["fan_out"]


class Parent(ContinuableJob):
    resume_errors_after_advancing = False

    def perform(self) -> list[str]:
        self.step("fan_out", lambda: Reindex.enqueue("fan_out") and None, atomic=True)
        children = self.wait_for_children()
        if error := world.get("error"):
            raise error
        return [child.arguments[0][0] for child in children]

    def on_success(self) -> None:
        Reindex.enqueue("hook")

    def on_failure(self, error: Exception) -> None:
        Reindex.enqueue("hook")


# A success that could not be followed up


def test_an_error_in_on_success_is_rolled_back_and_noted_and_the_success_stays() -> None:
    continuation = ended(hook=ValueError("no mail server"))
    assert (continuation.status, continuation.result) == ("succeeded", "A")
    assert (items(), reindexed(), pushed) == ([], [], ["Import"])
    assert continuation.follow_up_failed_at is not None
    assert "ValueError: no mail server" in continuation.follow_up_error
    assert "on_success" in continuation.follow_up_error
    assert list(Continuation.objects.needing_attention()) == [continuation]


def test_an_error_in_on_success_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("no mail server")
    ended(hook=error)
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "on_success raised ValueError; what it did was rolled back" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_following_up_again_runs_on_success_here_and_now() -> None:
    continuation = ended(hook=ValueError("no mail server"))
    did.clear()
    world.clear()
    continuation.follow_up()
    assert did == [("success", "a", True, 2, "succeeded", "A")]
    assert items() == ["success"]
    assert reindexed()[0].parent == continuation
    assert pushed == ["Import", "Reindex"]
    assert (continuation.follow_up_failed_at, continuation.follow_up_error) == (None, "")
    assert not Continuation.objects.needing_attention().exists()


def test_following_up_again_raises_what_it_raises_and_keeps_nothing_of_it() -> None:
    continuation = ended(hook=ValueError("no mail server"))
    before = Continuation.objects.values().get()
    world["hook"] = ConnectionError("still none")
    with pytest.raises(ConnectionError, match="still none"):
        continuation.follow_up()
    assert (items(), reindexed()) == ([], [])
    assert Continuation.objects.values().get() == before
    assert continuation.follow_up_failed_at is not None


def test_following_up_twice_is_refused() -> None:
    continuation = ended(hook=ValueError())
    world.clear()
    continuation.follow_up()
    with pytest.raises(TransitionError, match="was followed up"):
        continuation.follow_up()
    assert len(reindexed()) == 1


@pytest.mark.parametrize("status", [status for status in Continuation.Status if status != "succeeded"])
def test_only_a_success_is_followed_up_again(status: str) -> None:
    continuation = ended(hook=ValueError())
    Continuation.objects.update(status=status)
    with pytest.raises(TransitionError, match=rf"is {status}: follow_up\(\) is for on_success that failed"):
        continuation.follow_up()


def test_running_again_clears_the_mark() -> None:
    continuation = ended(hook=ValueError())
    continuation.rerun_from("load")
    assert continuation.follow_up_failed_at is None
    world.clear()
    run_until_finished(continuation)
    assert not Continuation.objects.needing_attention().exists()
    assert items() == ["success"]


# Trouble of the database


class Trouble(Import):
    """Its hook has trouble with the database so many times."""

    def on_success(self, name: str, *, loudly: bool = False) -> None:
        Applied.objects.create(item="success")
        did.append("tried")
        if did.count("tried") <= world["times"]:
            raise OperationalError("deadlock detected")

    def on_failure(self, error: Exception, name: str, *, loudly: bool = False) -> None:
        self.on_success(name)


class NoTime(Bench):
    """Does not wait between two tries."""

    def wait(self, seconds: float) -> bool:
        return True


@pytest.mark.parametrize("error", [None, ValueError("broken")])
@pytest.mark.parametrize("times", [1, 5])
def test_trouble_of_the_database_in_a_hook_lets_the_whole_end_be_tried_again(
    times: int, error: Exception | None
) -> None:
    world.update(times=times, error=error)
    continuation = Trouble.enqueue("a")
    execute(continuation.pk, 0, NoTime())
    continuation.refresh_from_db()
    assert continuation.status == ("failed" if error else "succeeded")
    assert continuation.follow_up_failed_at is None
    assert did == ["tried"] * (times + 1)
    assert items() == ["success"]
    assert continuation.executions == 1


def test_trouble_that_does_not_end_is_noted_at_last() -> None:
    world.update(times=100)
    continuation = Trouble.enqueue("a")
    execute(continuation.pk, 0, NoTime())
    continuation.refresh_from_db()
    assert continuation.status == "succeeded"
    assert "OperationalError: deadlock detected" in continuation.follow_up_error
    assert items() == []


class LosesItsTransaction(Import):
    """The server rolls back the whole transaction, as MySQL does in a deadlock, and the hook goes on all the same."""

    def on_success(self, name: str, *, loudly: bool = False) -> None:
        did.append("tried")
        if len(did) == 1:
            try:
                with transaction.atomic():
                    with connection.cursor() as cursor:
                        cursor.execute("ROLLBACK")
                    raise OperationalError("deadlock detected")
            except OperationalError:
                return
        Applied.objects.create(item="success")


def test_a_hook_that_hides_a_lost_transaction_lets_the_whole_end_be_tried_again() -> None:
    """Else the worker would report a success that is nowhere."""
    continuation = LosesItsTransaction.enqueue("a")
    assert execute(continuation.pk, 0, NoTime()).status == "succeeded"
    continuation.refresh_from_db()
    assert continuation.status == "succeeded"
    assert (did, items()) == (["tried", "tried"], ["success"])


class Locks(Import):
    """Asks for one row after another."""

    def on_success(self, name: str, *, loudly: bool = False) -> None:
        did.append("tried")
        Product.objects.select_for_update().get(pk=world["a"])
        Product.objects.select_for_update().get(pk=world["b"])
        Applied.objects.create(item="success")


# Whether a transaction waits for another one.
WAITS = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


def somebody_waits() -> bool:
    # InnoDB tells nothing new to who asks more often than ten times a second.
    time.sleep(0.15)
    with connection.cursor() as cursor:
        cursor.execute(WAITS[connection.vendor])
        (number,) = cursor.fetchone()
    return number > 0


def test_a_deadlock_in_a_hook_lets_the_whole_end_be_tried_again() -> None:
    """A real one, which the hook loses: the other side has done more."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, and no rows to lock")
    world.update(a=Product.objects.create().pk, b=Product.objects.create().pk)
    continuation = Locks.enqueue("a")
    execution = ending(continuation, until="shop_product", stop=False)
    with transaction.atomic():
        Product.objects.select_for_update().get(pk=world["b"])
        Applied.objects.bulk_create(Applied(run="other", item=str(i)) for i in range(100))
        execution.start()
        eventually(somebody_waits)
        Product.objects.select_for_update().get(pk=world["a"])
    assert execution.join().status == "succeeded"
    continuation.refresh_from_db()
    assert (continuation.status, continuation.follow_up_failed_at) == ("succeeded", None)
    assert did == ["tried", "tried"]
    assert Applied.objects.filter(item="success").count() == 1


def test_a_hook_may_roll_back_what_it_did() -> None:
    continuation = RollsBack.enqueue("a")
    assert execute(continuation.pk, 0, NoTime()).status == "succeeded"
    continuation.refresh_from_db()
    assert (continuation.status, continuation.follow_up_failed_at, items()) == ("succeeded", None, [])


class RollsBack(Import):
    def on_success(self, name: str, *, loudly: bool = False) -> None:
        Applied.objects.create(item="success")
        transaction.set_rollback(True)


# Failure


def test_on_failure_runs_once_with_the_error_and_the_arguments() -> None:
    error = ValueError("broken")
    continuation = ended(error=error)
    assert continuation.status == "failed"
    assert did == [("failure", ValueError, "a", True, 2, "failed")]
    assert items() == ["failure"]
    (child,) = reindexed()
    assert child.parent == continuation
    assert pushed == ["Import", "Reindex"]


def test_on_failure_comes_after_the_last_attempt_only() -> None:
    """E3"""
    world["error"] = ConnectionError()
    continuation = Import.enqueue("a")
    run_enqueued()
    assert (continuation.steps.get().cursor, did) == (2, [])
    with pytest.raises(ConnectionError):
        run_enqueued()
    assert [each[:2] for each in did] == [("failure", ConnectionError)]


def test_each_failure_is_followed_up() -> None:
    """E8"""
    continuation = ended(error=ValueError("broken"))
    continuation.retry()
    with pytest.raises(ValueError):
        run_enqueued(Import)
    continuation.refresh_from_db()
    continuation.rerun_from("load")
    world.clear()
    run_until_finished(continuation)
    assert [each[0] for each in did] == ["failure", "failure", "success"]


def test_what_is_discarded_is_no_failure() -> None:
    assert ended(error=NotWanted()).status == "discarded"
    assert did == []


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_what_is_paused_or_cancelled_is_followed_up_by_nobody(verb: str) -> None:
    continuation = Import.enqueue("a")
    with interrupt_during(Import, "load", 1):
        run_enqueued()
    continuation.refresh_from_db()
    getattr(continuation, verb)()
    assert (did, items()) == ([], [])


class Resumes(Import):
    resume_errors_after_advancing = True


def test_an_error_that_is_resumed_is_no_failure() -> None:
    world["error"] = Lasting()
    continuation = Resumes.enqueue("a")
    run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, did) == ("waiting", [])


class Crashes(Import):
    max_crashes = 1

    def load(self, step: Step) -> None:
        step.checkpoint()


def test_a_limit_that_fails_a_job_is_a_failure() -> None:
    """E7"""
    Crashes.enqueue("a")
    with crash_during(Crashes, "load"):
        run_enqueued()
    with pytest.raises(CrashLimitError):
        run_enqueued()
    assert [each[:2] for each in did] == [("failure", CrashLimitError)]


class Pauses(Crashes):
    on_limit = "pause"


def test_a_limit_that_pauses_a_job_is_none() -> None:
    continuation = Pauses.enqueue("a")
    with crash_during(Pauses, "load"):
        run_enqueued()
    run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, did) == ("paused", [])


class Waits(Import):
    def load(self) -> None:  # type: ignore[override]
        pass

    def perform(self, name: str, *, loudly: bool = False) -> str:
        self.wait_for("answer", timeout=60)
        return name


def test_a_time_out_that_nobody_catches_is_a_failure() -> None:
    """F2"""
    continuation = Waits.enqueue("a")
    run_enqueued()
    make_due(continuation)
    with pytest.raises(WaitTimeout):
        run_enqueued()
    assert [each[:2] for each in did] == [("failure", WaitTimeout)]


def test_an_error_in_on_failure_is_rolled_back_and_noted_and_the_failure_stays() -> None:
    error = ValueError("broken")
    continuation = ended(error=error, hook=KeyError("no mail server"))
    assert (continuation.status, continuation.error_message) == ("failed", "broken")
    assert (items(), reindexed()) == ([], [])
    assert "KeyError: 'no mail server'" in continuation.follow_up_error
    with pytest.raises(TransitionError, match="is failed"):
        continuation.follow_up()
    continuation.retry()
    assert continuation.follow_up_failed_at is None


def test_a_job_class_that_is_gone_has_no_hook() -> None:
    continuation = Import.enqueue("a")
    Continuation.objects.update(job_path="tests.test_following_up.Gone")
    with pytest.raises(Exception, match="Gone"):
        run_until_finished(continuation)
    continuation.refresh_from_db()
    assert (continuation.status, continuation.follow_up_failed_at) == ("failed", None)


# What hooks are


USES: dict[str, Callable[[ContinuableJob], object]] = {
    "step": lambda job: job.step("more", lambda: None),
    "checkpoint": lambda job: job.checkpoint(),
    "wait_for": lambda job: job.wait_for("answer"),
    "sleep": lambda job: job.sleep("nap", 1),
    "wait_for_children": lambda job: job.wait_for_children(),
    "stopping": lambda job: job.stopping(),
}


class Uses(Import):
    def on_success(self, name: str, *, loudly: bool = False) -> None:
        USES[name](self)

    def on_failure(self, error: Exception, name: str, *, loudly: bool = False) -> None:
        USES[name](self)


@pytest.mark.parametrize("error", [None, ValueError("broken")])
@pytest.mark.parametrize("use", USES)
def test_hooks_cannot_use_steps(use: str, error: Exception | None) -> None:
    """The message says where one is, and what to do instead."""
    world["error"] = error
    continuation = Uses.enqueue(use)
    execute(continuation.pk, 0, Bench())
    continuation.refresh_from_db()
    assert continuation.status == ("failed" if error else "succeeded")
    assert "NotRunningError" in continuation.follow_up_error
    assert "on_success and on_failure come after the last step: enqueue a job there" in continuation.follow_up_error
    assert not StepRecord.objects.exclude(name="load").exists()
    if error is None:
        with pytest.raises(NotRunningError, match="come after the last step"):
            continuation.follow_up()


@pytest.mark.parametrize("hook", ["on_success", "on_failure", "should_stop"])
def test_a_hook_cannot_be_a_coroutine_function(hook: str) -> None:
    async def coroutine(self: Any, *args: Any) -> None: ...

    with pytest.raises(JobDefinitionError, match=f"{hook} cannot be a coroutine function"):
        type("Async", (ContinuableJob,), {hook: coroutine, "perform": lambda self: None})


def test_attributes_changed_in_a_hook_are_not_kept() -> None:
    """What is stored is what the steps have reached."""
    continuation = Changes.enqueue("a")
    run_until_finished(continuation)
    assert continuation.steps.get().attributes_json == '{"count":2}'
    continuation.follow_up_failed_at = continuation.finished_at
    continuation.save()
    continuation.follow_up()
    assert did == [2, 2]


class Changes(Import):
    def on_success(self, name: str, *, loudly: bool = False) -> None:
        did.append(self.count)
        self.count += 1


def test_perform_now_follows_up_too() -> None:
    """Q4"""
    continuation = Import.perform_now("a")
    assert (continuation.status, items()) == ("succeeded", ["success"])
    assert [child.parent for child in enqueued()] == [continuation]
    world["error"] = ValueError()
    with pytest.raises(ValueError):
        Import.perform_now("a")
    assert items() == ["success", "failure"]


def test_a_job_without_hooks_costs_no_savepoint(django_assert_num_queries: Any) -> None:
    """What nobody overrides is not called."""
    statements: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        Reindex.perform_now("a")
    assert not [sql for sql in statements if "SAVEPOINT" in sql]


class Death(BaseException):
    """The process dies here."""


def die() -> None:
    raise Death
