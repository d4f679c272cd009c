"""Calls that type checkers must refuse: every line marked `# wrong`, and no other. See tests/test_typing.py."""

from __future__ import annotations

from datetime import date, timedelta

from django.contrib.auth.models import User

from continuations import ContinuableJob, Step, retry_on
from continuations.sources import nested, pages, shard, shards
from tests.typing.typed_jobs import GenerateReport, ImportProducts, Nightly


def wrong() -> None:
    Nightly.enqueue("x")  # wrong: a date
    Nightly.enqueue()  # wrong: a date is missing
    Nightly.enqueue(date.today(), date.today())  # wrong: one too many
    GenerateReport.enqueue()  # wrong: the id is missing
    GenerateReport.enqueue(7, True)  # wrong: short is a keyword
    GenerateReport.enqueue(7, long=True)  # wrong: no such parameter
    GenerateReport.using(queue_name="slow").enqueue("7")  # wrong: an int
    GenerateReport.using(queue_name=5)  # wrong: a str
    GenerateReport.using(run_after=5)  # wrong: a timedelta or a datetime
    GenerateReport.using(que_name="slow")  # wrong: misspelt
    GenerateReport.using(key=7)  # wrong: a str
    GenerateReport.perform_now("7")  # wrong: an int
    GenerateReport.enqueue_many([7, 8])  # wrong: tuples
    GenerateReport.using().enqueue_many(7)  # wrong: nothing to go through


async def wrong_later() -> None:
    await GenerateReport.aenqueue("7")  # wrong: an int
    await GenerateReport.using().aenqueue()  # wrong: the id is missing
    await GenerateReport.aenqueue_many(["7"])  # wrong: tuples


def fetch_nothing(token: str) -> list[str]:
    return [token]


class Wrong(ContinuableJob):
    queue_name = 5  # wrong: a str
    renamed_steps = ["old", "new"]  # wrong: a dict
    aliases = 5  # wrong: a tuple

    def perform(self) -> None:
        self.step(self.validate())  # wrong: the result instead of the method
        self.step("two", self.two)  # wrong: two required parameters
        self.step(5, self.load)  # wrong: the name is a str
        self.step(self.load, begin=5)  # wrong: no such option
        number: int = self.step("text", lambda: "a")  # wrong: a str
        print(number)

    def validate(self) -> None: ...

    def two(self, step: Step, more: int) -> None: ...

    def load(self, step: Step) -> None:
        for number in step.iterate([1, 2]):
            number.upper()  # wrong: an int
        for _, text in step.iterate(nested(["a"], lambda name: [name])):
            text.bit_count()  # wrong: a str
        step.iterate(5)  # wrong: nothing to walk
        pages(fetch_nothing)  # wrong: no next token
        nested([1], [2])  # wrong: what is inside is told by a function
        nested([1], lambda number: number)  # wrong: nothing to walk inside
        shards([1, 2], 8)  # wrong: a queryset
        shards(User.objects.all(), "8")  # wrong: an int
        shard(User.objects.all(), 5)  # wrong: the other bound is missing
        step.progress(done="all")  # wrong: an int
        step.name = "other"  # wrong: read-only


@retry_on("ValueError")  # wrong: a class
class Retries(ContinuableJob):
    def perform(self) -> None: ...


def wrong_attribute(job: ImportProducts) -> None:
    job.skipped = "many"  # wrong: an int
    job.names.append(timedelta())  # wrong: a str
