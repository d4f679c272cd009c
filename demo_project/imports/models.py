"""What an import reads and leaves behind. The methods are the work itself; the jobs decide when it is done."""

from __future__ import annotations

import csv
import math
import uuid
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from continuations.models import Continuation

from .geography import geohash, kilometres_from_greenwich
from .rows import COLUMNS, HEAD, FileRefusedError, NumberedRows, Row, RowRefusedError, check_header

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


def generated_path(instance: AirportImport, filename: str) -> str:
    """Where a file is kept. Nothing of the name it came with is used, so none can lead out of the folder."""
    return f"imports/{uuid.uuid4().hex}.csv"


class AirportImport(models.Model):
    """One file of airports, and what became of it."""

    name = models.CharField(_("name"), max_length=255)
    file = models.FileField(_("file"), upload_to=generated_path)
    uploaded_at = models.DateTimeField(_("uploaded at"), default=timezone.now)
    # Not a foreign key: continuations are pruned, imports stay.
    continuation_id = models.UUIDField(_("continuation"), null=True, editable=False)
    airport_count = models.PositiveIntegerField(_("airports"), null=True, editable=False)
    bad_row_count = models.PositiveIntegerField(_("bad rows"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)
    # Seconds before each batch, for people who want to watch.
    rest = models.FloatField(_("rest"), default=0, editable=False)
    is_strict = models.BooleanField(_("stops at a bad row"), default=False, editable=False)
    # The row that the demo broke, as it was: what mends it.
    mend = models.TextField(_("row as it was"), blank=True, default="", editable=False)
    # A plain RQ job does this one, next to the continuation that does that one.
    beside = models.OneToOneField(
        "self",
        models.CASCADE,
        null=True,
        editable=False,
        related_name="plain",
        verbose_name=_("beside"),
    )
    starts = models.PositiveIntegerField(_("starts"), default=0, editable=False)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-uploaded_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def continuation(self) -> Continuation | None:
        """The continuation that does this import, read now; None once it was pruned."""
        return Continuation.objects.filter(pk=self.continuation_id).first() if self.continuation_id else None

    def follow(self, continuation: Continuation) -> None:
        """Remember the continuation that does this import."""
        self.continuation_id = continuation.pk
        self.save(update_fields=["continuation_id"])

    @property
    def rq_job_id(self) -> str:
        """Id of the plain RQ job that does this import, if one does."""
        return f"plain-import-{self.pk}"

    def note_start(self) -> None:
        """Count that a plain job begins."""
        AirportImport.objects.filter(pk=self.pk).update(starts=F("starts") + 1)

    def rows(self) -> NumberedRows:
        return NumberedRows(self.file.path)

    def survey(self, *, after_each_row: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """Read the file once and write nothing: how many `rows` it has, and the set of codes that are `duplicates`.

        Raises `FileRefusedError` for another header, another encoding, or a file without one valid row.
        """
        with self.file.open("rb") as file:
            check_header(file.read(HEAD))
        count = valid = 0
        seen: set[str] = set()
        duplicates: set[str] = set()
        try:
            for row, _cursor in self.rows().after(None):
                count += 1
                after_each_row()
                try:
                    airport = Airport.from_row(self, row)
                except ValidationError:
                    continue
                valid += 1
                (duplicates if airport.icao in seen else seen).add(airport.icao)
        except (UnicodeDecodeError, csv.Error) as error:
            raise FileRefusedError(f"Row {count + 1} is not CSV in UTF-8.") from error
        if count and not valid:
            raise FileRefusedError(f"None of the {count} rows is an airport.")
        return {"rows": count, "duplicates": duplicates}

    def load(self, rows: Iterable[Row], *, duplicates: Collection[str]) -> None:
        """Store the airports of these rows; record those that are none, and go on.

        A strict import stores nothing of them instead, and raises `RowRefusedError`.
        """
        airports: list[Airport] = []
        bad_rows: list[BadRow] = []
        for row in rows:
            try:
                airport = Airport.from_row(self, row)
                if airport.icao in duplicates:
                    self._check_first(airport, among=airports)
            except ValidationError as error:
                bad_row = BadRow.from_row(self, row, error)
                if self.is_strict:
                    raise RowRefusedError(f"Line {row.line} is no airport: {bad_row.reason}") from error
                bad_rows.append(bad_row)
            else:
                airports.append(airport)
        Airport.objects.bulk_create(airports)
        BadRow.objects.bulk_create(bad_rows)

    def finalise(self) -> None:
        """Count what was imported, and say that it is done."""
        self.airport_count = self.airports.count()
        self.bad_row_count = self.bad_rows.count()
        self.finished_at = timezone.now()
        self.save(update_fields=["airport_count", "bad_row_count", "finished_at"])

    def _check_first(self, airport: Airport, *, among: Iterable[Airport]) -> None:
        stored = self.airports.filter(icao=airport.icao).exclude(line=airport.line)
        if any(other.icao == airport.icao for other in among) or stored.exists():
            raise ValidationError(_("An earlier row has the code %(code)s."), params={"code": airport.icao})


def validate_finite(value: float) -> None:
    if not math.isfinite(value):
        raise ValidationError(_("Enter a number."))


# airportsdata marks a code it made from an airport's IATA code by an underscore.
validate_icao = RegexValidator(
    r"\A([A-Z0-9]{3,4}|_[A-Z0-9]{3})\Z", _("Enter an ICAO code: three or four capital letters or digits.")
)
validate_iata = RegexValidator(r"\A[A-Z0-9]{3}\Z", _("Enter an IATA code: three capital letters or digits."))
validate_country = RegexValidator(r"\A[A-Z]{2}\Z", _("Enter a country code: two capital letters."))


class Airport(models.Model):
    """An airport as one row describes it. Nothing is unique here, so that a row imported twice shows."""

    airport_import = models.ForeignKey(AirportImport, models.CASCADE, related_name="airports", verbose_name=_("import"))
    line = models.PositiveIntegerField(_("line"))
    icao = models.CharField(_("ICAO code"), max_length=4, validators=[validate_icao])
    iata = models.CharField(_("IATA code"), max_length=3, blank=True, validators=[validate_iata])
    name = models.CharField(_("name"), max_length=100)
    city = models.CharField(_("city"), max_length=100, blank=True)
    subd = models.CharField(_("subdivision"), max_length=100, blank=True)
    country = models.CharField(_("country"), max_length=2, validators=[validate_country])
    # Feet.
    elevation = models.FloatField(_("elevation"), validators=[validate_finite])
    lat = models.FloatField(_("latitude"), validators=[validate_finite, MinValueValidator(-90), MaxValueValidator(90)])
    lon = models.FloatField(
        _("longitude"), validators=[validate_finite, MinValueValidator(-180), MaxValueValidator(180)]
    )
    tz = models.CharField(_("time zone"), max_length=50, blank=True)
    lid = models.CharField(_("local code"), max_length=10, blank=True)
    geohash = models.CharField(_("geohash"), max_length=5, blank=True, editable=False)
    greenwich_km = models.FloatField(_("kilometres from Greenwich"), null=True, editable=False)
    # How often the second pass has been here: more than once is a repetition.
    derivations = models.PositiveIntegerField(_("derivations"), default=0, editable=False)

    class Meta:
        verbose_name = _("airport")
        verbose_name_plural = _("airports")
        ordering = ["pk"]
        indexes = [models.Index(fields=["airport_import", "icao"], name="airport_import_icao")]

    def __str__(self) -> str:
        return f"{self.icao} {self.name}"

    @classmethod
    def from_row(cls, airport_import: AirportImport, row: Row) -> Airport:
        """The airport of this row, unsaved. Raises `ValidationError` if the row describes none."""
        if row.width != len(COLUMNS):
            raise ValidationError(
                _("The row has %(width)s columns instead of %(expected)s."),
                params={"width": row.width, "expected": len(COLUMNS)},
            )
        if "\0" in row.text:
            raise ValidationError(_("The row contains a null character."))
        airport = cls(airport_import=airport_import, line=row.line, **row.values)
        airport.clean_fields(exclude={"airport_import"})
        return airport

    def derive(self) -> None:
        """Compute what follows from the position, and count that it was done."""
        Airport.objects.filter(pk=self.pk).update(
            geohash=geohash(self.lat, self.lon),
            greenwich_km=kilometres_from_greenwich(self.lat, self.lon),
            derivations=F("derivations") + 1,
        )


class BadRow(models.Model):
    """A row that could not be imported, and why."""

    airport_import = models.ForeignKey(AirportImport, models.CASCADE, related_name="bad_rows", verbose_name=_("import"))
    line = models.PositiveIntegerField(_("line"))
    reason = models.TextField(_("reason"))
    text = models.TextField(_("row"))

    class Meta:
        verbose_name = _("bad row")
        verbose_name_plural = _("bad rows")
        ordering = ["line", "pk"]

    def __str__(self) -> str:
        return f"{self.line}: {self.reason}"

    @classmethod
    def from_row(cls, airport_import: AirportImport, row: Row, error: ValidationError) -> BadRow:
        """The record of this row, unsaved."""
        if hasattr(error, "error_dict"):
            reason = " ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        else:
            reason = " ".join(error.messages)
        # PostgreSQL stores no null characters.
        return cls(airport_import=airport_import, line=row.line, reason=reason, text=row.text.replace("\0", "\ufffd"))
