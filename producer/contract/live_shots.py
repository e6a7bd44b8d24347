"""Names of the pictures that the live checks take, among those of a page. Needs no pydantic."""

from __future__ import annotations

from typing import Final

PATH_SHOT: Final = "path"
"""The page that the stops of the Tab key are drawn on."""


def shot_name(fingerprint: str, when: str) -> str:
    """Return the name of an element's picture ``before`` or ``after`` what a check did."""
    return f"{fingerprint}:{when}"
