"""The example in a component barrier's name: text or file of one element, ``Main › image “cup.jpg” has no …``.

Elements without a class, field name or address are recognised by such an example only. Another page may show another
one of the same component, so names are compared without it.
"""

from __future__ import annotations

import re
from typing import Final

MAX_EXAMPLE: Final = 40
_EXAMPLE: Final = re.compile(r" “[^”]*”?")
_NUMBER: Final = re.compile(r"\d+")


def example(text: str) -> str:
    """Return ``text`` quoted and shortened, to follow a noun; '' if there is none."""
    shown = " ".join(text.replace("“", '"').replace("”", '"').split())
    if len(shown) > MAX_EXAMPLE:
        shown = f"{shown[: MAX_EXAMPLE - 1].rstrip()}…"
    return f" “{shown}”" if shown else ""


def without_example(name: str) -> str:
    """Return a name, or a line with one, without the example."""
    return _EXAMPLE.sub("", name)


def plain_name(name: str) -> str:
    """Return a name without what may differ for the same component: the example, and numbers."""
    return _NUMBER.sub("0", without_example(name))
