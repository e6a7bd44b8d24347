"""Builds prompts for assessments. The texts are in the ``.md`` files of this folder; no model, no Redis.

Text of pages (titles, markup, selectors, URLs) reaches a model only as string values in one JSON document, after a
system message that says so. A prompt's version consists of its name and a digest of its text; it is recorded in results
and in the cache's scope. ``models/builtin/answers.py`` reads the same document. Next: ``prompt.py`` for conversations,
``review.py`` for undecided elements.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from producer.contract import Changes, Finding, JsonObject, Node, ScanResult
from producer.reports.failure_summary import summary_line
from producer.reports.plain_text import cut
from worker.models.protocols import Message

BUDGET_CHARS: Final = 16_000
"""About 5,000 tokens of JSON: with instructions and answer they fit the 8,192 of small models."""
MAX_EXAMPLES: Final = 5
MAX_TEXT: Final = 400
"""Maximum characters of a quoted text; a longer one ends with an ellipsis."""


def load_prompt(name: str) -> str:
    """Return the text of ``<name>.md``, without the final line break."""
    return (files(__name__) / f"{name}.md").read_text("utf-8").removesuffix("\n")


def version_of(name: str, *texts: str) -> str:
    """Return ``name`` and eight hex digits that change with any of ``texts``."""
    digest = sha256("\0".join(texts).encode()).hexdigest()
    return f"{name}-{digest[:8]}"


ASSESS_SYSTEM: Final = load_prompt("assess")
REPAIR: Final = load_prompt("repair")
ASSESS_VERSION: Final = version_of("assess", ASSESS_SYSTEM, REPAIR)


@dataclass(frozen=True, slots=True)
class AssessTask:
    """A task that fits the budget. ``left_out`` counts omitted findings; ``fingerprints`` are the others."""

    messages: tuple[Message, ...]
    fingerprints: tuple[str, ...]
    left_out: int


def assess_task(
    result: ScanResult,
    changes: Changes | None,
    elsewhere: Mapping[str, int],
    *,
    budget_chars: int = BUDGET_CHARS,
    most: int | None = None,
) -> AssessTask:
    """Return the messages that ask for an assessment, worst findings first, trimmed node by node.

    Findings are added first, up to ``most`` that fit; then examples are added in turn. The document contains the
    numbers left out.
    """
    ordered = sorted(result.findings, key=worst_first)
    entries: list[JsonObject] = []
    left = budget_chars
    for finding in ordered[:most]:
        entry = _entry(finding, elsewhere)
        size = len(json.dumps(entry, ensure_ascii=False))
        if size > left:
            break
        entries.append(entry)
        left -= size
    _add_examples(entries, ordered, left)
    left_out = len(ordered) - len(entries)
    document: JsonObject = {
        "task": "assess",
        "page": {"title": clip(result.title), "url": clip(result.final_url or result.url)},
        "findings": entries,
        "findings_left_out": left_out,
    }
    if changes is not None and changes.previous is not None:
        document["changes"] = {
            "new": len(changes.new),
            "fixed": len(changes.fixed),
            "unchanged": changes.unchanged,
        }
    messages = (
        Message("system", ASSESS_SYSTEM),
        Message("user", json.dumps(document, ensure_ascii=False)),
    )
    return AssessTask(messages, tuple(finding.fingerprint for finding in ordered[: len(entries)]), left_out)


def clip(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` on one line, at most ``limit`` characters; a cut is marked with an ellipsis."""
    return cut(" ".join(text.split()), limit)


def node_quoted(node: Node) -> JsonObject:
    """Return an element as input for a model, with its texts shortened."""
    selector = " ".join(part if isinstance(part, str) else " ".join(part) for part in node.selector)
    return {
        "selector": clip(selector),
        "markup": clip(node.snippet),
        "problem": clip(summary_line(node.failure_summary)),
    }


def worst_first(finding: Finding) -> tuple[int, int, str]:
    """Order findings by impact, then by their elements."""
    return (-(finding.impact.rank if finding.impact else -1), -finding.node_count, finding.rule)


def _entry(finding: Finding, elsewhere: Mapping[str, int]) -> JsonObject:
    return {
        "fingerprint": finding.fingerprint,
        "rule": finding.rule,
        "impact": finding.impact.value if finding.impact else None,
        "criteria": list(finding.criteria),
        "areas": [tag.removeprefix("cat.") for tag in finding.tags if tag.startswith("cat.")],
        "help": clip(finding.help),
        "elements": finding.node_count,
        "pages_elsewhere": elsewhere.get(finding.rule, 0),
        "examples": [],
        "examples_left_out": finding.node_count,
    }


def _add_examples(entries: list[JsonObject], findings: list[Finding], budget_chars: int) -> None:
    """Give each entry one example, then each a second, and so on, while the budget lasts."""
    for number in range(MAX_EXAMPLES):
        for entry, finding in zip(entries, findings, strict=False):
            if number >= len(finding.nodes):
                continue
            example = node_quoted(finding.nodes[number])
            budget_chars -= len(json.dumps(example, ensure_ascii=False))
            if budget_chars < 0:
                return
            entry["examples"].append(example)
            entry["examples_left_out"] -= 1
