"""`sensitive`: what a class names is masked wherever values are shown."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.core.management import call_command

from continuations import ContinuableJob, Step
from continuations.masking import MASK, conceal, hide, mask, secrets_in, sensitive_names
from continuations.testing import interrupt_during, run_enqueued

TOKEN = frozenset({"token"})


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"token": "abc", "page": 3}, {"token": MASK, "page": 3}),
        ({"a": [{"token": {"deep": 1}}]}, {"a": [{"token": MASK}]}),
        (({"Token": 5}, 1), ({"Token": MASK}, 1)),
        (
            {"$": "dict", "v": [["token", 1], [2, {"token": 3}]]},
            {"$": "dict", "v": [["token", MASK], [2, {"token": MASK}]]},
        ),
        ({"$": "tuple", "v": [{"token": 3}]}, {"$": "tuple", "v": [{"token": MASK}]}),
        ("token", "token"),
        (7, 7),
    ],
)
def test_what_stands_under_a_sensitive_name_is_masked_however_deep(value: Any, masked: Any) -> None:
    assert mask(value, TOKEN) == masked


def test_without_names_a_value_stays_what_it_is() -> None:
    value = {"token": "abc"}
    assert mask(value, frozenset()) is value


def test_secrets_are_the_texts_that_were_masked_and_can_be_recognised() -> None:
    value = {"token": {"key": "hunter22", "n": 123456, "short": "abc"}, "name": "visible"}
    assert secrets_in(value, TOKEN) == {"hunter22", "123456"}


def test_secrets_in_a_dict_of_pairs_are_found() -> None:
    assert secrets_in([{"$": "dict", "v": [["token", "hunter22"], [1, "visible"]]}], TOKEN) == {"hunter22"}


def test_a_secret_is_hidden_in_a_text_the_longer_one_first() -> None:
    assert hide("401 for hunter22-long and hunter22", {"hunter22", "hunter22-long"}) == f"401 for {MASK} and {MASK}"


class Parent(ContinuableJob):
    sensitive = ("Token",)

    def perform(self) -> None: ...


class Child(Parent):
    sensitive = ("password",)


def test_a_subclass_cannot_forget_what_its_base_names() -> None:
    assert sensitive_names(Child) == {"token", "password"}


class Pages(ContinuableJob):
    sensitive = ("token",)

    def perform(self) -> None:
        self.step(self.load)

    def load(self, step: Step) -> None:
        for page in range(3):
            step.set({"token": "hunter22", "page": page})


@pytest.mark.django_db
def test_a_sensitive_part_of_a_cursor_is_in_no_log_line_and_in_no_field_of_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "continuations")
    Pages.enqueue()
    with interrupt_during(Pages, "load", {"token": "hunter22", "page": 1}):
        run_enqueued()
    run_enqueued()
    interrupted = next(record for record in caplog.records if "interrupted" in record.message)
    assert interrupted.cursor == {"token": MASK, "page": 1}  # type: ignore[attr-defined]
    assert "'page': 1" in interrupted.message
    assert not any("hunter22" in str(vars(record)) for record in caplog.records)


class Login(ContinuableJob):
    sensitive = ("token",)
    resume_errors_after_advancing = False

    def perform(self, name: str, token: str, *tokens: str, **options: Any) -> None:
        self.step("load", lambda step: step.set({"token": "hunter22", "page": 1}))
        raise ValueError(f"no {token}")


@pytest.mark.django_db
def test_what_is_shown_can_be_concealed_where_it_was_read() -> None:
    row = Login.enqueue("ana", "hunter22", "x", token2="visible", nested={"token": "hunter23"})
    with pytest.raises(ValueError):
        run_enqueued()
    row.refresh_from_db()
    step, execution = row.steps.get(), row.execution_records.get()
    conceal(row, step, execution)
    assert row.arguments == (("ana", MASK, "x"), {"token2": "visible", "nested": {"token": MASK}})
    assert step.cursor == {"token": MASK, "page": 1}
    assert row.error_message == execution.error_message == f"no {MASK}"
    assert f"ValueError: no {MASK}" in row.error_traceback
    for each in (row, step, execution):
        assert "hunter2" not in str(vars(each))


@pytest.mark.django_db
def test_everything_is_concealed_where_nobody_knows_what_is_sensitive() -> None:
    row = Login.enqueue("ana", "hunter22")
    row.job_path = "nowhere.Gone"
    conceal(row)
    assert row.arguments_json == f'"{MASK}"'


@pytest.mark.django_db
def test_nothing_is_concealed_where_nothing_is_sensitive() -> None:
    row = Open.enqueue("ana")
    before = row.arguments_json
    conceal(row)
    assert row.arguments_json is before


class Open(ContinuableJob):
    def perform(self, name: str) -> None: ...


@pytest.mark.django_db
def test_the_command_line_masks_what_is_sensitive(capsys: pytest.CaptureFixture[str]) -> None:
    row = Login.enqueue("ana", "hunter22")
    with pytest.raises(ValueError):
        run_enqueued()
    for arguments in (["show", str(row.pk)], ["show", str(row.pk), "--json"]):
        call_command("continuations", *arguments)
        said = capsys.readouterr().out
        assert MASK in said or json.dumps(MASK)[1:-1] in said
        assert "hunter22" not in said


class Defaulted(ContinuableJob):
    """Its secret is given nowhere but in its signature."""

    sensitive = ("token",)

    def perform(self, page: int = 1234, token: str = "hunter22") -> None:
        raise ValueError(f"page {page} says no to {token}")


@pytest.mark.django_db
def test_the_default_of_a_sensitive_argument_is_hidden_in_an_error() -> None:
    row = Defaulted.enqueue()
    with pytest.raises(ValueError, match="hunter22"):
        run_enqueued()
    row.refresh_from_db()
    conceal(row)
    assert row.error_message == f"page 1234 says no to {MASK}"
    assert "hunter22" not in row.error_traceback
