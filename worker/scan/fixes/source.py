"""Finds the position of an element in the served source of a page, so that a tool can change it there. Pure."""

from __future__ import annotations

from producer.contract.fixes import Replacement


def replacement_in(source: str, before: str, after: str) -> Replacement | None:
    """Return the position of ``before`` in ``source`` and its replacement; None unless it occurs exactly once.

    Elements created by scripts are not in the source, and repeated ones are ambiguous.
    """
    if not before or source.count(before) != 1:
        return None
    at = source.index(before)
    line, column = _position(source, at)
    end_line, end_column = _position(source, at + len(before))
    return Replacement(start_line=line, start_column=column, end_line=end_line, end_column=end_column, text=after)


def _position(source: str, at: int) -> tuple[int, int]:
    above = source[:at]
    return above.count("\n") + 1, at - (above.rfind("\n") + 1) + 1
