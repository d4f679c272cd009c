"""A model behind HTTP: a server on this machine that answers as the test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from continuations.models import Continuation
from demo_project.reports.endpoint import ANSWER_LIMIT, TEXT_LIMIT, Endpoint
from demo_project.reports.summarisers import KeySentences, ModelError, ModelRefusedError, summariser

from .documents import SENTENCES, finish, pdf, report_on


class ModelServer(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: a status, headers, a body. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.silent = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/chat/completions"

    def say(self, content: str | bytes, *, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else completion(content)
        self.answers.append((status, headers, body))


class Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        if not self.server.answers:
            self.server.silent.wait(60)
            return
        status, headers, content = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers), None))
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


def completion(content: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ModelServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.silent.set()
        server.shutdown()
        thread.join()


def test_the_model_is_sent_the_text_and_its_lines_are_the_sentences(server):
    server.say("The first.\n\n  The second.  \n")
    endpoint = Endpoint(server.url, model="small", key="hunter2")
    assert endpoint.summarise("A long text.") == ["The first.", "The second."]
    ((path, headers, body),) = server.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer hunter2"
    assert (body["model"], body["stream"]) == ("small", False)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == "A long text."


def test_without_a_key_none_is_sent(server):
    server.say("The first.")
    Endpoint(server.url).summarise("A long text.")
    assert "Authorization" not in server.asked[0][1]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_model_that_is_busy_may_be_asked_again(server, status):
    server.say("busy", status=status)
    with pytest.raises(ModelError, match=str(status)):
        Endpoint(server.url).summarise("A text.")


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_model_that_refuses_need_not_be_asked_again(server, status):
    server.say("no", status=status)
    with pytest.raises(ModelRefusedError, match=str(status)):
        Endpoint(server.url).summarise("A text.")


def test_a_redirect_is_not_followed_with_the_key(server):
    server.say("elsewhere", status=302, Location="/elsewhere")
    with pytest.raises(ModelRefusedError, match="302"):
        Endpoint(server.url, key="hunter2").summarise("A text.")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', completion(" \n ")],
)
def test_nonsense_is_an_error_of_the_model(server, answer):
    server.say(answer)
    with pytest.raises(ModelError):
        Endpoint(server.url).summarise("A text.")


def test_an_endless_answer_is_not_read_to_its_end(server):
    server.say(b"x" * (ANSWER_LIMIT + 1))
    with pytest.raises(ModelError, match="more than"):
        Endpoint(server.url).summarise("A text.")


def test_an_answer_that_breaks_off_is_an_error_of_the_model(server):
    server.say(b"{", Content_Length="1000")
    with pytest.raises(ModelError, match="no chat completion"):
        Endpoint(server.url).summarise("A text.")


def test_a_model_that_says_nothing_is_not_waited_for_longer_than_the_timeout(server):
    with pytest.raises(ModelError, match="timed out"):
        Endpoint(server.url, timeout=0.2).summarise("A text.")


def test_a_server_that_is_not_there_is_an_error_of_the_model(server):
    url = server.url
    server.server_close()
    with pytest.raises(ModelError, match="could not be asked"):
        Endpoint(url).summarise("A text.")


def test_a_text_that_no_model_takes_is_not_sent(server):
    with pytest.raises(ModelRefusedError, match="the model takes"):
        Endpoint(server.url).summarise("x" * (TEXT_LIMIT + 1))
    assert not server.asked


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1:80"])
def test_only_http_is_spoken(url):
    with pytest.raises(ImproperlyConfigured, match="http://"):
        Endpoint(url)


def test_the_setting_chooses_the_model(settings, server):
    assert isinstance(summariser(), KeySentences)
    settings.SUMMARY_ENDPOINT = {"url": server.url, "model": "small"}
    assert summariser().name == "small"


@pytest.mark.django_db
def test_a_report_asks_the_endpoint_again_until_it_answers_and_then_never(settings, server):
    settings.SUMMARY_ENDPOINT = {"url": server.url, "model": "small"}
    server.say("busy", status=503)
    server.say("nonsense", status=200)
    server.say("The harbour is closed in winter.\nThere is a road over the ice.")
    report = report_on(pdf(*SENTENCES))
    assert finish(report).status == Continuation.Status.SUCCEEDED
    assert list(report.model_calls.values_list("model", "outcome")) == [("small", "failed"), ("small", "answered")]
    assert len(server.asked) == 2
