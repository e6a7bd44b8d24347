"""Findings that need review, with a model's proposals and measured contrast. Pure.

Proposals and measurements are in no count and no gate. A proposal is always shown with its model's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract import Finding, MeasuredContrast, Node, ReviewProposal
from producer.reports.page import Page, proposals
from producer.reports.plain_text import counted, one_line
from producer.reports.states import Seen, together

_WORDS: Final = {"barrier": "barrier", "no_barrier": "no barrier", "cannot_tell": "cannot tell"}
_MEASURED: Final = ("fails", "undecided", "passes")


@dataclass(frozen=True, slots=True)
class Proposed:
    """An element that needs review, and the proposal for it."""

    page: Page
    finding: Finding
    node: Node
    proposal: ReviewProposal

    @property
    def word(self) -> str:
        """The proposed verdict in words."""
        return verdict_word(self.proposal)

    def line(self, limit: int) -> str:
        """Return the proposal and its reason in up to ``limit`` characters."""
        return proposal_line(self.proposal, limit=limit)


@dataclass(frozen=True, slots=True)
class Measured:
    """An element whose contrast axe-core left undecided and the scan measured."""

    page: Page
    finding: Finding
    node: Node
    contrast: MeasuredContrast

    @property
    def word(self) -> str:
        """The verdict of the ratios."""
        return self.contrast.verdict

    def line(self, limit: int) -> str:
        """Return the measurement in up to ``limit`` characters."""
        return one_line(f"{self.word}: {contrast_text(self.contrast)}", limit=limit)


def verdict_word(proposal: ReviewProposal) -> str:
    """Return the proposed verdict in words."""
    return _WORDS.get(proposal.verdict, proposal.verdict)


def _undecided(pages: Iterable[Page]) -> Iterator[tuple[Page, Finding, Node]]:
    """Yield the elements that need review, each element of a page once even if several states show it."""
    seen = Seen()
    for page in together(pages):
        for finding in page.result.incomplete if page.result else ():
            added = seen.added(page, finding)
            yield from ((page, finding, node) for node in (added.nodes if added else ()))


def proposed(pages: Iterable[Page]) -> list[Proposed]:
    """Return the elements with a proposal in the order of review: proposed barriers first, then uncertain ones."""
    found = [
        Proposed(page, finding, node, proposal)
        for page, finding, node in _undecided(page for page in pages if proposals(page))
        if (proposal := proposals(page).get(node.fingerprint))
    ]
    rank = {"barrier": 0, "cannot_tell": 1}
    return sorted(found, key=lambda one: rank.get(one.proposal.verdict, 2))


def proposal_line(proposal: ReviewProposal, *, limit: int | None = None) -> str:
    """Return the proposal and its reason on one line: ``barrier: the text fades into the photo. Look at: …``."""
    why = f": {one_line(proposal.why)}" if proposal.why.strip() else ""
    look_at = f" Look at: {one_line(proposal.look_at)}" if proposal.look_at.strip() else ""
    return one_line(f"{verdict_word(proposal)}{why}{look_at}", limit=limit)


def proposals_line(found: Sequence[Proposed]) -> str:
    """Return the models and their numbers of proposals."""
    verdicts = Counter[str](one.proposal.verdict for one in found)
    shares = ", ".join(f"{word} {verdicts[name]:,}" for name, word in _WORDS.items() if verdicts[name])
    sources = ", ".join(sorted({one_line(one.proposal.source, limit=60) for one in found} - {""})) or "a model"
    return f"{sources} proposes for {counted(len(found), 'element')}: {shares}"


def contrast_text(contrast: MeasuredContrast) -> str:
    """Return the ratios in words: ``contrast measured 1.9:1 to 5:1, needs 4.5:1``."""
    lowest, highest, needed = (f"{value:g}:1" for value in (contrast.lowest, contrast.highest, contrast.needed))
    return f"contrast measured {lowest if lowest == highest else f'{lowest} to {highest}'}, needs {needed}"


def measured(pages: Iterable[Page]) -> list[Measured]:
    """Return the elements with measured contrast, failing ones first."""
    found = [Measured(page, finding, node, node.contrast) for page, finding, node in _undecided(pages) if node.contrast]
    return sorted(found, key=lambda one: _MEASURED.index(one.word))


def measured_line(found: Sequence[Measured]) -> str:
    """Return the number of measured elements, and of all undecided ones."""
    undecided = {(id(one.page), one.finding.fingerprint): one.finding.node_count for one in found}
    shares = Counter(one.word for one in found)
    words = ", ".join(f"{word} {shares[word]:,}" for word in _MEASURED if shares[word])
    return f"contrast measured for {len(found):,} of {counted(sum(undecided.values()), 'element')}: {words}"


def reviews(pages: Sequence[Page]) -> list[tuple[str, Sequence[Proposed | Measured]]]:
    """Return a line about each kind of elements that need review, and the elements."""
    ratios, said = measured(pages), proposed(pages)
    found = [(measured_line(ratios), ratios)] if ratios else []
    return [*found, *([(proposals_line(said), said)] if said else [])]
