"""Asks a model for the changed markup of elements that no rule can fix. Its proposals are tried, never trusted.

One call per page, about the worst few component barriers; each is asked about once, since its outcome is stored. If the
model is unavailable, the others are tried without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import BaseModel

from producer.contract import Usage
from producer.contract.fixes import TriedFix
from producer.errors import ContextExceeded
from producer.reports.failure_summary import summary_line
from worker.agent.fixes.tried import Element, Name, name_of
from worker.agent.prompts import clip, load_prompt, version_of
from worker.agent.structured_reply import NoAnswer, ask_in_form, schema_about
from worker.models.protocols import ChatModel, Message, add_usage
from worker.scan.fixes.wanted import NOTHING

FIX_SYSTEM: Final = load_prompt("fix")
FIX_VERSION: Final = version_of("fix", FIX_SYSTEM)
MOST_ASKED: Final = 8
MAX_MARKUP: Final = 600
"""Maximum characters of an element: its change is as long, and an answer has 2,048 tokens."""
_NOT_BY_MARKUP: Final = frozenset(
    {"color-contrast", "color-contrast-enhanced", "target-size", "link-in-text-block", "css-orientation-lock"}
)
"""Rules about the appearance of an element."""


class FixDraft(BaseModel):
    """One change as a model writes it."""

    element: str
    markup: str = ""


class FixesDraft(BaseModel):
    """All changes as a model writes them."""

    fixes: list[FixDraft]


@dataclass(frozen=True, slots=True)
class Said:
    """Markup by ``issue_id``; ``unsaid`` are the components that the model has no proposal for."""

    markup: Mapping[str, str] = field(default_factory=dict[str, str])
    unsaid: Mapping[Name, TriedFix] = field(default_factory=dict[Name, TriedFix])
    usage: Usage = field(default_factory=Usage)


def may_propose(element: Element) -> bool:
    """Return whether a change of the element's markup could fix it and fits into a model's answer."""
    finding, node = element
    return finding.rule not in _NOT_BY_MARKUP and 0 < len(node.snippet) <= MAX_MARKUP


@dataclass(frozen=True, slots=True)
class ModelProposer:
    """Asks ``chat`` for proposals."""

    chat: ChatModel

    @property
    def name(self) -> str:
        """The model, and the version of the prompt."""
        return f"{self.chat.name} ({FIX_VERSION})"

    async def propose(self, elements: Sequence[Element]) -> Said:
        """Return the model's proposals for the first few elements, or for those of them that fit its context.

        Raises no error that the model can cause.
        """
        asked = {f"e{number}": one for number, one in enumerate(elements[:MOST_ASKED], 1)}
        document = {"task": "fix", "elements": [_quoted(name, one) for name, one in asked.items()]}
        messages = [Message("system", FIX_SYSTEM), Message("user", json.dumps(document, ensure_ascii=False))]
        schema = schema_about(FixesDraft, "fixes", key="element", known=list(asked))
        answer = await ask_in_form(self.chat, messages, FixesDraft, schema, entries="fixes")
        if isinstance(answer, NoAnswer):
            if isinstance(answer.failure, ContextExceeded) and len(asked) > 1:
                fewer = await self.propose(elements[: len(asked) // 2])
                return replace(fewer, usage=add_usage(answer.usage, fewer.usage))
            if answer.failure is None:  # it answered, twice without the form: it would do so on every page
                return Said(unsaid=self._unsaid(asked.values()), usage=answer.usage)
            return Said(usage=answer.usage)
        markup = {fix.element: fix.markup.strip() for fix in reversed(answer.draft.fixes)}
        said = {one[1].issue_id: markup[name] for name, one in asked.items() if markup.get(name)}
        missing = [] if answer.is_cut else [one for name, one in asked.items() if not markup.get(name)]
        return Said(said, self._unsaid(missing), answer.usage)

    def _unsaid(self, elements: Iterable[Element]) -> Mapping[Name, TriedFix]:
        return {
            (rule, issue_id): TriedFix(issue_id=issue_id, rule=rule, verdict="not_tried", by=self.name, why=NOTHING)
            for rule, issue_id in map(name_of, elements)
        }


def _quoted(name: str, element: Element) -> dict[str, str]:
    finding, node = element
    return {
        "element": name,
        "rule": finding.rule,
        "help": clip(finding.help),
        "failure": clip(summary_line(node.failure_summary)),
        "markup": node.snippet,
    }
