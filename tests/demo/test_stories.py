"""What every story has: its card, its code, the page of a continuation, another try, and pages for errors."""

from __future__ import annotations

import datetime as dt
import inspect

import pytest
from django.template.loader import render_to_string
from django.urls import reverse

from continuations.models import Continuation
from continuations.testing import run_enqueued
from demo_project.imports.jobs import ProcessImport
from demo_project.imports.rows import FileRefusedError
from demo_project.imports.story import STORY
from demo_project.stories.progress import Progress
from demo_project.stories.registry import register, stories
from tests.shop.jobs import Count

from .airports import HEATHROW, airport, finish, import_of

pytestmark = pytest.mark.django_db


def failed_import():
    airport_import = import_of("no airport")
    with pytest.raises(FileRefusedError):
        finish(airport_import)
    return airport_import


def test_the_first_page_shows_a_card_for_each_story(client):
    html = client.get(reverse("stories:home")).content.decode()
    assert stories()
    for story in stories():
        assert f'href="{story.url}"' in html
        assert str(story.summary) in html


def test_two_stories_cannot_have_the_same_name():
    with pytest.raises(ValueError, match="'imports'"):
        register(STORY)


def test_the_code_on_a_page_is_the_code_that_runs(client):
    [shown, *_] = STORY.sources
    assert shown.text == inspect.getsource(ProcessImport).rstrip()
    path, line = shown.place.split(":")
    assert path == "demo_project/imports/jobs.py"
    assert "class ProcessImport" in inspect.getsource(inspect.getmodule(ProcessImport)).splitlines()[int(line) - 1]
    assert "step.iterate(" in client.get(STORY.url).content.decode()


def test_the_continuations_of_a_story_are_those_of_its_jobs():
    Count.enqueue("a", 1)
    airport_import = import_of(HEATHROW)
    assert [row.pk for row in STORY.continuations] == [airport_import.continuation_id]


# Another try


def test_a_failed_continuation_of_a_story_is_retried(client):
    row = failed_import().continuation
    client.post(reverse("stories:retry", args=[row.pk]))
    row.refresh_from_db()
    assert (row.status, row.request_by) == (Continuation.Status.ENQUEUED, "a visitor of the demo")


def test_what_has_not_failed_cannot_be_retried_and_the_page_says_so(client):
    row = import_of(HEATHROW).continuation
    response = client.post(reverse("stories:retry", args=[row.pk]), follow=True)
    assert "cannot retry" in response.content.decode()
    row.refresh_from_db()
    assert row.executions == 0


def test_a_continuation_that_is_no_story_is_not_found(client):
    row = Count.enqueue("a", 1)
    assert client.post(reverse("stories:retry", args=[row.pk])).status_code == 404


def test_who_is_sent_back_stays_on_this_site(client):
    url = reverse("stories:retry", args=[failed_import().continuation_id])
    assert client.post(url, headers={"referer": "http://elsewhere.example/"}).url == "/"
    own = "http://testserver/imports/1/"
    assert client.post(url, headers={"referer": own}).url == own


# One continuation


def test_a_step_that_no_execution_works_on_is_in_progress():
    airport_import = import_of(airport(1))
    run_enqueued()
    row = airport_import.continuation
    row.steps.filter(name="finalise").update(status="running")
    Continuation.objects.filter(pk=row.pk).update(status="interrupted", finished_at=None)
    progress = Progress(airport_import.continuation)
    assert "in progress" in progress.step("finalise").state
    assert progress.step("nothing") is None


def test_the_bars_fill_the_axis_and_name_how_each_execution_ended():
    row = failed_import().continuation
    [bar] = Progress(row).bars
    assert (bar.x, bar.width, bar.tone) == ("0.00%", "100.00%", "bad")
    assert bar.title.startswith("failed")


def test_a_page_that_counts_down_changes_every_second():
    row = Count.using(run_after=dt.timedelta(minutes=10)).enqueue("a", 1)
    progress = Progress(row)
    before = progress.etag
    progress.now -= dt.timedelta(seconds=1)
    assert progress.etag != before


# Errors


def test_an_unknown_page_says_what_may_have_happened(client):
    response = client.get("/imports/4711/")
    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_pages_for_errors_need_no_request_and_lead_back(name):
    html = render_to_string(name)
    assert "<h1>" in html
    assert 'href="/"' in html
