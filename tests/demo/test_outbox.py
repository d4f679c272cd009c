"""Mails as files: what they are called, and what is shown of them."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives

from demo_project.mails.outbox import Outbox, message_id

pytestmark = pytest.mark.usefixtures("outbox")


def send(what="hello", topic="tests", subject="Hello", text="Good day.", message_class=EmailMessage, **options):
    headers = {"Message-ID": message_id(what, topic)}
    message = message_class(subject, text, "a@example.org", ["b@example.org"], headers=headers, **options)
    assert message.send() == 1
    return message


def test_a_mail_is_read_back_as_it_was_written():
    send(subject="Grüße", text="Schöne Tage!\n")
    (mail,) = Outbox("tests").mails(5)
    assert (mail.to, mail.subject, mail.text.strip()) == ("b@example.org", "Grüße", "Schöne Tage!")
    assert mail.sent_at.tzinfo


def test_the_last_mails_are_given_in_the_order_they_were_sent():
    for number in range(12):
        send(what=f"mail-{number}")
        send(topic="others")
    assert len(Outbox("tests").mails(5)) == 5
    assert Outbox("tests").counts().total() == 12


def test_the_same_message_sent_twice_counts_twice():
    for what in ("a", "b", "a"):
        send(what=what)
    assert Outbox("tests").counts() == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "identity", ["../../x", "<../../x@tests.demo.invalid>", "<a@../..demo.invalid>", "<a@b.example.org>"]
)
def test_no_message_id_leads_out_of_the_folder(outbox, identity):
    message = EmailMessage("s", "t", "a@example.org", ["b@example.org"], headers={"Message-ID": identity})
    message.send()
    (path,) = outbox.rglob("*.eml")
    assert path.parent == outbox / "others"


def test_of_a_mail_with_html_only_the_text_is_shown():
    message = EmailMultiAlternatives("s", "plain", "a@example.org", ["b@example.org"])
    message.attach_alternative("<b>bold</b>", "text/html")
    message.send()
    assert Outbox("others").mails(1)[0].text.strip() == "plain"


def test_a_topic_without_mails_has_none():
    assert Outbox("nothing").mails(5) == []
