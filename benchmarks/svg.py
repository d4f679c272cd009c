"""Plots as SVG, small multiples side by side, readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAMESPACE = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 300, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 30, 34

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600 }
  .axis { stroke: #999; fill: none }
  .line { stroke: #1f6feb; stroke-width: 2; fill: none }
  .dot { fill: #1f6feb }
  @media (prefers-color-scheme: dark) {
    text { fill: #ccc }
    .axis { stroke: #666 }
    .line { stroke: #6cb0ff }
    .dot { fill: #6cb0ff }
  }
"""


@dataclass(frozen=True)
class Plot:
    """Values by number, on an axis of powers of ten. The other axis begins at 0."""

    title: str
    unit: str
    values: Mapping[int, float]


def draw(plots: Sequence[Plot], columns: int = 2) -> str:
    """The text of an SVG file."""
    lines = math.ceil(len(plots) / columns)
    width, height = WIDTH * min(columns, len(plots)), HEIGHT * lines
    parts = [
        f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{_escaped('; '.join(_told(plot) for plot in plots))}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for place, plot in enumerate(plots):
        line, column = divmod(place, columns)
        parts.append(f'<g transform="translate({column * WIDTH} {line * HEIGHT})">')
        parts += _plot(plot)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _plot(plot: Plot) -> list[str]:
    numbers = sorted(plot.values)
    top = _ceiling(max(plot.values.values()))
    low, high = math.log10(numbers[0]), math.log10(numbers[-1])

    def x(number: int) -> float:
        share = (math.log10(number) - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    found = [f'<text class="title" x="{LEFT}" y="16">{_escaped(plot.title)}, {_escaped(plot.unit)}</text>']
    found.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    for value in (0.0, top / 2, top):
        found.append(f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:g}</text>')
    for number in numbers:
        found.append(f'<text x="{x(number)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(number)}</text>')
    points = " ".join(f"{x(number)},{y(plot.values[number])}" for number in numbers)
    found.append(f'<polyline class="line" points="{points}"/>')
    found += [f'<circle class="dot" cx="{x(number)}" cy="{y(plot.values[number])}" r="3"/>' for number in numbers]
    return found


def _ceiling(value: float) -> float:
    """The next of 1, 2, 4, 6, 10 times a power of ten, of which the half is a round number too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 10) if value <= step * power)


def _short(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1_000_000:g} M"
    return f"{number / 1_000:g} k" if number >= 1_000 else str(number)


def _told(plot: Plot) -> str:
    values = ", ".join(f"{value:.3g} at {number:,}" for number, value in sorted(plot.values.items()))
    return f"{plot.title}, {plot.unit}: {values}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
