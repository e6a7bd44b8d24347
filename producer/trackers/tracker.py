"""The interface of a tracker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

WAIVES: Final = ("a11y-waived", "wontfix")
"""Labels that waive an issue's barrier."""


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue with the label; ``closed_ms`` is when it was closed, 0 for an open one.

    ``is_refused``: it was closed as not planned or as a duplicate.
    """

    number: int
    title: str
    body: str
    labels: frozenset[str]
    is_open: bool
    url: str = ""
    closed_ms: int = 0
    is_refused: bool = False

    @property
    def waived_by(self) -> str:
        """The label that waives it, '' for none."""
        named = {label.casefold() for label in self.labels}
        return next((label for label in WAIVES if label in named), "")


class Tracker(Protocol):
    """Issues of one project. All methods raise ``ApiFault``."""

    @property
    def name(self) -> str:
        """The project's name in messages."""
        ...

    def issues(self) -> list[Issue]:
        """Return all issues with the label, open and closed."""
        ...

    def create(self, title: str, body: str) -> Issue:
        """Open an issue with the label; must not be repeated if it may have taken effect."""
        ...

    def update(
        self, number: int, *, body: str | None = None, is_open: bool | None = None, refused: bool = False
    ) -> None:
        """Set the body, and open or close the issue, in one write."""
        ...
