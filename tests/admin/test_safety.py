"""Every page, in every state: nothing inline for a policy to forbid, and nothing stored is ever markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from continuations.admin import verbs
from continuations.models import Continuation, Event, Execution, StepRecord

from . import states
from .jobs import Hostile, Parent
from .pages import LIST, act, address

pytestmark = pytest.mark.django_db

ENEMY = """</script><script>alert('x')</script>"'><img src=x onerror=alert(1)>{{ 7|add:1 }}%s%(x)s{0}"""
INLINE = re.compile(r"<style|<[^>]*\sstyle\s*=|<script(?![^>]*\ssrc=)|<[^>]*\son\w+\s*=", re.IGNORECASE)
QUOTED = re.compile(r"""=("[^"]*"|'[^']*')""")


def inline_in(source: str) -> str | None:
    """What a policy would forbid. What stands in quoted attributes is text, but for a link to a script."""
    links = re.search(r"""(?:href|src|action)=["']\s*javascript:""", source, re.IGNORECASE)
    found = links or INLINE.search(QUOTED.sub("=''", source))
    return None if found is None else found[0]


def pages_of(client: Client, row: Continuation) -> dict[str, str]:
    """Everything the admin renders of it."""
    found = {
        "list": client.get(LIST),
        "filtered": client.get(f"{LIST}?attention=yes&q={row.job_name}"),
        "page": client.get(address(row)),
        "live": client.get(address(row, "live")),
        "history": client.get(address(row, "history")),
        "delete": client.get(address(row, "delete")),
        "bulk": act(client, "cancel_selected", row),
        "bulk again": act(client, "send_to_selected", row, confirmed="yes", name="", payload=ENEMY),
    }
    for verb in verbs.ALL:
        asked = client.get(address(row, "verb", verb.slug), {"reason": ENEMY, "step": "load"}, follow=True)
        found[verb.slug] = asked
        wrong = {"confirmed": "yes", "reason": "x" * 300, "cursor": ENEMY, "name": ENEMY * 5, "payload": ENEMY}
        found[f"{verb.slug}, wrong"] = client.post(address(row, "verb", verb.slug), wrong, follow=True)
    for name, response in found.items():
        assert response.status_code == 200, name
    return {name: response.content.decode() for name, response in found.items()}


@pytest.mark.parametrize("state", states.STATES)
def test_no_page_has_an_inline_script_or_style(admin_client: Client, state: Any) -> None:
    row = state()
    for name, source in pages_of(admin_client, row).items():
        assert inline_in(source) is None, name


def test_what_is_inline_would_be_found() -> None:
    for source in (
        '<p style="x">',
        "<style>",
        "<script>",
        "<script defer>",
        '<a onclick="x">',
        '<a href="javascript:x">',
    ):
        assert inline_in(source), source
    for source in ('<script src="x.js" defer></script>', "<p>on = off</p>", '<svg width="3" class="style">'):
        assert inline_in(source) is None, source


def hostile() -> Continuation:
    """Every text that a job, a person or an enemy can store."""
    row = states.once(Hostile.enqueue(ENEMY))
    assert row.status == "failed"
    StepRecord.objects.filter(continuation=row, name="fail").update(
        attributes_json=f'{{"{ENEMY[:9]}": "{ENEMY[9:20]}"}}', result_json=f'"{ENEMY[:30]}', cursor_json=ENEMY
    )
    Execution.objects.update(worker=ENEMY, host=ENEMY, reason=ENEMY[:100], outcome=ENEMY[:12])
    Event.objects.create(continuation=row, name=ENEMY, payload_json=ENEMY)
    Continuation.objects.update(
        queue_name=ENEMY[:100],
        key=ENEMY,
        waiting_for=ENEMY,
        request_by=ENEMY[:150],
        request_reason=ENEMY,
        context={ENEMY: ENEMY},
        follow_up_error=ENEMY,
        result_json=f'"{ENEMY}',
        error_class=ENEMY,
    )
    row.refresh_from_db()
    return row


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("status", ["failed", "paused", "waiting", "succeeded", "running", "interrupted", "pausing"])
def test_nothing_that_is_stored_is_ever_markup(admin_client: Client, status: str) -> None:
    row = hostile()
    Continuation.objects.update(status=status)
    for name, source in pages_of(admin_client, row).items():
        tags = Tags()
        tags.feed(source)
        scripts = [attributes.get("src") for tag, attributes in tags.found if tag == "script"]
        assert all(src and src.startswith(("/static/", "/admin/jsi18n/")) for src in scripts), (name, scripts)
        assert not [attributes for tag, attributes in tags.found if attributes.get("src") == "x"], name
        assert not [attributes for _, attributes in tags.found if any(key.startswith("on") for key in attributes)], name
        assert "<script>alert" not in source, name
        assert not re.search(r"\}\}8|8%s", source), name


def test_a_hostile_child_is_text_on_the_page_of_its_parent(admin_client: Client) -> None:
    parent = states.once(Parent.enqueue(1))
    parent.children.update(job_path=f"nowhere.{ENEMY}")
    source = admin_client.get(address(parent)).content.decode()
    assert "<script>alert" not in source
    assert "&lt;script&gt;alert" in source


def test_a_hostile_class_is_text_in_the_list(admin_client: Client) -> None:
    Continuation.objects.update(job_path=f"nowhere.{ENEMY}")
    states.enqueued()
    Continuation.objects.update(job_path=f"nowhere.{ENEMY}")
    for where in (LIST, f"{LIST}?job={ENEMY.replace('%', '%25').replace('&', '%26')}", f"{LIST}?q={ENEMY[:20]}"):
        source = admin_client.get(where).content.decode()
        assert "<script>alert" not in source
        assert inline_in(source) is None
