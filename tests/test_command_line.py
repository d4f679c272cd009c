"""`manage.py continuations`: for people at three in the morning, and for programs."""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import os
import pty
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from continuations import ContinuableJob, Step, attribute
from continuations.console import options, selection, table, terminal, times
from continuations.identifiers import uuid7
from continuations.management.commands.continuations import Command
from continuations.models import Continuation, Execution, StepRecord
from continuations.testing import interrupt_during, run_enqueued, run_until_finished
from continuations.transitions import Status
from tests.processes import Worker, database_url, eventually
from tests.shop import jobs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal of these tests is."""
    monkeypatch.delenv("COLUMNS", raising=False)


class Import(ContinuableJob):
    resume_errors_after_advancing = False

    skipped = attribute(default=0)

    def perform(self, path: str, broken: Any = None, *, token: str = "") -> str:
        self.broken = broken
        self.step("check", lambda: {"rows": 10})
        self.step(self.load)
        return "all fine"

    def load(self, step: Step) -> None:
        step.progress(total=10)
        for item in step.iterate(range(10)):
            if item == self.broken:
                self.skipped = 2
                raise KeyError("sku")


class Mail(Import):
    queue_name = "slow"


class Approve(ContinuableJob):
    def perform(self) -> Any:
        return self.wait_for("approval")


class Family(ContinuableJob):
    def perform(self) -> None:
        for number in range(3):
            Import.enqueue(str(number))
        self.wait_for_children()


# What the follow-up below does.
moods: list[Callable[[], None]] = []


def refuse() -> None:
    raise RuntimeError("nobody home")


class Follows(ContinuableJob):
    def perform(self) -> None: ...

    def on_success(self) -> None:
        moods[-1]()


@dataclass
class Said:
    """What a command wrote, and how it ended."""

    out: str
    err: str
    code: int = 0

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.document["continuations"]]


def say(*arguments: object) -> Said:
    """`manage.py continuations ...` in this process."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("continuations", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return Said(out.getvalue(), f"{err.getvalue()}{error}", error.returncode)
    return Said(out.getvalue(), err.getvalue())


def failed(job: type[Import] = Import) -> Continuation:
    continuation = job.enqueue("a.csv", 4, token="s3cret")
    with pytest.raises(KeyError):
        run_enqueued(job)
    continuation.refresh_from_db()
    return continuation


def interrupted() -> Continuation:
    continuation = Import.enqueue("a.csv")
    with interrupt_during(Import, "load", 3):
        run_enqueued(Import)
    return continuation


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def age(continuation: Continuation, **length: float) -> None:
    """As if it had been created so long ago."""
    created = timezone.now() - dt.timedelta(**length)
    Continuation.objects.filter(pk=continuation.pk).update(created_at=created)


# list


def test_a_list_is_a_table_that_starts_with_the_newest() -> None:
    first = failed()
    second = Mail.enqueue("b.csv")
    age(first, hours=3)
    heads, *rows = say("list").out.splitlines()
    assert heads.split() == ["ID", "STATE", "AGE", "JOB", "STEP", "NOTE"]
    assert re.split(r"  +", rows[0]) == [str(second.pk)[:18], "enqueued", "0s", "Mail", "queue slow"]
    assert re.split(r"  +", rows[1]) == [str(first.pk)[:18], "failed !", "3h", "Import", "2 load", "KeyError: 'sku'"]
    assert len(rows) == 2


def test_a_list_fits_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = failed()
    Continuation.objects.filter(pk=row.pk).update(
        job_path="shop.jobs." + "LongJobName" * 10, error_message="long " * 100, status=Status.CANCELLING
    )
    row.steps.filter(name="load").update(name="long_step_name" * 10)
    lines = say("list").out.splitlines()
    assert max(map(len, lines)) == 80
    assert lines[1].count("…") == 2
    assert str(row.pk)[:18] in lines[1]


def test_nothing_is_cut_where_nobody_reads() -> None:
    row = failed()
    Continuation.objects.filter(pk=row.pk).update(job_path="shop.jobs." + "LongJobName" * 20)
    assert "LongJobName" * 20 in say("list").out


def test_a_list_of_nothing_says_so_beside_the_output() -> None:
    said = say("list")
    assert (said.out, said.err, said.code) == ("", "No continuation matches.\n", 0)
    assert say("list", "--json").document == {"continuations": [], "more": False}


def test_a_list_is_limited_and_says_that_there_is_more() -> None:
    rows = [Import.enqueue(str(number)) for number in range(3)]
    said = say("list", "--json", "--limit", 2)
    assert said.ids == [str(rows[2].pk), str(rows[1].pk)]
    assert said.document["more"] is True
    said = say("list", "--limit", 2)
    assert len(said.out.splitlines()) == 3
    assert said.err == "There are more than 2: see --limit.\n"
    assert say("list", "--json", "--limit", 3).document["more"] is False


@pytest.mark.parametrize("number", [1, 7])
def test_a_list_takes_three_queries(number: int, django_assert_num_queries: Any) -> None:
    for _ in range(number):
        failed()
    for arguments in (["list"], ["list", "--json"], ["list", "--attention"]):
        with django_assert_num_queries(3):
            assert say(*arguments).out


FILTERS: list[tuple[list[str], set[str]]] = [
    ([], {"failed", "mail", "waiting", "old"}),
    (["--state", "failed"], {"failed"}),
    (["--state", "failed", "--state", "waiting"], {"failed", "waiting"}),
    (["--job", "tests.test_command_line.M"], {"mail"}),
    (["--job", "tests."], {"failed", "mail", "waiting", "old"}),
    (["--job", "Import"], {"failed", "old"}),
    (["--job", "Impor"], set()),
    (["--job", "%"], set()),
    (["--queue", "slow"], {"mail"}),
    (["--queue", "slo"], set()),
    (["--attention"], {"failed"}),
    (["--key", "import:7"], {"mail"}),
    (["--older-than", "2h"], {"old"}),
    (["--older-than", "1d"], set()),
    (["--state", "enqueued", "--job", "Import", "--older-than", "1h30m"], {"old"}),
    (["--state", "failed", "--queue", "slow"], set()),
]


