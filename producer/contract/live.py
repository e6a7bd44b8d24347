"""Results of live checks: evidence about an element, and the path of the Tab key."""

from __future__ import annotations

from operator import not_

from pydantic import Field

from producer.contract.message import Part


class Evidence(Part):
    """The evidence of a live check about one element.

    ``keys`` are the keys pressed, in order; ``measured`` has sizes and other facts by name. ``before`` and ``after``
    describe the two screenshots (``live_shots.py``), '' without one.
    """

    keys: tuple[str, ...] = Field(default=(), exclude_if=not_)
    measured: dict[str, str] = Field(default_factory=dict[str, str], exclude_if=not_)
    before: str = Field(default="", exclude_if=not_)
    after: str = Field(default="", exclude_if=not_)


class Stop(Part):
    """One stop of the Tab key; ``box`` is left, top, width, height in the page's pixels."""

    name: str = ""
    selector: tuple[str | tuple[str, ...], ...] = ()
    box: tuple[int, int, int, int] | None = None


class LivePath(Part):
    """The stops of the Tab key in order. ``ended`` says why there are no more.

    ``size`` is the width and height of the area on the screenshot (``live_shots.py``), in the page's pixels.
    """

    stops: tuple[Stop, ...] = ()
    ended: str = ""
    size: tuple[int, int] | None = Field(default=None, exclude_if=lambda size: size is None)


class LiveReport(Part):
    """The live checks of a page; ``left_out`` maps a check to the reason why it did not run or finish."""

    ran: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict[str, str], exclude_if=not_)
    path: LivePath | None = Field(default=None, exclude_if=lambda path: path is None)
    spent_ms: int = 0
