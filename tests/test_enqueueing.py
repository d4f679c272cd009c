"""Q1, Q4: a row in the caller's transaction, a delivery on commit, and what is refused before anything is written."""

from __future__ import annotations

import datetime as dt
import socket
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.utils import timezone

from continuations import (
    ContinuableJob,
    ContinuationError,
    JobDefinitionError,
    SerializationError,
    Step,
    Stop,
    UnknownQueueError,
    discard_on,
    retry_on,
)
from continuations.models import Continuation
from continuations.testing import MemoryDelivery, enqueued, interrupt_during, run_enqueued, run_until_finished
from tests.shop.models import Product

pytestmark = pytest.mark.django_db

# What the bodies of the jobs below did, in order.
did: list[Any] = []

# What was handed to workers, in order: job name, delivery number, whether at the front.
pushed: list[tuple[str, int, bool]] = []


class RecordingDelivery(MemoryDelivery):
    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        pushed.append((continuation.job_name, continuation.delivery, at_front))


@pytest.fixture(autouse=True)
def _forget(settings: Any) -> None:
    did.clear()
    pushed.clear()
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "tests.test_enqueueing.RecordingDelivery"}


class Greet(ContinuableJob):
    queue_name = "imports"

    def perform(self, name: str, *, loudly: bool = False) -> str:
        self.step("greet", lambda: did.append(name))
        return name.upper() if loudly else name


# The row


def test_enqueue_writes_a_row_that_waits_to_run() -> None:
    """Q1"""
    continuation = Greet.enqueue("ada", loudly=True)
    stored = Continuation.objects.get()
    assert stored.pk == continuation.pk
    assert stored.status == "enqueued"
    assert stored.job_path == "tests.test_enqueueing.Greet"
    assert stored.queue_name == "imports"
    assert stored.arguments == (("ada",), {"loudly": True})
    assert stored.executions == 0


def test_the_result_of_perform_is_kept() -> None:
    assert run_until_finished(Greet.enqueue("ada", loudly=True)).result == "ADA"


def test_ids_made_later_sort_later() -> None:
    """UUIDs of version 7."""
    ids = [Greet.enqueue("ada").pk for _ in range(5)]
    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}


def test_the_rq_job_id_follows_from_the_id() -> None:
    """W6"""
    continuation = Greet.enqueue("ada")
    assert continuation.rq_job_id == f"c-{continuation.pk}"


# Q1: on commit, or not at all


@pytest.mark.django_db(transaction=True)
def test_a_commit_delivers() -> None:
    """Q1"""
    with transaction.atomic():
        Greet.enqueue("ada")
        assert pushed == []
    assert pushed == [("Greet", 0, False)]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_nothing() -> None:
    """Q1"""
    with pytest.raises(ValueError), transaction.atomic():
        Greet.enqueue("ada")
        raise ValueError
    assert pushed == []
    assert not Continuation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_savepoint_rolled_back_leaves_nothing_of_what_was_enqueued_in_it() -> None:
    """Q1"""
    with transaction.atomic():
        Greet.enqueue("ada")
        with pytest.raises(ValueError), transaction.atomic():
            Greet.enqueue("grace")
            raise ValueError
    assert len(pushed) == 1
    assert Continuation.objects.get().arguments[0] == ("ada",)


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_delivery_is_at_once() -> None:
    """Q1"""
    Greet.enqueue("ada")
    assert pushed == [("Greet", 0, False)]


def test_on_commit_callbacks_of_a_test_case_deliver(django_capture_on_commit_callbacks: Any) -> None:
    """Q1"""
    with django_capture_on_commit_callbacks(execute=True):
        Greet.enqueue("ada")
        assert pushed == []
    assert pushed == [("Greet", 0, False)]