@pytest.mark.parametrize(("arguments", "expected"), FILTERS, ids=lambda value: " ".join(sorted(value)))
def test_a_list_can_be_filtered(arguments: list[str], expected: set[str]) -> None:
    rows = {"failed": failed(), "mail": Mail.enqueue("b.csv"), "waiting": Approve.enqueue()}
    run_enqueued(Approve)
    rows["old"] = Import.enqueue("c.csv")
    age(rows["old"], hours=3)
    Continuation.objects.filter(pk=rows["mail"].pk).update(key="import:7")
    names = {str(row.pk): name for name, row in rows.items()}
    assert {names[each] for each in say("list", "--json", *arguments).ids} == expected


def test_keys_of_the_list_are_kept() -> None:
    """docs/command-line.md"""
    row = failed()
    (found,) = say("list", "--json").document["continuations"]
    step = found.pop("step")
    assert list(found) == [
        *("id", "job", "queue", "status", "key", "needs_attention", "reason", "waiting_for", "counts"),
        *("created_at", "enqueued_at", "started_at", "finished_at", "run_after"),
        *("error", "follow_up_failed_at", "request", "parent"),
    ]
    assert found["id"] == str(row.pk)
    assert found["job"] == "tests.test_command_line.Import"
    assert found["needs_attention"] is True
    assert found["counts"] == {"executions": 1, "resumptions": 0, "crashes_in_a_row": 0, "errors_in_a_row": 0}
    assert found["error"] == {"class": "KeyError", "message": "'sku'"}
    assert dt.datetime.fromisoformat(found["created_at"]) == row.created_at
    assert found["created_at"].endswith("Z")
    assert list(step) == [
        *("position", "name", "kind", "status", "processed", "total", "per_second"),
        *("busy_seconds", "remaining_seconds", "heartbeat_at", "started_at", "finished_at"),
    ]
    assert (step["position"], step["name"], step["processed"], step["total"]) == (1, "load", 4, 10)
    assert step["per_second"] == pytest.approx(4 / step["busy_seconds"])
    assert step["remaining_seconds"] == pytest.approx(6 / step["per_second"], abs=1e-6)


def test_a_request_is_part_of_the_list() -> None:
    row = Import.enqueue("a.csv")
    row.pause(by="ana", reason="too busy")
    (found,) = say("list", "--json").document["continuations"]
    assert found["request"]["by"] == "ana"
    assert found["request"]["reason"] == "too busy"
    assert dt.datetime.fromisoformat(found["request"]["at"]) == row.requested_at


def test_what_a_terminal_would_obey_is_escaped() -> None:
    row = failed()
    Continuation.objects.filter(pk=row.pk).update(error_message="\x1b[2J\x9bhello\u202e")
    for arguments in (["list"], ["show", row.pk]):
        said = say(*arguments)
        assert "\\x1b[2J\\x9bhello\\u202e" in said.out
        assert "\x1b" not in said.out
        assert "\u202e" not in said.out


# Ids


def test_a_continuation_is_found_by_any_part_that_its_id_begins_with() -> None:
    row = Import.enqueue("a.csv")
    text = str(row.pk)
    for given in (text, text.upper(), text[:18], text[:18].replace("-", ""), text[:9], text.replace("-", "")):
        assert say("show", given, "--json").document["id"] == text


def test_a_continuation_is_found_by_the_id_of_its_rq_job() -> None:
    row = Import.enqueue("a.csv")
    for given in (row.rq_job_id, f"{row.rq_job_id}-3", row.rq_job_id[:15]):
        assert say("show", given, "--json").document["id"] == str(row.pk)


def test_every_length_of_an_ids_beginning_names_it() -> None:
    """On every database, whatever its order of UUIDs is."""
    row = Import.enqueue("a.csv")
    digits = row.pk.hex
    for length in range(selection.DIGITS, 33):
        assert selection.with_ids([digits[:length]]) == [row]
        other = digits[: length - 1] + ("0" if digits[length - 1] != "0" else "1")
        with pytest.raises(CommandError, match="no continuation"):
            selection.with_ids([other])


def test_a_beginning_that_is_not_unique_names_those_it_could_be() -> None:
    pks = [uuid.UUID(f"0199a3c2-7d1e-7abc-8000-00000000000{number}") for number in range(7)]
    Continuation.objects.bulk_create(Continuation(pk=pk, job_path="shop.Mail", arguments_json="[[],{}]") for pk in pks)
    said = say("show", "0199a3c2")
    assert (said.out, said.code) == ("", 2)
    assert said.err.splitlines() == [
        "0199a3c2 is the beginning of more than one:",
        *[f"  {pk} Mail enqueued" for pk in pks[:5]],
        "  and more",
        "Nothing was done.",
    ]
    # In a table they are told apart by all of their ids.
    assert all(str(pk) in say("list").out for pk in pks)


@pytest.mark.parametrize(
    "given", ["", "019", "x" * 8, "c-", "'; drop table", "0" * 33, "01a20bc5-3ad3-7546-9366-8eb2019c1aea0"]
)
def test_what_is_no_id_is_said_to_be_none(given: str) -> None:
    said = say("show", given)
    assert said.code == 2
    assert "is no id: expected one, or its first 4 hexadecimal digits or more" in said.err


