"""The plain admin: continuations with their steps and executions, to look at and not to touch."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from continuations import ContinuableJob, Step
from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued, run_until_finished

pytestmark = pytest.mark.django_db

LIST = "/admin/continuations/continuation/"


class Import(ContinuableJob):
    def perform(self, path: str) -> str:
        self.step("check", lambda: None)
        self.step("load", self.load)
        return "all fine"

    def load(self, step: Step) -> None:
        for _ in step.iterate(range(7000, 7003)):
            pass


class Broken(ContinuableJob):
    def perform(self) -> None:
        self.step("load", lambda step: step.set("cursor <b>here</b>"))
        self.step("break", self.fail)

    def fail(self) -> None:
        raise ValueError("no <script>luck</script>")

    resume_errors_after_advancing = False


@pytest.fixture
def finished() -> Continuation:
    with interrupt_during(Import, "load", 2, reason="tea time"):
        return run_until_finished(Import.enqueue("airports.csv"))


@pytest.fixture
def failed() -> Continuation:
    continuation = Broken.enqueue()
    with pytest.raises(ValueError):
        run_enqueued()
    return continuation


def url(continuation: Continuation, view: str = "change") -> str:
    return reverse(f"admin:continuations_continuation_{view}", args=[continuation.pk])


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_shows_continuations(admin_client: Client, finished: Continuation, failed: Continuation) -> None:
    text = page(admin_client, LIST)
    for each in (finished, failed):
        assert str(each.pk) in text
    assert "Import" in text
    assert "succeeded" in text
    assert "failed" in text


def test_the_list_can_be_filtered_by_status(admin_client: Client, finished: Continuation, failed: Continuation) -> None:
    text = page(admin_client, f"{LIST}?status__exact=failed")
    assert str(failed.pk) in text
    assert str(finished.pk) not in text


def test_the_page_of_a_finished_continuation_shows_steps_and_executions(
    admin_client: Client, finished: Continuation
) -> None:
    text = page(admin_client, url(finished))
    for expected in ("airports.csv", "all fine", "check", "load", "tea time", "succeeded", "interrupted"):
        assert expected in text


def test_the_page_of_a_failed_continuation_shows_its_error(admin_client: Client, failed: Continuation) -> None:
    text = page(admin_client, url(failed))
    assert "ValueError" in text
    assert "Traceback (most recent call last)" in text
    assert "no &lt;script&gt;luck&lt;/script&gt;" in text
    assert "cursor &lt;b&gt;here&lt;/b&gt;" in text
    assert "<script>luck" not in text


def test_the_page_of_a_continuation_that_never_ran_renders(admin_client: Client) -> None:
    assert "enqueued" in page(admin_client, url(Import.enqueue("x")))


def test_the_page_renders_when_the_job_class_is_gone(admin_client: Client) -> None:
    continuation = Import.enqueue("x")
    Continuation.objects.update(job_path="nowhere.Gone", arguments_json="{")
    assert "nowhere.Gone" in page(admin_client, url(continuation))


def test_nothing_on_the_page_can_be_edited(admin_client: Client, finished: Continuation) -> None:
    text = page(admin_client, url(finished))
    assert 'name="_save"' not in text
    assert "<textarea" not in text
    assert '<input type="text"' not in text
    assert "<select" not in text


def test_a_post_to_the_page_is_refused_and_changes_nothing(admin_client: Client, finished: Continuation) -> None:
    response = admin_client.post(url(finished), {"status": "failed", "queue_name": "slow"})
    assert response.status_code == 403
    finished.refresh_from_db()
    assert (finished.status, finished.queue_name) == ("succeeded", "default")


def test_nothing_can_be_added(admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}add/", {"job_path": "x"}).status_code == 403


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("sam", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_who_may_view_continuations_sees_their_parts(client: Client, finished: Continuation) -> None:
    text = page(staff(client, "view_continuation"), url(finished))
    assert "check" in text
    assert "tea time" in text


def test_who_may_not_view_continuations_sees_nothing(client: Client, finished: Continuation) -> None:
    assert staff(client).get(url(finished)).status_code == 403


def test_the_list_takes_the_same_number_of_queries_for_any_number_of_rows(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        Import.enqueue(str(number))
    with django_assert_max_num_queries(6):
        page(admin_client, LIST)


def test_the_page_takes_the_same_number_of_queries_for_any_number_of_executions(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    continuation = Import.enqueue("x")
    for cursor in (1, 2, 3):
        with interrupt_during(Import, "load", cursor):
            run_enqueued()
    run_until_finished(continuation)
    with django_assert_max_num_queries(7):
        page(admin_client, url(continuation))
