"""What a visitor may hand in."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator
from django.template.defaultfilters import filesizeformat
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .models import AirportImport
from .rows import COLUMNS, HEAD, FileRefusedError, check_header
from .world import world_airports

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

    from .mending import Mending

# Bytes: six times the airports of the world.
SIZE_LIMIT = 20 * 1024 * 1024


def _file_help() -> str:
    values = {"columns": ", ".join(COLUMNS), "limit": filesizeformat(SIZE_LIMIT)}
    return gettext("With the columns %(columns)s, in UTF-8, at most %(limit)s.") % values


# Seconds before each batch of rows.
PACES = [
    ("0", _("as fast as it can")),
    ("0.02", _("slow enough to watch")),
    ("0.1", _("very slow")),
]


class StartForm(forms.Form):
    """How an import is to be done."""

    rest = forms.ChoiceField(label=_("Pace"), choices=PACES, initial="0.02", required=False)
    beside = forms.BooleanField(
        label=_("Beside it, import the same file with a plain RQ job"), initial=True, required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Some labels are sentences.
        self.label_suffix = ""

    def clean_rest(self) -> float:
        return float(self.cleaned_data["rest"] or 0)


class WorldForm(StartForm):
    """The airports of the world."""

    poisoned = forms.BooleanField(label=_("Break one row: the import stops there until it is fixed"), required=False)

    def airport_import(self) -> AirportImport:
        """An import, not yet saved, of the world."""
        return world_airports(poisoned=self.cleaned_data["poisoned"], rest=self.cleaned_data["rest"])


class UploadForm(StartForm):
    """One CSV file. What it holds is looked at, not what it is called or claims to be."""

    file = forms.FileField(
        label=_("CSV file"),
        help_text=lazy(_file_help, str)(),
        max_length=255,
        validators=[FileExtensionValidator(["csv"])],
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )

    is_strict = forms.BooleanField(label=_("Stop at the first row that is no airport"), required=False)

    field_order = ["file"]

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
        return AirportImport(
            name=file.name, file=file, is_strict=self.cleaned_data["is_strict"], rest=self.cleaned_data["rest"]
        )

    @staticmethod
    def _check_text(file: UploadedFile[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for chunk in file.chunks():
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise ValidationError(_("The file is not text in UTF-8.")) from error


class MendForm(forms.Form):
    """A row put right."""

    text = forms.CharField(label=_("Row"), max_length=2000, strip=False)

    def __init__(self, data: Any = None, *, mending: Mending) -> None:
        super().__init__(data, initial={"text": mending.proposal})
        self._mending = mending

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].strip("\r\n")
        self._mending.check(text)
        return text

    def save(self) -> None:
        """Write it into the file."""
        self._mending.apply(self.cleaned_data["text"])