def test_nothing_is_done_if_one_of_the_ids_is_wrong() -> None:
    row = Import.enqueue("a.csv")
    missing = [str(uuid7()), "ffff0000"]
    said = say("pause", row.pk, *missing)
    assert (said.out, said.code) == ("", 2)
    assert said.err.splitlines() == [*(f"There is no continuation {each}." for each in missing), "Nothing was done."]
    assert status(row) == "enqueued"


def test_a_key_names_the_unfinished_one_or_else_the_latest() -> None:
    rows = [Import.enqueue("a.csv") for _ in range(3)]
    Continuation.objects.update(key="import:7")
    assert say("show", "--key", "import:7", "--json").document["id"] == str(rows[2].pk)
    Continuation.objects.filter(pk=rows[0].pk).update(active_key="import:7")
    assert say("show", "--key", "import:7", "--json").document["id"] == str(rows[0].pk)
    said = say("show", "--key", "import:8")
    assert (said.code, said.err) == (2, "There is no continuation with the key 'import:8'.")


# show


def section(text: str, title: str) -> list[str]:
    """Lines of a part of a page, without its title."""
    found = re.search(rf"^{title}.*\n((?:.+\n)*)", text, flags=re.MULTILINE)
    assert found, (title, text)
    return found[1].splitlines()


def facts(text: str) -> dict[str, str]:
    """The head of a page: label to text."""
    head = text.partition("\n\n")[0].splitlines()[1:]
    found: dict[str, str] = {}
    label = ""
    for line in head:
        label = line[:11].strip() or label
        found[label] = f"{found.get(label, '')} {line[11:].strip()}".strip()
    return found


def test_a_page_answers_first_what_is_asked_at_three_in_the_morning() -> None:
    row = failed()
    StepRecord.objects.filter(name="load").update(busy_seconds=2)
    text = say("show", row.pk).out
    assert text.splitlines()[0] == f"Import {row.pk}"
    found = facts(text)
    assert list(found) == [
        *("state", "moving", "why", "safe now", "step", "cursor", "progress", "job", "queue"),
        *("arguments", "attributes", "created", "started", "ended", "counts"),
    ]
    assert found["state"] == "failed !"
    assert found["moving"] == "No: it has ended."
    assert found["why"] == "It failed in step load at cursor 4: KeyError: 'sku'"
    assert found["safe now"].startswith("retry       Recommended. Goes on in step load at cursor 4.")
    assert [word for word in found["safe now"].split() if word in options.VERBS] == [
        *("retry", "rerun", "set-cursor", "send"),
    ]
    assert found["progress"] == "4 of 10 (40 %), 2.0 a second, 3.0 s left"
    assert found["arguments"] == '"a.csv", 4, token="s3cret"'
    assert found["attributes"] == '{"skipped": 2}'


def test_a_page_shows_steps_executions_and_the_error() -> None:
    row = Import.enqueue("a.csv", 4)
    with interrupt_during(Import, "load", 3, reason="tea time"):
        run_enqueued()
    with pytest.raises(KeyError):
        run_enqueued()
    StepRecord.objects.filter(name="load").update(busy_seconds=2)
    text = say("show", row.pk).out
    steps = [re.split(r"  +", line.strip()) for line in section(text, "STEPS")]
    assert steps[0] == ["#", "STEP", "STATE", "DONE", "PACE", "WORK", "CURSOR", "RESULT"]
    assert steps[1][:3] == ["1", "check", "completed"]
    assert steps[1][-1] == '{"rows":10}'
    assert steps[2] == ["2", "load", "in progress", "4/10", "2.0/s", "2.0s", "4"]
    executions = [re.split(r"  +", line.strip()) for line in section(text, "EXECUTIONS")]
    assert executions[0] == ["#", "WORKER", "STARTED", "WAIT", "RUN", "CURSOR", "ENDED BECAUSE"]
    assert [line[0] for line in executions[1:]] == ["2", "1"]
    assert [line[-2:] for line in executions[1:]] == [["3 -> 4", "KeyError: 'sku'"], ["-> 3", "tea time"]]
    error = section(text, "ERROR")
    assert error[0] == "Traceback (most recent call last):"
    assert error[-1] == "KeyError: 'sku'"


def test_a_page_of_what_an_execution_owns_says_which() -> None:
    row = interrupted()
    owner = Execution.objects.get(continuation=row)
    Execution.objects.update(worker="w1", host="web-2", pid=4121, finished_at=None, outcome="")
    Continuation.objects.update(status=Status.RUNNING, owner=owner.pk)
    text = say("show", row.pk).out
    found = facts(text)
    assert found["state"] == "running"
    assert found["moving"].startswith("Yes: its last sign of life came 0.")
    assert found["worker"] == "execution 1, worker w1, host web-2, process 4121"
    assert "why" not in found
    assert section(text, "EXECUTIONS")[1].endswith("runs")
    document = say("show", row.pk, "--json").document
    assert (document["moving"], document["owner"], document["owner_died"]) == (True, 1, None)
    assert document["why_stopped"] is None
    # Its row was taken by another execution, which has not written its own yet.
    Continuation.objects.update(owner=uuid7())
    assert section(say("show", row.pk).out, "EXECUTIONS")[1].endswith("nobody knows")


