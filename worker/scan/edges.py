"""Rectangles of a page in the window's pixels: positions of text, and the area of a screenshot."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

_MARGIN_PX: Final = 2
"""Margin around text: letters and their smoothed edges reach slightly beyond their boxes."""


class Edges(NamedTuple):
    """A rectangle in the window's pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def moved(self, left: float, top: float) -> Edges:
        """Return the rectangle in an outer window, in which its own window begins at ``left``, ``top``."""
        return Edges(self.left + left, self.top + top, self.right + left, self.bottom + top)

    def scaled(self, by: float) -> Edges:
        """Return the rectangle in the pixels of an image with ``by`` pixels per window pixel."""
        return Edges(*(edge * by for edge in self))

    def cut(self, other: Edges) -> Edges:
        """Return the intersection, which may have a negative size."""
        lefts, tops = (self.left, other.left), (self.top, other.top)
        return Edges(max(lefts), max(tops), min(self.right, other.right), min(self.bottom, other.bottom))

    @property
    def is_empty(self) -> bool:
        """Whether the rectangle is empty."""
        return self.right - self.left < 1 or self.bottom - self.top < 1


def area_around(parts: Iterable[Edges]) -> Edges:
    """Return the rectangle, in whole pixels, around all parts with a margin."""
    lefts, tops, rights, bottoms = zip(*parts, strict=True)
    left, top = math.floor(min(lefts)) - _MARGIN_PX, math.floor(min(tops)) - _MARGIN_PX
    return Edges(left, top, math.ceil(max(rights)) + _MARGIN_PX, math.ceil(max(bottoms)) + _MARGIN_PX)
