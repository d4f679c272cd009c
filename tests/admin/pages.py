"""Asking for pages of the admin as somebody with some permissions."""

from __future__ import annotations

import html
import re
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from continuations.models import Continuation

LIST = "/admin/continuations/continuation/"
ALL = ("view", "control", "retry", "edit_cursor")


def staff(*actions: str, enforce_csrf_checks: bool = False) -> Client:
    """Somebody who may sign in, and has these permissions for continuations."""
    user = User.objects.create_user("sam", password="x", is_staff=True)
    names = [f"{action}_continuation" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client(enforce_csrf_checks=enforce_csrf_checks)
    client.force_login(user)
    return client


def address(row: Continuation, view: str = "change", *more: str) -> str:
    return reverse(f"admin:continuations_continuation_{view}", args=[row.pk, *more])


def text_of(client: Client, where: str | Continuation) -> str:
    """What a page says, without its markup."""
    source = source_of(client, where)
    body = source[source.index("<body") :] if "<body" in source else source
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body.replace("<wbr>", ""))).split())


def source_of(client: Client, where: str | Continuation) -> str:
    response = client.get(where if isinstance(where, str) else address(where))
    assert response.status_code == 200, response
    return response.content.decode()


def messages_of(response: Any) -> list[str]:
    """What a response that was followed tells its user."""
    return [str(message) for message in response.context["messages"]]


def call(client: Client, row: Continuation, slug: str, **data: Any) -> Any:
    """Call a verb as its confirmed page does."""
    return client.post(address(row, "verb", slug), {"confirmed": "yes", **data}, follow=True)


def act(client: Client, action: str, *rows: Continuation, where: str = LIST, **data: Any) -> Any:
    """Call an action of the list; without `confirmed` it asks first."""
    selected = [str(row.pk) for row in rows]
    return client.post(where, {"action": action, "_selected_action": selected, **data}, follow=True)
