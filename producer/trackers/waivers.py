"""Waivers of labelled issues: kept in Redis, or as ``[[waiver]]`` at the end of a settings file.

In a file they are between two comments and replaced by each sync; everything above is left unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.stored.waivers import Waivers
from producer.text_file import read_text, replace_text

_BEGIN: Final = "# waivers of labelled issues, by 'sightline issues sync'"
_END: Final = "# end of the waivers of labelled issues"


async def keep_waivers(kept: Waivers, wanted: Sequence[Waiver], unlabelled: Sequence[Waiver]) -> tuple[int, int]:
    """Save ``wanted`` and remove those of ``unlabelled`` that a sync made; return both numbers.

    A person's waiver is neither replaced nor removed.
    """
    held = {waiver.fingerprint: waiver for waiver in await kept.all()}
    ours = {one.fingerprint for one in unlabelled if held.get(one.fingerprint) == one}
    added = [one for one in wanted if one.fingerprint not in held or one.fingerprint in ours]
    for one in added:
        await kept.add(one)
    removed = ours - {one.fingerprint for one in wanted}
    for fingerprint in removed:
        await kept.remove(fingerprint)
    return len(added), len(removed)


def write_waivers(path: Path, wanted: Sequence[Waiver]) -> bool:
    """Put ``wanted`` at the end of a settings file, unless it already has them; return whether it changed.

    In pyproject.toml they are those of ``[tool.sightline]``. Raises ``InputError``.
    """
    try:
        text = read_text(path) if path.exists() else ""
        head, *rest = re.split(rf"{re.escape(_BEGIN)}\r?\n", text, maxsplit=1)
        _, *end = re.split(rf"{re.escape(_END)}(?:\r?\n|\Z)", rest[0], maxsplit=1) if rest else ("", "")
        if not end:
            raise InputError(
                f"{str(path)!r} has the line {_BEGIN!r} without {_END!r} below: add that line after its waivers"
            )
        name = "tool.sightline.waiver" if path.name == "pyproject.toml" else "waiver"
        tail, line_end = end[0], "\r\n" if "\r\n" in text else "\n"
        listed = [one for one in wanted if one.fingerprint not in f"{head}{tail}"]
        tables = "".join(f"\n{_table(one, name)}" for one in sorted(listed, key=lambda one: one.fingerprint))
        block = f"{_BEGIN}\n{tables}\n{_END}\n" if listed else ""
        gap = "\n" if head and not head.endswith(line_end * 2) and block else ""
        after = head + f"{gap}{block}".replace("\n", line_end) + tail
        if after == text:
            return False
        replace_text(path, after)
    except OSError as error:
        raise InputError(
            f"cannot write waivers to {str(path)!r}: {error.strerror}; expected a sightline.toml"
        ) from None
    return True


def _table(waiver: Waiver, name: str) -> str:
    # JSON's strings are valid TOML except for DEL, which no reason contains, and for the halves of an emoji as escapes.
    reason = json.dumps(waiver.reason, ensure_ascii=False)
    return f"[[{name}]]\nfingerprint = {json.dumps(waiver.fingerprint)}\nreason = {reason}\n"