class FailingDelivery(MemoryDelivery):
    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        raise RuntimeError("broken delivery")


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_fails_does_not_stop_other_callbacks(settings: Any) -> None:
    """Q1: `on_commit(robust=True)`."""
    settings.CONTINUATIONS = {"DELIVERY": "tests.test_enqueueing.FailingDelivery"}
    with transaction.atomic():
        Greet.enqueue("ada")
        transaction.on_commit(lambda: did.append("after"))
    assert did == ["after"]
    assert Continuation.objects.get().status == "enqueued"


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def _redis_down(settings: Any) -> None:
    url = f"redis://127.0.0.1:{closed_port()}/0"
    settings.RQ_QUEUES = {name: {**queue, "URL": url} for name, queue in settings.RQ_QUEUES.items()}
    settings.CONTINUATIONS = {"DELIVERY": "continuations.delivery.RQDelivery"}


@pytest.mark.usefixtures("_redis_down")
@pytest.mark.django_db(transaction=True)
def test_redis_down_at_commit_keeps_the_row_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Q1: undelivered, logged; `enqueue` itself succeeds."""
    continuation = Greet.enqueue("ada")
    assert Continuation.objects.get().status == "enqueued"
    record = next(each for each in caplog.records if each.levelname == "ERROR")
    assert f"Greet {continuation.pk} is stored but not delivered: Redis did not answer" in record.getMessage()
    assert record.__dict__["continuation_id"] == str(continuation.pk)


@pytest.mark.usefixtures("_redis_down")
@pytest.mark.django_db(transaction=True)
def test_redis_down_at_commit_leaves_what_else_was_committed() -> None:
    """Q1"""
    with transaction.atomic():
        Product.objects.create(name="pen")
        Greet.enqueue("ada")
    assert Product.objects.count() == 1


# using(...)


def test_using_chooses_the_queue() -> None:
    assert Greet.using(queue_name="slow").enqueue("ada").queue_name == "slow"
    assert Greet.enqueue("ada").queue_name == "imports"


def test_using_takes_a_time_to_run_after() -> None:
    moment = timezone.now() + dt.timedelta(hours=1)
    assert Greet.using(run_after=moment).enqueue("ada").run_after == moment


def test_using_takes_a_delay_to_run_after() -> None:
    before, delay = timezone.now(), dt.timedelta(minutes=5)
    run_after = Greet.using(run_after=delay).enqueue("ada").run_after
    assert run_after is not None
    assert before + delay <= run_after <= timezone.now() + delay


def test_what_is_to_run_later_is_not_due() -> None:
    Greet.using(run_after=dt.timedelta(minutes=5)).enqueue("ada")
    assert run_enqueued(due_only=True) == 0
    assert run_enqueued() == 1


@pytest.mark.django_db(transaction=True)
def test_using_puts_at_the_front() -> None:
    Greet.using(at_front=True).enqueue("ada")
    assert pushed == [("Greet", 0, True)]


def test_using_can_be_kept_and_used_again() -> None:
    slowly = Greet.using(queue_name="slow")
    assert [slowly.enqueue(name).arguments[0] for name in ("ada", "grace")] == [("ada",), ("grace",)]


def test_using_refuses_an_option_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="que_name"):
        Greet.using(que_name="slow")  # type: ignore[call-arg]


def test_aenqueue_is_enqueue_for_async_code() -> None:
    continuation = async_to_sync(Greet.aenqueue)("ada", loudly=True)
    assert Continuation.objects.get().arguments == continuation.arguments == (("ada",), {"loudly": True})


def test_aenqueue_takes_options_too() -> None:
    assert async_to_sync(Greet.using(queue_name="slow").aenqueue)("ada").queue_name == "slow"


def test_aenqueue_raises_what_enqueue_raises() -> None:
    with pytest.raises(TypeError, match=r"Greet\.perform\(\) missing a required argument"):
        async_to_sync(Greet.aenqueue)()  # type: ignore[call-arg]


# Bad input: each a named error, with nothing written


def refused() -> bool:
    """Nothing was written and nothing delivered."""
    return not Continuation.objects.exists() and not pushed


def test_an_unknown_queue_is_refused_with_the_near_name() -> None:
    with pytest.raises(
        UnknownQueueError, match=r"Greet: queue 'import' is not in RQ_QUEUES .* Did you mean 'imports'\?"
    ):
        Greet.using(queue_name="import").enqueue("ada")
    assert refused()


class OnUnknownQueue(ContinuableJob):
    queue_name = "nothing like it"

    def perform(self) -> None: ...


def test_an_unknown_queue_of_the_class_is_refused_with_the_known_names() -> None:
    with pytest.raises(
        UnknownQueueError, match=r"OnUnknownQueue: .* is not in RQ_QUEUES \('default', 'imports', .*\)\."
    ):
        OnUnknownQueue.enqueue()
    assert refused()


class ResumesNowhere(ContinuableJob):
    resume_queue_name = "import"

    def perform(self) -> None: ...


def test_an_unknown_queue_for_resumptions_is_refused() -> None:
    """Before anything runs, and not in the worker."""
    with pytest.raises(UnknownQueueError, match=r"queue 'import' is not in RQ_QUEUES .* Did you mean 'imports'\?"):
        ResumesNowhere.enqueue()
    assert refused()


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"Greet\.perform\(\) missing a required argument: 'name'"),
        (("a", "b"), {}, r"Greet\.perform\(\) too many positional arguments"),
        (("a",), {"loud": True}, r"Greet\.perform\(\) got an unexpected keyword argument 'loud'"),
        (("a",), {"name": "b"}, r"Greet\.perform\(\) multiple values for argument 'name'"),
    ],
)
def test_a_wrong_call_is_refused_as_python_would(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Greet.enqueue(*args, **kwargs)
    assert refused()


@pytest.mark.parametrize("argument", [object(), {"a": [object()]}, lambda: None])
def test_arguments_that_cannot_be_stored_are_refused(argument: Any) -> None:
    """Q2"""
    with pytest.raises(SerializationError, match=r"arguments of Greet: a .* cannot be stored"):
        Greet.enqueue(argument)
    assert refused()


def test_a_queryset_as_argument_is_refused_with_the_remedy() -> None:
    """Q2"""
    with pytest.raises(SerializationError, match=r"arguments of Greet: a QuerySet cannot be stored .*: store its pk"):
        Greet.enqueue(Product.objects.all())  # type: ignore[arg-type]
    assert refused()


def test_a_job_class_inside_a_function_is_refused() -> None:
    class Local(ContinuableJob):
        def perform(self) -> None: ...

    with pytest.raises(
        JobDefinitionError, match=r"Local is defined inside a function, where a worker cannot import it"
    ):
        Local.enqueue()
    assert refused()


def test_a_job_class_in_main_is_refused() -> None:
    shell = type("Shell", (Greet,), {"__module__": "__main__"})
    with pytest.raises(JobDefinitionError, match=r"Shell is defined in __main__ or the shell, .*: move it to a module"):
        shell.enqueue("ada")
    assert refused()


class Outer:
    class Inner(ContinuableJob):
        def perform(self) -> None: ...


def test_a_job_class_inside_a_class_is_fine() -> None:
    assert run_until_finished(Outer.Inner.enqueue()).status == "succeeded"


class NoPerform(ContinuableJob):
    pass


@pytest.mark.parametrize("job_class", [NoPerform, ContinuableJob])
def test_a_job_class_without_perform_is_refused(job_class: type[ContinuableJob]) -> None:
    with pytest.raises(JobDefinitionError, match=f"{job_class.__name__} has no method perform"):
        job_class.enqueue()
    assert refused()


@pytest.mark.django_db(transaction=True)
def test_enqueueing_with_autocommit_off_is_refused() -> None:
    """§4: nobody would know when it is committed."""
    transaction.set_autocommit(False)
    try:
        with pytest.raises(
            ContinuationError, match=r"autocommit is off on database 'default', .* transaction\.atomic\(\)"
        ):
            Greet.enqueue("ada")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert refused()


@pytest.mark.django_db(transaction=True)
def test_an_execution_with_autocommit_off_is_refused() -> None:
    """§4: its claim would never be committed."""
    Greet.enqueue("ada")
    transaction.set_autocommit(False)
    try:
        with pytest.raises(ContinuationError, match="autocommit is off on database 'default'"):
            run_enqueued()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert did == []
    assert Continuation.objects.get().status == "enqueued"


@pytest.mark.parametrize("run_after", [dt.datetime(2030, 1, 1), dt.date(2030, 1, 1), 5, "tomorrow"])
def test_a_time_that_is_no_aware_datetime_or_timedelta_is_refused(run_after: Any) -> None:
    with pytest.raises(TypeError, match=r"Greet: run_after=.*: expected a timedelta or an aware datetime"):
        Greet.using(run_after=run_after).enqueue("ada")
    assert refused()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"job_timout": 5}, r"Greet: rq_options\['job_timout'\] .*; did you mean 'job_timeout'\?"),
        ({"colour": 5}, r"Greet: rq_options\['colour'\] .*; known: job_timeout, result_ttl"),
        ({"job_id": "x"}, r"Greet: rq_options\['job_id'\] cannot be passed: the id belongs to the continuation"),
        ({"retry": 3}, r"Greet: rq_options\['retry'\] cannot be passed: use @retry_on on the job class"),
        ({"repeat": 3}, r"Greet: rq_options\['repeat'\] cannot be passed"),
        ({"ttl": 3}, r"Greet: rq_options\['ttl'\] cannot be passed"),
        ({"at_front": True}, r"Greet: rq_options\['at_front'\] cannot be passed: use using\(at_front=True\)"),
        ({"timeout": 3}, r"Greet: rq_options\['timeout'\] cannot be passed: use job_timeout"),
        ({"job_timeout": "soon"}, r"Greet: rq_options\['job_timeout'\]='soon': "),
        ({"meta": {"a": object()}}, r"Greet: rq_options must be JSON-able"),
        ({"on_success": 5}, r"Greet: rq_options\['on_success'\]=5: "),
        ({"depends_on": [object()]}, r"Greet: rq_options\['depends_on'\]=.*: expected RQ jobs, their ids, or"),
    ],
)
def test_an_option_of_rq_that_cannot_be_kept_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ContinuationError, match=message):
        Greet.using(rq_options=options).enqueue("ada")
    assert refused()


class WithOptions(Greet):
    rq_options = {"job_timeout": "10m", "result_ttl": 60}


def test_options_of_rq_are_kept_in_the_row_and_added_to_those_of_the_class() -> None:
    continuation = WithOptions.using(rq_options={"result_ttl": 90, "meta": {"a": 1}}).enqueue("ada")
    assert continuation.rq_options_json == {"job_timeout": 600, "result_ttl": 90, "meta": {"a": 1}}
    assert WithOptions.rq_options == {"job_timeout": "10m", "result_ttl": 60}


def test_a_job_may_depend_on_a_continuation() -> None:
    first = Greet.enqueue("ada")
    second = Greet.using(rq_options={"depends_on": [first, "other-job"]}).enqueue("grace")
    assert second.rq_options_json["depends_on"] == [[first.rq_job_id, "other-job"], False, False]


# Q4: perform_now


def test_perform_now_runs_here_and_returns_the_continuation() -> None:
    """Q4"""
    continuation = Greet.perform_now("ada", loudly=True)
    assert (continuation.status, continuation.result, did) == ("succeeded", "ADA", ["ada"])
    assert Continuation.objects.get().status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_perform_now_delivers_nothing_when_it_ends() -> None:
    """Q4"""
    Greet.perform_now("ada")
    assert pushed == []


class Fails(ContinuableJob):
    def perform(self) -> None:
        self.step("first", self.first)

    def first(self) -> None:
        did.append("ran")
        raise ValueError("broken")


def test_perform_now_raises_the_error_that_failed_it() -> None:
    """Q4: the row keeps it."""
    with pytest.raises(ValueError, match="broken"):
        Fails.perform_now()
    assert Continuation.objects.get().status == "failed"


@retry_on(ValueError, wait=0, attempts=3)
class FailsThreeTimes(Fails):
    pass


@retry_on(ValueError, wait=dt.timedelta(milliseconds=2), attempts=3, jitter=0)
class FailsThreeTimesWithRest(Fails):
    pass


@pytest.mark.parametrize("job_class", [FailsThreeTimes, FailsThreeTimesWithRest])
def test_perform_now_waits_out_back_offs(job_class: type[ContinuableJob]) -> None:
    """Q4"""
    with pytest.raises(ValueError):
        job_class.perform_now()
    assert did == ["ran", "ran", "ran"]


@discard_on(ValueError)
class Discarded(Fails):
    pass


def test_perform_now_returns_what_was_discarded() -> None:
    """Q4"""
    assert Discarded.perform_now().status == "discarded"


class Isolated(ContinuableJob):
    def perform(self) -> None:
        self.step("first", lambda: did.append(self.executions))
        self.step("alone", lambda: did.append(self.executions), isolated=True)
        self.step("last", lambda: did.append(self.executions))


@pytest.mark.django_db(transaction=True)
def test_perform_now_goes_on_after_an_isolated_step() -> None:
    """Q4, S4: that is the job's own affair."""
    assert Isolated.perform_now().status == "succeeded"
    assert did == [1, 2, 3]
    assert pushed == []


