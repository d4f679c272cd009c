"""Ten jobs as users write them. Type checkers find nothing wrong here; see tests/test_typing.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, assert_type

from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from rq import RateLimit

from continuations import (
    ContinuableJob,
    Step,
    Stop,
    attribute,
    discard_on,
    polynomially_longer,
    retry_on,
    successor,
)
from continuations.models import Continuation
from continuations.sources import GAP, batches, csv_rows, keyset, lines, nested, pages, shard, shards


class ReportError(Exception): ...


def complete(text: str) -> str:
    return text.upper()


class ImportProducts(ContinuableJob):
    """A CSV import that counts what it skips."""

    queue_name = "imports"
    skipped = attribute(default=0)
    names = attribute(default=list[str])

    def perform(self, path: str) -> int:
        self.path = Path(path)
        self.step(self.load)
        self.step("finalise", lambda: print(self.skipped), atomic=True)
        return self.skipped

    def load(self, step: Step) -> None:
        for row in step.iterate(csv_rows(self.path, delimiter=";")):
            assert_type(row, dict[str, str])
            if not row["name"]:
                self.skipped += 1
                continue
            with step.atomic():
                User.objects.create(username=row["name"])
                self.names.append(row["name"])


class ReadLines(ContinuableJob):
    def perform(self, path: Path) -> int:
        return self.step(self.count)

    def count(self, step: Step) -> int:
        found = 0
        for line in step.iterate(lines("notes.txt")):
            assert_type(line, str)
            found += len(line)
        return found


class Welcome(ContinuableJob):
    """Bulk mail."""

    def perform(self, cohort: str) -> None:
        @self.step
        def send(step: Step) -> None:
            for user in step.iterate(User.objects.filter(groups__name=cohort)):
                assert_type(user, User)
                user.email_user("hi", "there")

        Metrics.using(run_after=timedelta(minutes=5), at_front=True).enqueue(cohort)


class Metrics(ContinuableJob):
    def perform(self, cohort: str) -> None: ...


class Backfill(ContinuableJob):
    """In batches, by a composite key."""

    max_runtime = 60.0

    def perform(self) -> None:
        @self.step
        def fill(step: Step) -> None:
            for rows in step.iterate(batches(User.objects.all(), 500)):
                assert_type(rows, list[User])
                with step.atomic():
                    print(len(rows))

        @self.step("newest_first")
        def newest(step: Step) -> None:
            for user in step.iterate(keyset(User.objects.all(), "-date_joined", "pk")):
                assert_type(user, User)


@retry_on(ConnectionError, wait=polynomially_longer, attempts=5)
@discard_on(KeyError)
class SyncContacts(ContinuableJob):
    """A source of one's own."""

    def perform(self) -> None:
        @self.step
        def pull(step: Step) -> None:
            for page in step.iterate(Pages()):
                assert_type(page, list[int])
                with step.atomic():
                    print(sum(page))


class Pages:
    def after(self, cursor: Any, /) -> Iterator[tuple[list[int], int]]:
        for page in range(cursor or 0, 3):
            yield [page], page + 1


def fetch(token: str | None) -> tuple[list[dict[str, int]], str | None]:
    return [{"id": 5}], None


async def afetch(token: int | None) -> tuple[bytes, int | None]:
    return b"", None


class PullContacts(ContinuableJob):
    """A paged API."""

    def perform(self) -> None:
        @self.step
        def pull(step: Step) -> None:
            for page in step.iterate(pages(fetch)):
                assert_type(page, list[dict[str, int]])
                with step.atomic():
                    print([each["id"] for each in page])

        @self.step("awaited")
        def awaited(step: Step) -> None:
            for page in step.iterate(pages(afetch)):
                assert_type(page, bytes)
            for several in step.iterate(batches(pages(fetch), 2)):
                assert_type(several, list[list[dict[str, int]]])


class Nested(ContinuableJob):
    """Sources in the items of sources."""

    def perform(self) -> None:
        self.step(self.walk)
        self.step(self.lists)
        self.step(self.deeper)

    def walk(self, step: Step) -> None:
        for group, user in step.iterate(nested(Group.objects.all(), lambda group: User.objects.filter(groups=group))):
            assert_type(group, Group)
            assert_type(user, User)
        for name, permission in step.iterate(nested(["a", "b"], self.permissions)):
            assert_type(name, str)
            assert_type(permission, Permission)

    def permissions(self, name: str) -> QuerySet[Permission]:
        return Permission.objects.filter(name=name)

    def lists(self, step: Step) -> None:
        for number, text in step.iterate(nested([1, 2], lambda number: ["a"] * number)):
            assert_type(number, int)
            assert_type(text, str)
        for pairs in step.iterate(batches(nested(csv_rows("a.csv"), lambda row: lines(row["path"])), 10)):
            assert_type(pairs, list[tuple[dict[str, str], str]])

    def deeper(self, step: Step) -> None:
        groups = nested(Group.objects.all(), lambda group: User.objects.filter(groups=group))
        for (group, user), number in step.iterate(nested(groups, lambda pair: range(pair[1].pk))):
            assert_type(group, Group)
            assert_type(user, User)
            assert_type(number, int)


