"""What the map of an import shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Max
from django.db.models.functions import Mod
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from .models import AirportImport

# Dots in one answer; who asks comes back for the rest.
LIMIT = 2000
# Dots of the picture that needs no scripts, roughly.
SAMPLE = 1500


def points(airport_import: AirportImport, *, after: int) -> dict[str, Any]:
    """Longitude and latitude of the airports whose key is greater than `after`, at most `LIMIT`.

    `last` is what to ask for next, and `more` whether to ask at once.
    """
    rows = list(airport_import.airports.filter(pk__gt=after).values_list("pk", "lon", "lat")[:LIMIT])
    return {
        "points": [(round(lon, 2), round(lat, 2)) for _pk, lon, lat in rows],
        "last": rows[-1][0] if rows else after,
        "more": len(rows) == LIMIT,
    }


def sample(airport_import: AirportImport) -> str:
    """Some of the airports as the path of an SVG: one dot each, in a box of 360 by 180."""
    highest = airport_import.airports.aggregate(highest=Max("line", default=0))["highest"]
    rows = airport_import.airports.annotate(rest=Mod(F("line"), highest // SAMPLE + 1)).filter(rest=0)
    found = rows.order_by("pk").values_list("lon", "lat")[: 2 * SAMPLE]
    return "".join(f"M{lon + 180:.1f} {90 - lat:.1f}h0" for lon, lat in found)


def regions(airport_import: AirportImport) -> list[tuple[str, int]]:
    """How many airports there are in each part of the world, by their time zones, the most first."""
    found: Counter[str] = Counter()
    zones = airport_import.airports.order_by().values_list("tz").annotate(airports=Count("pk"))
    for zone, airports in zones:
        found[zone.partition("/")[0] or _("elsewhere")] += airports
    return found.most_common()
