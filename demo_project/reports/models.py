"""A report and what its job leaves behind. The methods are the work itself; the job decides when it is done."""

from __future__ import annotations

import uuid
from pathlib import PurePath
from typing import TYPE_CHECKING, TypedDict

from django.core.mail import EmailMessage
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from continuations.models import Continuation

from .documents import DocumentRefusedError, open_document
from .formats import FORMATS, Outline
from .pace import Paced, dawdle
from .summarisers import ModelError, ModelRefusedError, summariser

if TYPE_CHECKING:
    from collections.abc import Sequence

# In units of the pace: how long the model thinks, a file is written, and the mail is on its way. Long enough to find
# the worker that does it, and to kill it.
THOUGHT = 10
WRITING = 8
POST = 4
# Domain of the ids of our mails; nobody has it.
DOMAIN = "continuations.example"


class Summary(TypedDict):
    """What a model made of a document, as the step that asked it stores it."""

    model: str
    sentences: list[str]


def generated_path(instance: Report, filename: str) -> str:
    """Where a document is kept. Nothing of the name it came with is used, so none can lead out of the folder."""
    return f"reports/{uuid.uuid4().hex}"


class Report(models.Model):
    """One document, and the summary that is made of it."""

    name = models.CharField(_("name"), max_length=255)
    document = models.FileField(_("document"), upload_to=generated_path)
    recipient = models.EmailField(_("recipient"), blank=True)
    # How many calls of the model fail before one is answered: to see what happens then.
    failing_calls = models.PositiveSmallIntegerField(_("failing calls"), default=0)
    uploaded_at = models.DateTimeField(_("uploaded at"), default=timezone.now)
    # Not a foreign key: continuations are pruned, reports stay.
    continuation_id = models.UUIDField(_("continuation"), null=True, editable=False)
    delivered_at = models.DateTimeField(_("delivered at"), null=True, editable=False)

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering = ["-uploaded_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("reports:detail", args=[self.pk])

    @property
    def continuation(self) -> Continuation | None:
        """The continuation that makes this report, read now; None once it was pruned."""
        return Continuation.objects.filter(pk=self.continuation_id).first() if self.continuation_id else None

    def follow(self, continuation: Continuation) -> None:
        """Remember the continuation that makes this report."""
        self.continuation_id = continuation.pk
        self.save(update_fields=["continuation_id"])

    # What the job does, in its order

    def pages(self) -> Sequence[str]:
        """The document's text, page by page. Raises `DocumentRefusedError` if it cannot be read."""
        with self.document.open("rb") as file:
            return Paced(open_document(file.read()))

    def add_page(self, text: str) -> None:
        """Store the text of the next page."""
        self.passages.create(text=text)

    def summarise(self) -> Summary:
        """Ask the model, once. The call is on record before it is made, so that one that is cut off is counted too.

        Raises `ModelError` and `ModelRefusedError`, and `DocumentRefusedError` for a document without text.
        """
        text = "\n\n".join(self.passages.values_list("text", flat=True))
        if not text.strip():
            raise DocumentRefusedError(gettext("The document has no text. Pictures of text are not read."))
        model = summariser()
        call = self.model_calls.create(model=model.name)
        try:
            dawdle(THOUGHT)
            if self.model_calls.count() <= self.failing_calls:
                raise ModelError(gettext("The model is overloaded, as you wished."))
            sentences = model.summarise(text)
        except (ModelError, ModelRefusedError) as error:
            call.end(ModelCall.Outcome.FAILED, str(error))
            raise
        call.end(ModelCall.Outcome.ANSWERED)
        return Summary(model=model.name, sentences=sentences)

    def formats(self) -> Sequence[str]:
        """The formats it is written in."""
        return Paced(list(FORMATS), WRITING)

    def write(self, format_name: str, summary: Summary) -> None:
        """Write the summary in one format, and store what was written."""
        outline = Outline(
            title=self.name,
            sentences=summary["sentences"],
            model=summary["model"],
            page_count=self.passages.count(),
            made_at=self.uploaded_at,
        )
        self.renderings.create(format=format_name, content=FORMATS[format_name].write(outline))

    def deliver(self) -> str:
        """Mail the PDF, and say to whom: the empty string if nobody is to get it.

        A mail that is sent again after a crash has the same Message-ID, by which mailboxes know it.
        """
        dawdle(POST)
        if self.recipient:
            pdf = self.renderings.get(format="pdf")
            message = EmailMessage(
                subject=gettext("Summary of %(name)s") % {"name": self.name},
                body=gettext("The summary is attached."),
                to=[self.recipient],
                headers={"Message-ID": f"<report-{self.pk}-{self.uploaded_at:%Y%m%d%H%M%S}@{DOMAIN}>"},
            )
            message.attach(pdf.filename, bytes(pdf.content), FORMATS["pdf"].content_type)
            message.send()
        self.delivered_at = timezone.now()
        self.save(update_fields=["delivered_at"])
        return self.recipient


class Passage(models.Model):
    """The text of a page. Nothing is unique here, so that a page read twice shows."""

    report = models.ForeignKey(Report, models.CASCADE, related_name="passages", verbose_name=_("report"))
    text = models.TextField(_("text"), blank=True)

    class Meta:
        verbose_name = _("passage")
        verbose_name_plural = _("passages")
        ordering = ["pk"]


class ModelCall(models.Model):
    """One call of the model, counted in its own right: whatever a step says it did, here is what was done."""

    class Outcome(models.TextChoices):
        OPEN = "", pgettext_lazy("a call of a model", "not answered")
        ANSWERED = "answered", pgettext_lazy("a call of a model", "answered")
        FAILED = "failed", pgettext_lazy("a call of a model", "failed")

    report = models.ForeignKey(Report, models.CASCADE, related_name="model_calls", verbose_name=_("report"))
    model = models.CharField(_("model"), max_length=255)
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome.choices, default=Outcome.OPEN, blank=True)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("model call")
        verbose_name_plural = _("model calls")
        ordering = ["pk"]

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Note how it went."""
        self.outcome = outcome
        self.error = error
        self.finished_at = timezone.now()
        self.save(update_fields=["outcome", "error", "finished_at"])


class Rendering(models.Model):
    """The summary in one format, kept in the database: it commits together with the cursor."""

    report = models.ForeignKey(Report, models.CASCADE, related_name="renderings", verbose_name=_("report"))
    format = models.CharField(_("format"), max_length=4, choices=[(name, name.upper()) for name in FORMATS])
    content = models.BinaryField(_("content"))

    class Meta:
        verbose_name = _("rendering")
        verbose_name_plural = _("renderings")
        ordering = ["pk"]

    @property
    def filename(self) -> str:
        """What it is called where it is downloaded to."""
        stem = slugify(PurePath(self.report.name).stem) or "report"
        return f"{stem}-summary.{self.format}"

    @property
    def content_type(self) -> str:
        return FORMATS[self.format].content_type
