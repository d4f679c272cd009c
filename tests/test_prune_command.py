"""`manage.py prune_continuations`."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from continuations.management.commands.prune_continuations import period
from continuations.models import Continuation
from tests.shop.models import Receipt
from tests.test_retention import DAY, left, row

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def prune(*arguments: str, out: io.StringIO | None = None, **options: Any) -> str:
    out = out or io.StringIO()
    call_command("prune_continuations", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90m", dt.timedelta(minutes=90)), ("12h", dt.timedelta(hours=12)), ("30d", 30 * DAY), ("8w", 56 * DAY)],
)
def test_ages(text: str, expected: dt.timedelta) -> None:
    assert period(text) == expected


@pytest.mark.parametrize("text", ["30", "d", "-3d", "1y", "3.5d", "30 d", "999999d", ""])
def test_what_is_no_age_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(CommandError, match="such as 30d"):
        prune(f"--older-than={text}")


def test_old_ones_go_and_the_command_says_how_many() -> None:
    young = row(age=29 * DAY)
    row()
    row("cancelled")
    assert prune("--older-than", "30d") == "2 continuations pruned.\n"
    assert left() == {young.pk}


def test_only_the_named_states_go() -> None:
    for status in ("succeeded", "failed", "cancelled"):
        row(status)
    prune("--older-than", "30d", "--state", "failed", "--state", "cancelled")
    assert Continuation.objects.get().status == "succeeded"


def test_a_dry_run_tells_and_deletes_nothing() -> None:
    row("cancelled")
    for _ in range(2):
        row()
    before = left()
    assert prune("--older-than", "30d", "--dry-run").splitlines() == [
        "        1 cancelled",
        "        2 succeeded",
        "3 continuations to prune.",
    ]
    assert left() == before


def test_without_an_age_the_setting_says(settings: Any) -> None:
    row("failed")
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "RETENTION": {"failed": 50 * DAY}}
    assert prune() == "0 continuations pruned.\n"
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "RETENTION": {"failed": 30 * DAY}}
    assert prune() == "1 continuations pruned.\n"


def test_with_no_age_at_all_nothing_goes() -> None:
    row()
    with pytest.raises(CommandError, match=r"--older-than 30d, or set CONTINUATIONS\[\"RETENTION\"\]"):
        prune()
    with pytest.raises(CommandError, match="--state needs --older-than"):
        prune("--state", "failed")
    assert left()


def test_a_terminal_sees_a_bar() -> None:
    row()
    row("cancelled")
    shown = prune("--older-than", "30d", out=Terminal())
    assert shown.split("\r")[1:] == [
        "[###############               ] 1 of 2",
        "[##############################] 2 of 2\n2 continuations pruned.\n",
    ]


def test_a_quiet_run_says_nothing() -> None:
    row()
    assert prune("--older-than", "30d", out=Terminal(), verbosity=0) == ""


def test_what_a_model_of_the_project_protects_is_named() -> None:
    Receipt.objects.create(guarded=row(finished_at=timezone.now() - 40 * DAY))
    with pytest.raises(CommandError, match=r"0 continuations pruned, then: Cannot delete .* 'Receipt\.guarded'"):
        prune("--older-than", "30d")
