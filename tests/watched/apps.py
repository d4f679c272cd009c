"""The app that turns OpenTelemetry and Prometheus on, as the docs show it."""

from django.apps import AppConfig
from django.conf import settings


class WatchedConfig(AppConfig):
    name = "tests.watched"

    def ready(self) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from continuations.contrib.opentelemetry import instrument
        from continuations.contrib.prometheus import register
        from tests.watched.files import FileExporter

        provider = TracerProvider()
        # Exports once an hour, if nobody asks for it earlier.
        provider.add_span_processor(BatchSpanProcessor(FileExporter(settings.WATCHED), schedule_delay_millis=3_600_000))
        trace.set_tracer_provider(provider)
        instrument()
        register()