class Walk(ContinuableJob):
    def perform(self) -> None:
        self.step("walk", self.walk)

    def walk(self, step: Step) -> None:
        for item in step.iterate(["a", "b"]):
            did.append(item)


@pytest.mark.django_db(transaction=True)
def test_perform_now_that_is_interrupted_goes_to_its_queue() -> None:
    """Q4: like any other."""
    with interrupt_during(Walk, "walk", 1):
        continuation = Walk.perform_now()
    assert (continuation.status, did) == ("interrupted", ["a"])
    assert pushed == [("Walk", 0, False)]
    run_until_finished(continuation)
    assert did == ["a", "b"]


class Throttled(Walk):
    def should_stop(self) -> Stop | None:
        return Stop("throttled", wait=0.001) if self.executions == 1 else None


@pytest.mark.django_db(transaction=True)
def test_perform_now_that_would_rest_goes_to_its_queue() -> None:
    """Q4: back-offs are waited out here, rests are not."""
    continuation = Throttled.perform_now()
    assert (continuation.status, did) == ("waiting", ["a"])
    assert len(pushed) == 1


class RestsBeforeResuming(Walk):
    resume_wait = 0.001


@pytest.mark.django_db(transaction=True)
def test_perform_now_that_is_interrupted_goes_to_its_queue_though_resuming_waits() -> None:
    """Q4, E4: a wait before resuming is no back-off."""
    with interrupt_during(RestsBeforeResuming, "walk", 1):
        continuation = RestsBeforeResuming.perform_now()
    assert (continuation.status, did) == ("waiting", ["a"])
    assert len(pushed) == 1


