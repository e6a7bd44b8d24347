"""The example in a component barrier's name: text or file of one element, ``Main › image “cup.jpg” has no …``.

Elements without a class, field name or address are recognised by such an example only. Another page may show another
one of the same component, so names are compared without it, and reports list further examples after the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

MAX_EXAMPLE: Final = 40
MAX_EXAMPLES: Final = 20
"""Maximum number of examples of a component in a report's or comparison's data; lines for people have fewer."""
_SHOWN: Final = 5
_EXAMPLE: Final = re.compile(r" “[^”]*”?")
_WHOLE_EXAMPLE: Final = re.compile(r" “([^”]+)”")
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


def examples_of(names: Iterable[str], *, limit: int = MAX_EXAMPLES) -> tuple[str, ...]:
    """Return the different examples in names of elements of one component, in order."""
    found = dict.fromkeys(match[1] for name in dict.fromkeys(names) if (match := _WHOLE_EXAMPLE.search(name)))
    return tuple(found)[:limit]


def also(name: str, examples: Sequence[str]) -> str:
    """Return the examples that a component's name does not show: ``also “a.gif”, “b.gif”``; '' if there are none."""
    others = [one for one in examples if one not in examples_of([name])]
    shown = ", ".join(f"“{one}”" for one in others[:_SHOWN])
    return f"also {shown}{' and others' if others[_SHOWN:] else ''}" if others else ""


def plain_name(name: str) -> str:
    """Return a name without what may differ for the same component: the example, and numbers."""
    return _NUMBER.sub("0", without_example(name))
