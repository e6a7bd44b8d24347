"""Marks of a page's barriers: new, known or waived. Pure.

The gate counts barriers that are neither known nor waived. Fingerprints are those of elements (``Node.fingerprint``). A
waiver may also name a component barrier (``Node.issue_id``) on all its pages, or a finding's fingerprint, which is the
same on every page and so covers the whole rule. ``cli/scan/gate.py`` sets the marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from producer.contract import JsonObject
from producer.contract.decision import Decision
from producer.contract.waiver import Waiver

if TYPE_CHECKING:  # pydantic takes 60 ms, and `waive` does not need it
    from producer.contract import Finding, Node

Mark = Literal["new", "known", "waived"]


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks of one page's barriers, by fingerprint.

    ``known`` is None without a comparison. ``unlisted_known`` has the fingerprints of findings whose elements left out
    of the result count as known; the parts into which reports split a finding cannot tell. ``note`` is a sentence
    about gaps in the comparison. ``decisions`` are people's decisions on undecided elements.
    """

    known: frozenset[str] | None = None
    waivers: Mapping[str, Waiver] = field(default_factory=dict[str, Waiver])
    expired: Mapping[str, Waiver] = field(default_factory=dict[str, Waiver])
    decisions: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    unlisted_known: frozenset[str] = frozenset()
    note: str = ""

    @property
    def is_set(self) -> bool:
        """Whether there is anything to mark."""
        return self.known is not None or bool(self.waivers or self.expired or self.decisions)

    def waiver_of(self, finding: Finding, node: Node | None = None) -> Waiver | None:
        """Return the waiver in force for an element, or for those left out of the result if ``node`` is None."""
        return _over(self.waivers, finding, node)

    def expired_of(self, finding: Finding, node: Node | None = None) -> Waiver | None:
        """Return the expired waiver of an element."""
        return _over(self.expired, finding, node)

    def mark(self, finding: Finding, node: Node | None = None) -> Mark | None:
        """Return the mark of an element, or of those left out if ``node`` is None; None if there is no mark."""
        if self.waiver_of(finding, node):
            return "waived"
        if self.known is None:
            return None
        if node is not None:
            return "known" if node.fingerprint in self.known else "new"
        return "known" if finding.fingerprint in self.unlisted_known else "new"

    def each(self, finding: Finding) -> Iterator[tuple[Node | None, Mark | None, int]]:
        """Yield the finding's elements with their marks; last None with the number of those left out."""
        for node in finding.nodes:
            yield node, self.mark(finding, node), 1
        hidden = finding.node_count - len(finding.nodes)
        if hidden > 0:
            yield None, self.mark(finding), hidden

    def counted(self, finding: Finding) -> Finding | None:
        """Return the finding with only the elements that count for the gate; None if none does."""
        kept = [(node, number) for node, mark, number in self.each(finding) if mark in {None, "new"}]
        if not kept:
            return None
        nodes = tuple(node for node, _ in kept if node is not None)
        return finding.revised(nodes=nodes, node_count=sum(number for _, number in kept))

    def text(self, finding: Finding, node: Node | None = None) -> str:
        """Return the mark of an element in words: ``''``, ``new``, ``known``, a waiver, a decision."""
        decision = self.decisions.get(node.fingerprint) if node and self.decisions else None
        said = decision.text if decision else ""
        waiver = self.waiver_of(finding, node)
        if waiver:
            return ", ".join(filter(None, (waiver.text, said)))
        expired = self.expired_of(finding, node)
        lapsed = f"waiver expired on {expired.until}: {expired.reason}" if expired else ""
        return ", ".join(part for part in (self.mark(finding, node) or "", lapsed, said) if part)

    def finding_text(self, finding: Finding) -> str:
        """Return the marks of a finding in words: ``2 new, 1 known``, or one text if all elements share it."""
        texts: dict[str, int] = {}
        for node, _, number in self.each(finding):
            text = self.text(finding, node)
            texts[text] = texts.get(text, 0) + number
        if len(texts) == 1:
            return next(iter(texts))
        return ", ".join(f"{number:,} {text or 'other'}" for text, number in texts.items())

    def document(self, findings: tuple[Finding, ...]) -> JsonObject:
        """Return the marks of ``findings`` as JSON."""
        marks: JsonObject = {}
        used: dict[str, Waiver] = {}
        lapsed: dict[str, Waiver] = {}
        for finding in findings:
            for node, mark, _ in self.each(finding):
                if node is not None and mark:
                    marks[node.fingerprint] = mark
                for waiver, kept in ((self.waiver_of(finding, node), used), (self.expired_of(finding, node), lapsed)):
                    if waiver:
                        kept[waiver.fingerprint] = waiver
        return {
            "barriers": marks,
            "waivers": [waiver.document() for waiver in used.values()],
            "expired_waivers": [waiver.document() for waiver in lapsed.values()],
            "note": self.note,
            **({"decisions": self._decided()} if self.decisions else {}),
        }

    def _decided(self) -> list[JsonObject]:
        counts = Counter(self.decisions.values())
        return [{**decision.document(), "elements": number} for decision, number in counts.items()]


def _over(waivers: Mapping[str, Waiver], finding: Finding, node: Node | None) -> Waiver | None:
    """Return an element's waiver; its own takes precedence over its component's, and that over its rule's."""
    names = (node.fingerprint, node.issue_id, finding.fingerprint) if node else (finding.fingerprint,)
    return next((waivers[name] for name in names if name in waivers), None)


NO_MARKS: Final = Marks()