def test_waits_and_runs_are_between_the_times_of_the_executions() -> None:
    row = interrupted()
    run_until_finished(row)
    start = timezone.now() - dt.timedelta(hours=2)
    minutes = [start + dt.timedelta(minutes=n) for n in range(0, 100, 10)]
    Continuation.objects.update(created_at=minutes[0])
    Execution.objects.filter(number=1).update(started_at=minutes[1], finished_at=minutes[3])
    Execution.objects.filter(number=2).update(started_at=minutes[6], finished_at=minutes[7])
    runs = say("show", row.pk, "--json").document["executions"]
    assert [(run["number"], run["waited_seconds"], run["ran_seconds"]) for run in runs] == [
        (2, 1800, 600),
        (1, 600, 1200),
    ]
    # The older one is not shown, and is known all the same.
    (run,) = say("show", row.pk, "--json", "--limit", 1).document["executions"]
    assert (run["number"], run["waited_seconds"]) == (2, 1800)
    _, line = section(say("show", row.pk, "--limit", 1).out, r"EXECUTIONS \(the latest 1; see --limit\)")
    assert re.split(r"  +", line.strip())[-4:] == ["30m", "10m", "3 -> 10", "it succeeded"]


def test_a_page_shows_events_parent_and_children() -> None:
    parent = Family.enqueue()
    parent.send("news", {"by": "ada"})
    run_enqueued(Family)
    child = parent.children.order_by("pk")[0]
    child.cancel()
    text = say("show", parent.pk).out
    assert facts(text)["why"] == "It waits until its children have ended."
    assert section(text, "EVENTS")[1].split("  ")[0] == "news"
    assert section(text, "EVENTS")[1].endswith('{"by": "ada"}')
    assert text.count("CHILDREN: 1 cancelled, 2 enqueued\n") == 1
    assert [line.split()[0] for line in section(text, "CHILDREN")[1:]] == [
        str(each.pk) for each in parent.children.order_by("-pk")
    ]
    assert facts(say("show", child.pk).out)["parent"] == f"Family {parent.pk}, waiting"
    document = say("show", parent.pk, "--json", "--limit", 1).document
    assert document["children_by_status"] == {"cancelled": 1, "enqueued": 2}
    assert document["more"] == {"steps": False, "executions": False, "events": False, "children": True}
    assert len(document["children"]) == 1
    assert [(each["name"], each["payload"]) for each in document["events"]] == [("news", {"by": "ada"})]
    assert say("show", child.pk, "--json").document["parent"]["id"] == str(parent.pk)


def test_a_page_of_what_never_ran_has_no_steps_and_no_executions() -> None:
    text = say("show", Import.enqueue("a.csv").pk).out
    assert facts(text)["why"] == "It has not started: it waits for a worker of queue default."
    assert "STEPS" not in text
    assert "EXECUTIONS" not in text


def test_a_page_needs_no_readable_values() -> None:
    row = failed()
    Continuation.objects.filter(pk=row.pk).update(
        arguments_json="{", result_json='{"$": "model", "v": ["shop.gone", 7, "x"]}'
    )
    found = facts(say("show", row.pk).out)
    assert found["arguments"] == '"{"'
    assert found["result"] == '{"$": "model", "v": ["shop.gone", 7, "x"]}'
    assert say("show", row.pk, "--json").document["arguments"] == "{"


def test_a_page_needs_no_job_class_but_shows_no_values_then() -> None:
    """Only the class says what is sensitive."""
    row = failed()
    Continuation.objects.filter(pk=row.pk).update(job_path="nowhere.Gone")
    text = say("show", row.pk).out
    assert text.splitlines()[0] == f"Gone {row.pk}"
    assert facts(text)["arguments"] == facts(text)["attributes"] == '"••••••"'
    assert "s3cret" not in text


def test_paragraphs_of_a_page_fit_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = failed()
    Continuation.objects.update(error_message="long " * 100, error_traceback="")
    lines = say("show", row.pk).out.splitlines()
    assert max(map(len, lines)) <= 80
    continued = [line for line in lines if line.startswith(" " * 11)]
    assert continued


def test_keys_of_a_page_are_kept() -> None:
    """docs/command-line.md"""
    row = failed()
    listed = say("list", "--json").document["continuations"][0]
    found = say("show", row.pk, "--json").document
    assert {name: found[name] for name in listed} == listed
    assert [name for name in found if name not in listed] == [
        *("moving", "why_stopped", "safe_now", "owner", "owner_died", "listeners"),
        *("arguments", "attributes", "result", "traceback", "follow_up_error"),
        *("steps", "executions", "events", "children", "children_by_status", "more"),
    ]
    assert found["arguments"] == [["a.csv", 4], {"token": "s3cret"}]
    assert found["attributes"] == {"skipped": 2}
    assert found["why_stopped"] == "It failed in step load at cursor 4: KeyError: 'sku'"
    assert found["safe_now"][0] == {
        "verb": "retry",
        "force": False,
        "recommended": True,
        "consequence": "Goes on in step load at cursor 4.",
    }
    assert [list(step)[-2:] for step in found["steps"]] == [["cursor", "result"]] * 2
    assert [(step["cursor"], step["result"]) for step in found["steps"]] == [(None, {"rows": 10}), (4, None)]
    assert list(found["executions"][0]) == [
        *("number", "worker", "host", "pid", "rq_job_id", "started_at", "finished_at", "waited_seconds"),
        *("ran_seconds", "outcome", "reason", "step", "cursor_before", "cursor_after", "error"),
    ]


@pytest.mark.parametrize("number", [1, 5])
def test_a_page_takes_the_same_number_of_queries_for_any_history(number: int, django_assert_num_queries: Any) -> None:
    row = Import.enqueue("a.csv")
    for cursor in range(1, 1 + number):
        with interrupt_during(Import, "load", cursor):
            run_enqueued()
        row.send(f"event {cursor}")
        Continuation.objects.create(
            job_path="shop.Mail", arguments_json="[[],{}]", parent=row, status=Status.CANCELLED, check_after=None
        )
    # The row twice, attention, steps, executions, events, children and their number by status.
    for arguments in ([], ["--json"]):
        with django_assert_num_queries(8):
            assert say("show", row.pk, *arguments).out


