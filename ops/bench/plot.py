"""Draws Sightline's speed relative to the fastest peer, for each row with peers. SVG, light and dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from contenders import SIGHTLINE
from rows import Row

PLOT: Final = Path(__file__).parent / "results.svg"
WIDTH: Final = 760
BAR: Final = 20
STEP: Final = 46
LEFT: Final = 16
RIGHT: Final = 96
TOP: Final = 56
_NUMBER: Final = re.compile(r"^[\d,.]+")
STYLE: Final = """
text { font: 14px system-ui, sans-serif; fill: #1b1f24 }
.title { font-weight: 600; font-size: 16px } .about { fill: #4d5661; font-size: 12px }
.bar { fill: #0a6b5d } .peer { stroke: #9a3412; stroke-width: 2 } .ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e8eaed } .about { fill: #aab2bd } .ground { fill: #15181c }
  .bar { fill: #3fbfa8 } .peer { stroke: #fdba74 }
}
"""


@dataclass(frozen=True)
class Bar:
    """One row: ``times`` as fast as ``peer``, the fastest."""

    title: str
    times: float
    peer: str


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return a bar for each row with numbers for Sightline and a peer: fewer ms or more jobs/s are faster."""
    made: list[Bar] = []
    for row in rows:
        numbers = {name: n for name, text in row.values.items() if (n := _number(text)) is not None}
        own = numbers.pop(SIGHTLINE.name, None)
        if own is None or not numbers or row.unit == "bytes":
            continue
        is_rate = "/" in row.unit.replace(" / ", "")
        peer = max(numbers, key=lambda name: numbers[name]) if is_rate else min(numbers, key=lambda name: numbers[name])
        made.append(Bar(row.title, own / numbers[peer] if is_rate else numbers[peer] / own, peer))
    return made


def svg(made: Sequence[Bar]) -> str:
    """Return the SVG, with a text alternative."""
    most = max([bar.times for bar in made] + [2.0])
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + STEP * len(made) + 24
    told = "; ".join(f"{bar.title}: {bar.times:.1f} times {bar.peer}" for bar in made)
    box = f'viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(told)}">',
        f'<style>{STYLE}</style><rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{LEFT}" y="26">Sightline beside the fastest peer of each row</text>',
        f'<text class="about" x="{LEFT}" y="44">The line is the peer: a bar twice as long is twice as fast.</text>',
    ]
    for place, bar in enumerate(made):
        top = TOP + STEP * place
        width = bar.times * scale
        lines += [
            f'<text x="{LEFT}" y="{top + 14}">{escape(bar.title)}</text>',
            f'<rect class="bar" x="{LEFT}" y="{top + 20}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LEFT + width + 8:.1f}" y="{top + 35}">{bar.times:.1f} \u00d7 {escape(bar.peer)}</text>',
            f'<line class="peer" x1="{LEFT + scale:.1f}" x2="{LEFT + scale:.1f}" y1="{top + 18}" y2="{top + 42}"/>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[0].replace(",", "")) if match else None
