"""What a visitor may hand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.template.defaultfilters import filesizeformat
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .documents import PAGE_LIMIT, SIZE_LIMIT, DocumentRefusedError, open_document
from .models import Report
from .sample import NAME, sample_pdf

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

LONGEST_NAME = 255


def _document_help() -> str:
    values = {"size": filesizeformat(SIZE_LIMIT), "pages": PAGE_LIMIT}
    return gettext("PDF or DOCX, at most %(size)s and %(pages)s pages. Without a file, a sample is taken.") % values


class ReportForm(forms.Form):
    """A document, and what is to become of it. What a file holds is looked at, not what it is called."""

    document = forms.FileField(
        label=_("Document"),
        help_text=lazy(_document_help, str)(),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".pdf,.docx"}),
    )
    recipient = forms.EmailField(
        label=_("Mail it to"),
        help_text=_("The demo's mails are written to a folder and leave this machine never."),
        required=False,
        initial="you@example.com",
    )
    failing_calls = forms.ChoiceField(
        label=_("The model is overloaded"),
        choices=[
            (0, _("never")),
            (1, _("at the first call")),
            (2, _("at the first two calls")),
        ],
        required=False,
        initial=0,
    )

    def clean_document(self) -> UploadedFile[bytes] | None:
        file: UploadedFile[bytes] | None = self.cleaned_data["document"]
        if file is None:
            return None
        if (size := file.size or 0) > SIZE_LIMIT:
            raise ValidationError(
                _("The file has %(size)s, more than the %(limit)s allowed."),
                params={"size": filesizeformat(size), "limit": filesizeformat(SIZE_LIMIT)},
            )
        try:
            open_document(file.read())
        except DocumentRefusedError as error:
            raise ValidationError(str(error)) from error
        file.seek(0)
        return file

    def report(self) -> Report:
        """A report, not yet saved, on the document that was handed in, or on the sample."""
        file = self.cleaned_data["document"]
        return Report(
            name=printable(file.name) if file else NAME,
            document=file or ContentFile(sample_pdf(), name=NAME),
            recipient=self.cleaned_data["recipient"],
            failing_calls=int(self.cleaned_data["failing_calls"] or 0),
        )


def printable(name: str) -> str:
    """A file's name as people may read it: on one line, and without characters that do not show."""
    return "".join(character for character in name if character.isprintable())[:LONGEST_NAME]