class Export(ContinuableJob):
    """One shard of a queryset."""

    def perform(self, start: int | None, stop: int | None) -> None:
        self.users = shard(User.objects.filter(is_active=True), start, stop)
        assert_type(self.users, QuerySet[User, User])
        self.step(self.write)

    def write(self, step: Step) -> None:
        for user in step.iterate(self.users):
            assert_type(user, User)


class ExportAll(ContinuableJob):
    renamed_steps = {"fan_out": "share"}
    aliases = ("shop.jobs.ExportUsers",)

    def perform(self) -> None:
        self.step("share", self.share, atomic=True)

    def share(self) -> int:
        bounds = shards(User.objects.all(), 8)
        assert_type(bounds, list[tuple[Any, Any]])
        return len([Export.enqueue(start, stop) for start, stop in bounds])


class Odd:
    """A source of one's own, with gaps."""

    def after(self, cursor: int | None, /) -> Iterator[tuple[int, int]]:
        for number in range(cursor or 0, 10):
            yield (number if number % 2 else GAP), number + 1

    def size(self, item: int) -> int:
        return 1

    def total(self) -> int:
        return 5


class Odds(ContinuableJob):
    def perform(self) -> None:
        self.step(self.walk)

    def walk(self, step: Step) -> None:
        for number in step.iterate(Odd()):
            assert_type(number, int)


@retry_on(ReportError, wait=lambda executions, error: timedelta(seconds=executions), attempts=3, jitter=0)
class GenerateReport(ContinuableJob):
    """Results flow from step to step."""

    queue_name = "slow"
    resume_wait = timedelta(seconds=5)

    def perform(self, report_id: int, *, short: bool = False) -> str:
        text = self.step("extract", lambda: str(report_id))
        assert_type(text, str)
        summary = self.step("summarise", lambda: complete(text), isolated=True)
        length = self.step("measure", lambda step: len(summary))
        assert_type(length, int)
        return self.step(self.deliver)

    def deliver(self, step: Step) -> str:
        step.progress(done=1, total=1)
        return step.name


class CleanUp(ContinuableJob):
    def perform(self) -> None:
        @self.step
        def destroy(step: Step) -> None:
            for user in User.objects.all():
                user.delete()
                step.checkpoint()

        self.checkpoint()

    def should_stop(self) -> str | Stop | None:
        return Stop("throttled", wait=30) if self.executions > 5 else None


class Fetch(ContinuableJob):
    """Steps that are coroutine functions."""

    def perform(self) -> str:
        self.step(self.walk)
        text = self.step(self.fetch)
        assert_type(text, str)
        assert_type(self.step("again", self.fetch), str)

        @self.step("number", start=5)
        async def number(step: Step) -> int:
            return int(step.cursor)

        assert_type(number, int)
        return text

    async def walk(self, step: Step) -> None:
        async for number in step.iterate([1, 2, 3]):
            assert_type(number, int)
            async with step.atomic():
                await User.objects.acreate(username=str(number))
            await step.acheckpoint()
        async for page in step.iterate(pages(afetch)):
            assert_type(page, bytes)

    async def fetch(self) -> str:
        return "text"


class Nightly(ContinuableJob):
    """A cursor that is a date."""

    def perform(self, day: date) -> None:
        @self.step(start=day)
        def days(step: Step) -> None:
            while step.cursor < date.today() and not self.stopping():
                step.advance()
            step.set(step.cursor)
            step.advance(from_=day)


class Version(str): ...


@successor.register(Version)
def next_version(version: Version) -> Version:
    return Version(f"{version}.1")


def nightly() -> None:
    continuation = Nightly.using(queue_name="slow", rq_options={"job_timeout": 600}).enqueue(date.today())
    assert_type(continuation, Continuation)
    assert_type(Nightly.using(key="nightly").enqueue(date.today()), Continuation)


def reports() -> None:
    assert_type(GenerateReport.enqueue(7), Continuation)
    assert_type(GenerateReport.enqueue(report_id=7, short=True), Continuation)
    assert_type(GenerateReport.perform_now(7), Continuation)
    ImportProducts.enqueue("products.csv").retry(by="ada", reason="the file is there now")


def many_reports() -> None:
    assert_type(GenerateReport.enqueue_many([(7,), (8, "more")]), list[Continuation])
    limited = GenerateReport.using(rq_options={"rate_limit": RateLimit("reports", 2)})
    limited.enqueue_many((number,) for number in range(3))
    limited.enqueue_many(User.objects.values_list("pk"))


async def reports_later() -> None:
    assert_type(await GenerateReport.aenqueue_many([(7,)]), list[Continuation])
    assert_type(await GenerateReport.aenqueue(7), Continuation)
    assert_type(await GenerateReport.using(queue_name="slow").aenqueue(7, short=True), Continuation)


def attributes(job: ImportProducts) -> None:
    assert_type(job.skipped, int)
    assert_type(job.names, list[str])
    assert_type(job.executions, int)
    assert_type(job.completed_steps, list[str])
