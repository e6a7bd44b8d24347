"""What a person has to judge, and what a model proposes about it, for the reports that have room for lines. Pure.

A proposal is no verdict: it is in no count of barriers and no gate, and always stands with the name of its model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract import Finding, Node, ReviewProposal
from producer.reports.page import Page, proposals
from producer.reports.plain_text import counted, one_line

_WORDS: Final = {"barrier": "barrier", "no_barrier": "no barrier", "cannot_tell": "cannot tell"}


@dataclass(frozen=True, slots=True)
class Proposed:
    """One element that needs review, and what is proposed about it."""

    page: Page
    finding: Finding
    node: Node
    proposal: ReviewProposal


def verdict_word(proposal: ReviewProposal) -> str:
    """Return the proposed verdict in words."""
    return _WORDS.get(proposal.verdict, proposal.verdict)


def proposed(pages: Iterable[Page]) -> list[Proposed]:
    """Return the elements with a proposal as a person should look at them: barriers, then what the model can't tell."""
    found: list[Proposed] = []
    for page in pages:
        by_node = proposals(page)
        for finding in page.result.incomplete if page.result and by_node else ():
            named = ((node, by_node.get(node.fingerprint)) for node in finding.nodes)
            found += [Proposed(page, finding, node, proposal) for node, proposal in named if proposal]
    rank = {"barrier": 0, "cannot_tell": 1}
    return sorted(found, key=lambda one: rank.get(one.proposal.verdict, 2))


def proposal_line(proposal: ReviewProposal, *, limit: int | None = None) -> str:
    """Return what is proposed and why, on one line: ``barrier: the text fades into the photo. Look at: …``."""
    why = f": {one_line(proposal.why)}" if proposal.why.strip() else ""
    look_at = f" Look at: {one_line(proposal.look_at)}" if proposal.look_at.strip() else ""
    return one_line(f"{verdict_word(proposal)}{why}{look_at}", limit=limit)


def proposals_line(found: Sequence[Proposed]) -> str:
    """Return who proposes what of how many elements, for a person to decide."""
    verdicts = Counter[str](one.proposal.verdict for one in found)
    shares = ", ".join(f"{word} {verdicts[name]:,}" for name, word in _WORDS.items() if verdicts[name])
    sources = ", ".join(sorted({one_line(one.proposal.source, limit=60) for one in found} - {""})) or "a model"
    return f"{sources} proposes of {counted(len(found), 'element')}: {shares}"
