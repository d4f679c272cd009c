"""The file to try the demo with: the airports of the world."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from django.core.files.base import ContentFile

from .models import AirportImport


def world_airports() -> AirportImport:
    """An import, not yet saved, of the file that `airportsdata` ships: about 28,000 rows.

    The file is copied: a deploy may bring another release of the package, and a cursor must find the bytes it left.
    """
    content = files("airportsdata").joinpath("airports.csv").read_bytes()
    return AirportImport(
        name=f"airports.csv, airportsdata {version('airportsdata')}",
        file=ContentFile(content, name="airports.csv"),
    )