class MovesQueue(Walk):
    resume_queue_name = "slow"


@pytest.mark.django_db(transaction=True)
def test_perform_now_that_is_interrupted_goes_to_the_queue_for_resumptions() -> None:
    """Q4, E4"""
    with interrupt_during(MovesQueue, "walk", 1):
        continuation = MovesQueue.perform_now()
    assert (continuation.queue_name, continuation.delivery) == ("slow", 1)
    assert pushed == [("MovesQueue", 1, False)]


class Ended(Walk):
    def walk(self, step: Step) -> None:
        step.set(1)
        raise SystemExit(3)


@pytest.mark.django_db(transaction=True)
def test_perform_now_lets_an_exit_go_on_its_way_and_the_job_go_to_its_queue() -> None:
    """Q4, E6"""
    with pytest.raises(SystemExit):
        Ended.perform_now()
    assert Continuation.objects.get().status == "interrupted"
    assert pushed == [("Ended", 0, False)]


@pytest.mark.parametrize("call", [lambda: Greet.perform_now(), lambda: Greet.perform_now(object())])  # type: ignore[call-arg, arg-type]
def test_perform_now_refuses_what_enqueue_refuses(call: Any) -> None:
    """Q4"""
    with pytest.raises(TypeError):
        call()
    assert refused()


class EnqueuesAnother(ContinuableJob):
    def perform(self) -> str:
        return self.step("enqueue", lambda: str(Greet.enqueue("ada").pk), atomic=True)


def test_a_job_may_enqueue_another_in_its_transaction() -> None:
    """Q1, C6"""
    continuation = EnqueuesAnother.perform_now()
    assert [str(each.pk) for each in enqueued(Greet)] == [continuation.result]


def test_enqueueing_is_one_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        Greet.enqueue("ada")


def test_a_connection_that_is_closed_is_opened() -> None:
    assert connection.is_usable()
    Greet.enqueue("ada")