@pytest.mark.parametrize("arguments", [[], ["0199", "--key", "x"]])
def test_show_wants_an_id_or_a_key(arguments: list[str]) -> None:
    said = say("show", *arguments)
    assert (said.code, said.err) == (2, "Which one? Give an id, or --key.")


# Verbs


def test_every_verb_says_what_it_changed_on_a_line() -> None:
    row = interrupted()
    name = f"{str(row.pk)[:18]} Import: "
    assert say("pause", row.pk).out == f"{name}paused\n"
    assert say("set-cursor", row.pk, "load", 7).out == f"{name}step load: cursor 3 -> 7\n"
    assert say("resume", row.pk).out == f"{name}enqueued on queue default\n"
    assert say("cancel", row.pk).out == f"{name}cancelled\n"
    assert say("rerun", row.pk, "--from", "load", "--keep-cursor").out == f"{name}enqueued on queue default\n"
    assert run_until_finished(row).steps.get(name="load").processed == 3 + 3
    row = failed()
    assert say("retry", row.pk).out == f"{str(row.pk)[:18]} Import: enqueued on queue default\n"
    assert status(row) == "enqueued"


def test_a_rerun_starts_the_step_anew_unless_it_keeps_its_cursor() -> None:
    row = interrupted()
    row.cancel()
    say("rerun", row.pk, "--from", "load")
    assert [step.name for step in row.steps.all()] == ["check"]


def test_what_is_refused_says_why_and_the_others_go_on() -> None:
    ended, waiting = failed(), Import.enqueue("b.csv")
    said = say("pause", ended.pk, waiting.pk)
    assert said.code == 1
    assert said.err == "1 of 2 not changed."
    lines = said.out.splitlines()
    assert lines[0].startswith(
        f"{str(ended.pk)[:18]} Import: not changed, is failed: cannot pause it. That needs one of"
    )
    assert lines[1] == f"{str(waiting.pk)[:18]} Import: paused"
    assert status(waiting) == "paused"


def test_verbs_speak_json() -> None:
    ended, waiting = failed(), Import.enqueue("b.csv")
    said = say("pause", ended.pk, waiting.pk, "--json")
    assert said.code == 1
    assert list(said.document) == ["verb", "continuations", "more"]
    assert (said.document["verb"], said.document["more"]) == ("pause", False)
    first, second = said.document["continuations"]
    assert first["message"].startswith("not changed, is failed: cannot pause it.")
    assert (first["status"], first["changed"]) == ("failed", False)
    assert second == {
        "id": str(waiting.pk),
        "job": "tests.test_command_line.Import",
        "status": "paused",
        "changed": True,
        "message": "paused",
    }


def test_a_step_that_was_never_met_is_refused() -> None:
    row = failed()
    said = say("rerun", row.pk, "--from", "lode")
    assert said.code == 1
    assert "not changed, has no step 'lode'; its steps: 'check', 'load'" in said.out


def test_what_was_deleted_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Import.enqueue("a.csv")
    found = selection.with_ids([str(row.pk)])
    row.delete()
    monkeypatch.setattr("continuations.console.verbs.with_ids", lambda texts: found)
    said = say("pause", found[0].pk)
    assert (said.code, said.err) == (1, "1 of 1 not changed.")
    assert f"not changed, there is no continuation {found[0].pk}" in said.out


def test_who_asks_is_the_user_of_the_system_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    row = Import.enqueue("a.csv")
    say("pause", row.pk, "--reason", "too busy")
    row.refresh_from_db()
    assert (row.request_by, row.request_reason) == ("ana", "too busy")
    say("resume", row.pk, "--by", "ben")
    row.refresh_from_db()
    assert (row.request_by, row.request_reason) == ("ben", "")


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert options.user() == f"uid {os.getuid()}"


def test_force_takes_away_what_did_not_heed_a_request() -> None:
    row = interrupted()
    Continuation.objects.update(status=Status.PAUSING, requested_at=timezone.now() - dt.timedelta(minutes=6))
    assert say("pause", row.pk).code == 1
    assert say("pause", row.pk, "--force").out.endswith(": paused\n")
    assert status(row) == "paused"


def test_a_follow_up_is_run_again() -> None:
    moods[:] = [refuse]
    row = Follows.enqueue()
    run_enqueued()
    said = say("follow-up", row.pk)
    assert said.code == 1
    assert said.out.endswith("not changed, its on_success failed again: RuntimeError: nobody home\n")
    moods[:] = [lambda: None]
    assert say("follow-up", "--all", "--job", "Follows", "--yes").out.endswith(" Follows: followed up\n")
    row.refresh_from_db()
    assert row.follow_up_failed_at is None
    assert say("follow-up", row.pk).code == 1


def test_an_error_of_the_verb_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Continuation, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Continuation, "pause", broken)
    with pytest.raises(ZeroDivisionError):
        say("pause", Import.enqueue("a.csv").pk)


def test_a_database_that_does_not_answer_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Continuation, **options: object) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(Continuation, "pause", away)
    said = say("pause", Import.enqueue("a.csv").pk)
    assert (said.code, said.err) == (1, "The database did not answer: server closed the connection")


# Many at once


def test_a_verb_for_all_needs_all_to_be_said() -> None:
    row = failed()
    for arguments in ([], ["--state", "failed"]):
        said = say("retry", *arguments)
        assert (said.code, said.err) == (
            2,
            "Which ones? Give ids, or filters and --all, which means all that they match.",
        )
    for arguments in ([row.pk, "--all"], [row.pk, "--state", "failed"]):
        said = say("retry", *arguments)
        assert (said.code, said.err) == (2, "Give ids, or --all with filters, not both.")
    said = say("retry", "--all", "--yes")
    assert said.code == 2
    assert said.err == "--all needs a filter: --state, --job, --queue, --key, --attention, --older-than."
    assert status(row) == "failed"


