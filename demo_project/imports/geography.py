"""What the second pass derives from an airport's position."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

# The Royal Observatory, where longitude 0 was drawn.
GREENWICH = (51.4769, 0.0)
# Mean radius of the Earth (IUGG), in kilometres.
RADIUS = 6371.0088
# Geohash's alphabet: digits and letters without a, i, l and o.
ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"


def kilometres_from_greenwich(latitude: float, longitude: float) -> float:
    """Length of the great circle to Greenwich, by the haversine formula."""
    a, b = radians(GREENWICH[0]), radians(latitude)
    across = radians(longitude - GREENWICH[1])
    h = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(across / 2) ** 2
    return 2 * RADIUS * asin(sqrt(h))


def geohash(latitude: float, longitude: float, *, length: int = 5) -> str:
    """The cell of the geohash grid (Niemeyer, 2008) that holds the point; five characters are about 5 km across."""
    low, high = [-180.0, -90.0], [180.0, 90.0]
    point = (longitude, latitude)
    bits = 0
    for turn in range(5 * length):
        axis = turn % 2
        middle = (low[axis] + high[axis]) / 2
        beyond = point[axis] >= middle
        (low if beyond else high)[axis] = middle
        bits = bits << 1 | beyond
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(5 * (length - 1), -1, -5))
