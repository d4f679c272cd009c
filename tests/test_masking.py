"""`sensitive`: what a class names is masked wherever values are shown."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from continuations import ContinuableJob, Step
from continuations.masking import MASK, hide, mask, secrets_in, sensitive_names
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