def test_a_verb_for_all_takes_only_what_it_is_for() -> None:
    rows = [failed(), failed(Mail)]
    other = Import.enqueue("b.csv")
    said = say("retry", "--all", "--job", "tests.", "--yes")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == [str(row.pk)[:18] for row in rows]
    assert {status(row) for row in rows} == {"enqueued"}
    other.refresh_from_db()
    assert other.requested_at is None


def test_a_verb_for_all_that_its_filters_rule_out_is_an_error() -> None:
    said = say("retry", "--all", "--state", "paused", "--state", "succeeded", "--yes")
    assert (said.code, said.err) == (2, "retry is for what is failed; not paused, succeeded.")
    said = say("pause", "--all", "--state", "pausing", "--yes")
    assert said.code == 2


def test_force_is_for_what_was_asked_already() -> None:
    rows = [interrupted(), interrupted()]
    for row, state in zip(rows, (Status.PAUSING, Status.CANCELLING), strict=True):
        old = timezone.now() - dt.timedelta(minutes=6)
        Continuation.objects.filter(pk=row.pk).update(status=state, requested_at=old)
    assert say("pause", "--all", "--state", "pausing", "--force", "--yes").code == 0
    assert say("cancel", "--all", "--state", "cancelling", "--force", "--yes").code == 0
    assert [status(row) for row in rows] == ["paused", "cancelled"]


def test_a_verb_for_all_is_bounded_and_begins_with_the_oldest() -> None:
    rows = [Import.enqueue(str(number)) for number in range(3)]
    said = say("pause", "--all", "--job", "Import", "--limit", 2, "--yes")
    assert said.err == "There are more than 2: call it again, or see --limit.\n"
    assert [status(row) for row in rows] == ["paused", "paused", "enqueued"]
    said = say("pause", "--all", "--job", "Import", "--limit", 2, "--yes", "--json")
    assert (said.ids, said.document["more"]) == ([str(rows[2].pk)], False)
    said = say("resume", *(row.pk for row in rows), "--limit", 2)
    assert (said.code, said.err) == (2, "3 ids are more than 2: see --limit.")


def test_a_verb_for_all_of_nothing_says_so() -> None:
    said = say("retry", "--all", "--attention", "--yes")
    assert (said.out, said.err, said.code) == ("", "No continuation matches.\n", 0)


