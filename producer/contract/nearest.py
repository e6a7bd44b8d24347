"""The name that was meant, where one is misspelt. Needs nothing at import; ``difflib`` comes for who mistypes."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the one of ``names`` that ``name`` is most like; '' where it is like none."""
    from difflib import get_close_matches  # noqa: PLC0415  for those who mistype

    return next(iter(get_close_matches(name, sorted(names), n=1)), "")
