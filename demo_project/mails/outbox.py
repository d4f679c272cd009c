"""Where the demo's mails go: one file each, grouped by what they are about, so that they can be counted and shown."""

from __future__ import annotations

import email
import email.policy
import re
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage as ParsedMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail.backends import filebased

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.core.mail import EmailMessage

# A domain that leads nowhere, of all ids and senders.
DOMAIN = "demo.invalid"
# `<what@topic.demo.invalid>`. Only such ids become names of files and folders.
ID = re.compile(rf"<([a-z0-9-]+)@([a-z0-9-]+)\.{re.escape(DOMAIN)}>")
SENDER = f"Continuations demo <demo@{DOMAIN}>"
ADMINISTRATORS = f"administrators@{DOMAIN}"


def message_id(what: str, topic: str) -> str:
    """Id of the message `what` about `topic`: the same each time it is sent, so that a repetition can be told."""
    return f"<{what}@{topic}.{DOMAIN}>"


class EmailBackend(filebased.EmailBackend):
    """Django's file-based backend, with a file for each message, and slow like a mail server.

    Half of the time passes before the message is accepted, and half until the sender learns of it.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            time.sleep(settings.OUTBOX_SECONDS / 2)
            self._accept(message)
            time.sleep(settings.OUTBOX_SECONDS / 2)
        return len(email_messages)

    def _accept(self, message: EmailMessage) -> None:
        built = message.message()
        found = ID.fullmatch(str(built["Message-ID"]))
        what, topic = found.groups() if found else ("message", "others")
        folder = Path(self.file_path) / topic
        folder.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, also if the process is killed here.
        name = f"{what}.{time.time_ns()}.{uuid.uuid4().hex}"
        (folder / f"{name}.part").write_bytes(built.as_bytes())
        (folder / f"{name}.part").rename(folder / f"{name}.eml")


@dataclass(frozen=True)
class Mail:
    """A mail as text, and nothing but text."""

    to: str
    subject: str
    sent_at: datetime
    text: str

    @classmethod
    def read(cls, path: Path) -> Mail:
        with path.open("rb") as file:
            parsed: Any = email.message_from_binary_file(file, ParsedMessage, policy=email.policy.default)
        body = parsed.get_body(("plain",))
        return cls(
            to=str(parsed["To"]),
            subject=str(parsed["Subject"]),
            sent_at=parsedate_to_datetime(parsed["Date"]).astimezone(UTC),
            text="" if body is None else body.get_content(),
        )


@dataclass(frozen=True)
class Outbox:
    """The mails about one topic: what a mail server would have got, whatever our own books say."""

    topic: str

    def mails(self, limit: int) -> list[Mail]:
        """The last `limit` of them, in the order they were sent."""
        paths = sorted(self._paths(), key=lambda path: path.name.split(".")[1])
        return [Mail.read(path) for path in paths[-limit:]]

    def counts(self) -> Counter[str]:
        """How often each message was sent."""
        return Counter(path.name.partition(".")[0] for path in self._paths())

    def _paths(self) -> list[Path]:
        return list((Path(settings.OUTBOX_DIR) / self.topic).glob("*.eml"))
