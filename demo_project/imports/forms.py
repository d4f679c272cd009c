"""What a visitor may hand in."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator
from django.template.defaultfilters import filesizeformat
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .models import AirportImport
from .rows import COLUMNS, HEAD, FileRefusedError, check_header

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

# Bytes: six times the airports of the world.
SIZE_LIMIT = 20 * 1024 * 1024


def _file_help() -> str:
    values = {"columns": ", ".join(COLUMNS), "limit": filesizeformat(SIZE_LIMIT)}
    return gettext("With the columns %(columns)s, in UTF-8, at most %(limit)s.") % values


class UploadForm(forms.Form):
    """One CSV file. What it holds is looked at, not what it is called or claims to be."""

    file = forms.FileField(
        label=_("CSV file"),
        help_text=lazy(_file_help, str)(),
        max_length=255,
        validators=[FileExtensionValidator(["csv"])],
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        size = file.size or 0
        if size > SIZE_LIMIT:
            raise ValidationError(
                _("The file has %(size)s, more than the %(limit)s allowed."),
                params={"size": filesizeformat(size), "limit": filesizeformat(SIZE_LIMIT)},
            )
        try:
            check_header(file.read(HEAD))
        except FileRefusedError as error:
            raise ValidationError(str(error)) from error
        self._check_text(file)
        return file

    def airport_import(self) -> AirportImport:
        """An import, not yet saved, of the file that was handed in."""
        file = self.cleaned_data["file"]
        return AirportImport(name=file.name, file=file)

    @staticmethod
    def _check_text(file: UploadedFile[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for chunk in file.chunks():
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise ValidationError(_("The file is not text in UTF-8.")) from error
