"""Names of the screenshots that live checks take. Needs no pydantic."""

from __future__ import annotations

from typing import Final

PATH_SHOT: Final = "path"
"""The screenshot of the page on which the stops of the Tab key are drawn."""


def shot_name(fingerprint: str, when: str) -> str:
    """Return the name of an element's screenshot ``before`` or ``after`` a check's action."""
    return f"{fingerprint}:{when}"
