"""Suggests the intended name for a misspelt one. Imports ``difflib`` only when needed."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the one of ``names`` most similar to ``name``, or '' if none has a similarity of ``cutoff`` (0 to 1)."""
    from difflib import get_close_matches  # noqa: PLC0415  needed only after a typing error

    return next(iter(get_close_matches(name, sorted(names), n=1, cutoff=cutoff)), "")
