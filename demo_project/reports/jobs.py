"""The report as a continuation: a pipeline in the manner of an AI job, whose expensive step runs once."""

from __future__ import annotations

from django.db import transaction

from continuations import ContinuableJob, Step, retry_on

from .models import Report
from .summarisers import ModelError


@retry_on(ModelError, wait=5, attempts=5, jitter=0)
class MakeReport(ContinuableJob):
    """Summarises one document, writes the summary as HTML and PDF, and mails it."""

    def perform(self, report_pk: int) -> None:
        self.report = Report.objects.get(pk=report_pk)
        self.step(self.extract)
        # Expensive: in an execution of its own. What it returns is stored, and never asked for again.
        self.summary = self.step("summarise", self.report.summarise, isolated=True)
        self.step(self.format)
        self.step("deliver", self.report.deliver)

    def extract(self, step: Step) -> None:
        for text in step.iterate(self.report.pages()):
            with step.atomic():
                self.report.add_page(text)

    def format(self, step: Step) -> None:
        for format_name in step.iterate(self.report.formats()):
            with step.atomic():
                self.report.write(format_name, self.summary)


@transaction.atomic
def start(report: Report) -> Report:
    """Store a new report and enqueue its job: both or neither."""
    report.save()
    report.follow(MakeReport.enqueue(report.pk))
    return report