class Person(io.StringIO):
    """A terminal that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "code"),
    [("y\n", 0), ("YES\n", 0), ("\n", 1), ("no\n", 1), ("", 1)],
)
def test_a_verb_for_all_asks_first(monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    rows = [Import.enqueue("a.csv"), Import.enqueue("b.csv"), Mail.enqueue("c.csv")]
    monkeypatch.setattr(sys, "stdin", Person(answer))
    said = say("cancel", "--all", "--job", "tests.", "--json")
    assert said.code == code
    assert said.err.startswith(
        "cancel 3: 2 tests.test_command_line.Import, 1 tests.test_command_line.Mail.\n"
        "Each ends, with its unfinished children. What they did stays done.\n"
        "Go on? [y/N] "
    )
    if code:
        assert said.out == ""
        assert said.err.endswith("Nothing was changed.")
    else:
        assert len(said.ids) == 3
    assert {status(row) for row in rows} == {"enqueued" if code else "cancelled"}


def test_where_nobody_can_be_asked_yes_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    row = failed()
    for stdin in (io.StringIO("y\n"), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        said = say("retry", "--all", "--state", "failed")
        assert (said.code, said.err) == (2, "1 match, and nobody is there to be asked: add --yes.")
    assert status(row) == "failed"


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("67543", 67543),
        ("null", None),
        ('"abc"', "abc"),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('{"$": "tuple", "v": ["a", 3]}', ("a", 3)),
        ('{"$": "date", "v": "2024-02-29"}', dt.date(2024, 2, 29)),
    ],
)
def test_a_value_is_plain_json_or_what_is_stored(text: str, value: Any) -> None:
    row = interrupted()
    assert say("set-cursor", row.pk, "load", text).code == 0
    assert row.steps.get(name="load").cursor == value
    assert say("send", row.pk, "news", text).code == 0
    event = row.events.get()
    assert options.value(event.payload_json or "null") == value


def test_an_event_wakes_what_waits_for_it() -> None:
    row = Approve.enqueue()
    run_enqueued()
    said = say("send", row.pk, "approval", '{"by": "ada"}')
    assert said.out == f"{str(row.pk)[:18]} Approve: event approval sent; enqueued\n"
    said = say("send", row.pk, "approval")
    assert said.out.endswith(': event approval had come before, and that one counts: {"by": "ada"}\n')
    assert run_until_finished(row).result == {"by": "ada"}


def test_an_event_after_the_end_is_refused() -> None:
    row = Approve.enqueue()
    row.cancel()
    said = say("send", row.pk, "approval")
    assert said.code == 1
    assert "not changed, is cancelled: nothing will wait for event 'approval' any more." in said.out


def test_an_event_needs_a_name() -> None:
    said = say("send", Approve.enqueue().pk, " ")
    assert said.code == 2
    assert "is no name of an event: expected 1 to 200 characters" in said.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{bad", "'{bad' is not JSON (Expecting property name"),
        (
            "abc",
            """(Expecting value: line 1 column 1 (char 0)). A text needs quotes of its own: '"abc"'.""",
        ),
        ('{"$": "foo", "v": 3}', "is not what this codec writes ('foo'). Expected plain JSON, or what is stored"),
        ('{"$": "date", "v": "2024-02-30"}', "day is out of range"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_value_that_cannot_be_read_says_what_was_expected(text: str, message: str) -> None:
    row = interrupted()
    for arguments in (["set-cursor", row.pk, "load", text], ["send", row.pk, "news", text]):
        with pytest.raises(CommandError) as caught:
            call_command("continuations", *map(str, arguments))
        assert message in str(caught.value)
    assert row.steps.get(name="load").cursor == 3


def test_a_cursor_of_another_type_is_remarked_on() -> None:
    row = interrupted()
    assert say("set-cursor", row.pk, "load", 4).err == ""
    said = say("set-cursor", row.pk, "load", '"4"')
    assert said.err == "Was that meant? The cursor was an int and is a str now. To put it back: 4\n"
    said = say("set-cursor", row.pk, "load", '{"$": "tuple", "v": [4]}')
    assert "was a str and is a tuple now" in said.err
    said = say("set-cursor", row.pk, "load", "[4]")
    assert said.err.endswith('was a tuple and is a list now. To put it back: {"$": "tuple", "v": [4]}\n')


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", dt.timedelta(seconds=90)),
        ("15m", dt.timedelta(minutes=15)),
        ("1h30m", dt.timedelta(hours=1, minutes=30)),
        ("2d", dt.timedelta(days=2)),
        ("1w", dt.timedelta(weeks=1)),
    ],
)
def test_an_age_has_a_unit(text: str, length: dt.timedelta) -> None:
    assert options.age(text) == length


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "2y", "2hm", "9" * 30 + "w"])
def test_an_age_that_is_none_is_said_to_be_none(text: str) -> None:
    with pytest.raises(CommandError, match=r"is no length of time|longer than time is counted|expected one argument"):
        call_command("continuations", "list", "--older-than", text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "100001", "²"])
def test_a_limit_is_a_number_that_is_not_too_large(text: str) -> None:
    with pytest.raises(CommandError, match=r"expected a whole number from 1 to 100000|expected one argument"):
        call_command("continuations", "list", "--limit", text)


def test_options_cannot_be_shortened() -> None:
    """A script must not mean --all where it says --al."""
    with pytest.raises(CommandError, match="unrecognized arguments: --al"):
        call_command("continuations", "retry", "--al", "--state", "failed")


# Tables and times


def test_a_table_leaves_out_columns_without_content_and_aligns_numbers() -> None:
    columns = [table.Column("A"), table.Column("EMPTY"), table.Column("N", right=True), table.Column("LAST")]
    rows = [["x", "", "5", "end"], ["xyz", "", "1234", ""]]
    assert list(table.lines(columns, rows)) == ["A       N  LAST", "x       5  end", "xyz  1234"]


def test_a_table_shrinks_its_widest_columns_first_and_no_further_than_they_bear() -> None:
    columns = [table.Column("FIXED"), table.Column("A", least=4), table.Column("B", least=6)]
    rows = [["f" * 10, "a" * 8, "b" * 30]]
    assert list(table.lines(columns, rows, 40))[1] == f"{'f' * 10}  {'a' * 8}  {'b' * 17}…"
    assert list(table.lines(columns, rows, 26))[1] == f"{'f' * 10}  {'a' * 5}…  bbbbb…"
    assert list(table.lines(columns, rows, 10))[1] == f"{'f' * 10}  aaa…  bbbbb…"


def test_wide_characters_take_two_columns() -> None:
    assert terminal.width("日本") == 4
    assert terminal.width("e\u0301") == 1
    assert terminal.clip("日本語", 5) == "日本…"
    assert terminal.clip("日本語", 6) == "日本語"
    columns = [table.Column("A"), table.Column("B")]
    assert list(table.lines(columns, [["日", "x"], ["abc", "y"]])) == ["A    B", "日   x", "abc  y"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.6, "1s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (200_000, "2d"),
        (10**7, "16w"),
    ],
)
def test_an_age_in_a_table_has_one_unit(seconds: float, text: str) -> None:
    assert times.age_of(dt.timedelta(seconds=seconds)) == text


def test_times_are_in_the_time_zone_of_the_project() -> None:
    moment = dt.datetime(2026, 1, 2, 23, 30, tzinfo=dt.UTC)
    assert times.full(moment) == "2026-01-03 00:30:00 CET"
    assert times.clock(moment) == "01-03 00:30:00"
    assert times.full(dt.datetime(2026, 1, 2, 23, 30)) == "2026-01-02 23:30:00"


class Latin(io.StringIO):
    encoding = "latin-1"


def test_what_the_terminal_cannot_write_is_escaped() -> None:
    row = failed()
    Continuation.objects.filter(pk=row.pk).update(error_message="日\ud800".encode("utf-8", "ignore").decode() + "é")
    out = Latin()
    call_command("continuations", "list", stdout=out)
    assert "KeyError: \\u65e5é" in out.getvalue()
    out.getvalue().encode("latin-1")


# The command as a process


def run(*arguments: object, environ: dict[str, str] | None = None, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """`python -m django continuations ...`."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "django", "continuations", *map(str, arguments)],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
            **(environ or {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
        **kwargs,
    )


@pytest.mark.django_db(transaction=True)
def test_exit_codes_tell_what_was_refused_from_what_was_not_understood() -> None:
    row = Import.enqueue("a.csv")
    row.cancel()
    for arguments, code, message in [
        (["list", "--state", "cancelled"], 0, ""),
        (["show", row.pk], 0, ""),
        (["cancel", row.pk], 1, "CommandError: 1 of 1 not changed."),
        (["show", "ffff0000"], 2, "CommandError: There is no continuation ffff0000."),
        (["list", "--state", "bad"], 2, "argument --state: invalid choice: 'bad'"),
        (["send", row.pk, "news", "{bad"], 2, "argument JSON: '{bad' is not JSON"),
        (["retry", "--all", "--state", "failed", "--limit", "0"], 2, "argument --limit: '0': expected a whole number"),
        ([], 2, "the following arguments are required: VERB"),
    ]:
        done = run(*arguments)
        assert done.returncode == code, (arguments, done)
        assert message in done.stderr
        assert bool(done.stdout) == (code < 2)


@pytest.mark.django_db(transaction=True)
def test_options_of_django_may_come_after_the_verb() -> None:
    Import.enqueue("a.csv")
    done = run(
        "list", "--settings", "tests.settings", "--no-color", "-v", "0", environ={"DJANGO_SETTINGS_MODULE": "nowhere"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Import" in done.stdout


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    Continuation.objects.bulk_create(
        Continuation(job_path=f"shop.{'x' * 200}", arguments_json="[[],{}]") for _ in range(500)
    )
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": database_url()}
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "continuations", "list", "--limit", "500"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"ID")
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def in_a_terminal(*arguments: str, environ: dict[str, str]) -> str:
    """What the command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as reader:
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "continuations", *arguments],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": database_url(), **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        written = b""
        try:
            while chunk := reader.read(4096):
                written += chunk
        except OSError:
            # Linux says so when the other end is closed.
            pass
        assert process.wait(60) == 0, written
    return written.decode()


@pytest.mark.django_db(transaction=True)
def test_only_a_terminal_gets_colours_and_not_if_it_wants_none() -> None:
    failed()
    assert "\x1b[" not in run("list").stdout
    environ = {"TERM": "xterm", "DJANGO_COLORS": "dark"}
    assert "\x1b[" in in_a_terminal("list", environ=environ)
    assert "\x1b[" not in in_a_terminal("list", "--no-color", environ=environ)
    assert "\x1b[" in run("list", "--force-color", environ=environ).stdout


@pytest.mark.workers
@pytest.mark.django_db(transaction=True)
def test_a_real_job_is_steered_from_the_command_line(redis_url: str, start_worker: Callable[..., Worker]) -> None:
    environ = {"REDIS_URL": redis_url, "TEST_DELIVERY": "continuations.delivery.RQDelivery"}

    def command(*arguments: object) -> str:
        done = run(*arguments, environ=environ)
        assert done.returncode == 0, done
        assert done.stderr == ""
        return done.stdout

    def document(*arguments: object) -> Any:
        return json.loads(command(*arguments, "--json"))

    continuation = jobs.Count.enqueue("a", 5000, 0.02)
    assert facts(command("show", continuation.pk))["worker"] == "No worker listens on queue default."
    worker = start_worker("default", worker_class=None)
    eventually(lambda: StepRecord.objects.filter(name="count", processed__gt=3).exists(), worker.output)

    (listed,) = document("list", "--state", "running", "--job", "tests.shop.")["continuations"]
    assert listed["id"] == str(continuation.pk)
    shown = document("show", continuation.pk)
    assert (shown["moving"], shown["owner"]) == (True, 1)
    assert shown["executions"][0]["worker"]
    assert command("pause", continuation.pk, "--by", "ana").endswith(": pausing: it stops at its next checkpoint\n")
    eventually(lambda: status(continuation) == "paused", worker.output)

    cursor = document("show", continuation.pk)["steps"][-1]["cursor"]
    assert 3 < cursor < 4995
    command("set-cursor", continuation.pk, "count", 4995)
    command("resume", "--all", "--state", "paused", "--yes")
    eventually(lambda: status(continuation) == "succeeded", worker.output)
    shown = document("show", continuation.pk)
    assert shown["result"] == 5000
    assert [run["cursor_before"] for run in shown["executions"]] == [4995, None]
    assert shown["executions"][1]["reason"] == "paused"


# What the docs say

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "command-line.md").read_text()


def keys_of(document: Any) -> set[str]:
    """All keys of a document, without those of stored values."""
    if isinstance(document, list):
        return set().union(*map(keys_of, document))
    if not isinstance(document, dict):
        return set()
    values = {"arguments", "attributes", "result", "payload", "cursor", "cursor_before", "cursor_after"}
    inner = [value for name, value in document.items() if name not in values | {"children_by_status"}]
    return set(document).union(*map(keys_of, inner))


def test_the_docs_name_every_key_of_every_document() -> None:
    """docs/command-line.md"""
    parent = Family.enqueue()
    parent.send("news", 5)
    run_enqueued(Family)
    row = failed()
    row.retry(by="ana")
    with pytest.raises(KeyError):
        run_enqueued(Import)
    documents = [say("list", "--json").document, say("show", row.pk, "--json").document]
    documents += [say("show", parent.pk, "--json").document, say("pause", parent.pk, "--json").document]
    keys = keys_of(documents)
    assert {"recommended", "message", "crashes_in_a_row", "sent_at", "by"} <= keys
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()


def test_the_docs_name_every_verb_and_option() -> None:
    """docs/command-line.md"""
    parser = Command().create_parser("manage.py", "continuations")
    verbs = next(action for action in parser._actions if action.dest == "verb").choices
    assert isinstance(verbs, dict)
    assert list(verbs) == re.findall(r"^\| `([\w-]+)", PAGE.partition("## ")[0], flags=re.MULTILINE)
    for name, verb in verbs.items():
        hidden = {"--help", "--noinput"}
        for action in verb._actions:
            if action.help != argparse.SUPPRESS:
                options = {each for each in action.option_strings if each.startswith("--")} - hidden
                assert {each for each in options if each not in PAGE} == set(), name
