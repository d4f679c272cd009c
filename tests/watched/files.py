"""An exporter and a transport that append lines of JSON to a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


def lines(path: Path) -> list[dict[str, Any]]:
    """What was written there so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class FileExporter(SpanExporter):
    """Spans, a line each."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "spans"

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._path.open("a") as file:
            for span in spans:
                file.write(json.dumps(json.loads(span.to_json())) + "\n")
        return SpanExportResult.SUCCESS


def init_sentry(folder: Path) -> None:
    """Sentry as a project would start it, with RQ's and Django's integrations, which it finds by itself."""
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.transport import Transport

    from continuations.contrib.sentry import ContinuationsIntegration

    class FileTransport(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            event = envelope.get_event()
            if event is not None:
                with (folder / "events").open("a") as file:
                    file.write(json.dumps(event, default=str) + "\n")

    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1", transport=FileTransport, integrations=[ContinuationsIntegration()], debug=False
    )
