"""Checks a model's answer and its citations. Pure.

An answer cites scans as ``[scan ID]``. Its sources are those that tools returned or that an earlier answer of the
conversation cited; invented ids are removed from the text and counted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, cast

from worker.agent.conversation.tool_args import ARGS

MAX_ANSWER: Final = 20_000
"""Maximum characters of an answer: a model that writes more is probably in a loop."""
NO_SOURCE: Final = "the answer is not based on a scan"
NO_SCAN_SAYS: Final = "No scan says this: "
"""Prefix of an answer without citations even after a look-up was made for it."""
_CITED: Final = re.compile(r" ?\[scans? ([A-Za-z0-9][A-Za-z0-9_., -]{0,1000})\]", re.IGNORECASE)
_CALL: Final = re.compile(
    r"<\|?tool_calls?\|?>|\[TOOL_CALLS\]"
    r"|[\[{\s]*[\"'](?:name|tool|function)[\"']\s*:\s*(?:{\s*[\"']name[\"']\s*:\s*)?"
    rf"[\"'](?:{'|'.join(ARGS)})[\"']",
    re.IGNORECASE,
)
"""The beginning of a call as models write it that know no other form."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Grounded:
    """An answer with its sources, in order of mention; ``notes`` describe its faults."""

    text: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def is_unusable(text: str) -> bool:
    """Return whether ``text`` cannot be shown as an answer: empty, or a tool call written as text, even if cut."""
    bare = text.strip().removeprefix("```json").strip("` \n")
    if not bare or _CALL.match(bare):
        return True
    try:
        value: object = json.loads(bare)
    except (ValueError, RecursionError):
        return False
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return str(fields.get("name")) in ARGS or str(fields.get("tool")) in ARGS


def ground(text: str, known: frozenset[str]) -> Grounded:
    """Return the answer ``text``, its citations checked against the scans that are ``known``."""
    notes: list[str] = []
    text = text.strip()
    if len(text) > MAX_ANSWER:
        text = text[: MAX_ANSWER - 1] + "…"
        notes.append(f"the answer was cut after {MAX_ANSWER} characters")
    sources: dict[str, None] = {}
    invented: set[str] = set()

    def check(match: re.Match[str]) -> str:
        ids = cast("list[str]", _ID.findall(match[1].replace("scan ", "")))
        real = [one for one in ids if one in known]
        sources.update(dict.fromkeys(real))
        invented.update(set(ids) - known)
        return f" [scan {', '.join(real)}]" if real else ""

    text = _CITED.sub(check, text)
    if invented:
        notes.append(f"the model cited {_number(len(invented), 'scan')} that no tool returned: removed")
    return Grounded(text.strip(), tuple(sources), tuple(notes))


def no_answer(asked: int, calls: int) -> str:
    """Return the text shown if the model produced no answer."""
    return (
        f"There is no answer: asked {_number(asked, 'time')}, the model called {_number(calls, 'tool')} "
        f"and never answered in words."
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
