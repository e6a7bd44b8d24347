"""Findings of axe-core on a page (rules and failing elements), and doubts about a scan."""

from __future__ import annotations

from functools import lru_cache
from operator import not_
from typing import Literal, Self, TypedDict, Unpack

from pydantic import Field, ValidationInfo, field_validator

from producer.contract.doubts import DOUBTS, REMARKS
from producer.contract.live import Evidence
from producer.contract.message import Part
from producer.contract.terms import Impact


class MeasuredContrast(Part):
    """The contrast of a text as rendered, for texts whose styles alone do not decide it.

    ``lowest`` and ``highest`` are ratios to 1 between letters and background, rounded down to a tenth, ignoring a few
    stray pixels; ``needed`` is WCAG's minimum for text of this size. The element still needs review.
    """

    lowest: float
    highest: float
    needed: float
    verdict: Literal["fails", "passes", "undecided"]


class NodeRevision(TypedDict, total=False):
    """The fields of an element that can be replaced."""

    failure_summary: str
    fingerprint: str
    evidence: Evidence | None


class Node(Part):
    """One element that fails a rule: one barrier.

    ``selector`` is axe's target: a CSS selector per frame (a list of selectors for shadow roots), outermost first.
    ``box`` is left, top, width, height in the page's pixels; it is set for elements outside frames, in scans with
    screenshots and for images that a model looked at, and omitted from the JSON otherwise. So is ``contrast``, set only
    if the contrast needs review and could be measured. ``issue_id`` is the component barrier that the element belongs
    to, the same on all pages of a site (the part before ``-`` is the same on all sites), ``component`` its name;
    results of earlier releases have neither. ``unnamed``: the element has no class, name or address, so the component
    covers any similar element in the same place, and fingerprints tell which of them are new. ``evidence`` comes from a
    live check.
    """

    selector: tuple[str | tuple[str, ...], ...]
    snippet: str
    failure_summary: str = ""
    fingerprint: str
    issue_id: str = Field(default="", exclude_if=not_)
    component: str = Field(default="", exclude_if=not_)
    unnamed: bool = Field(default=False, exclude_if=not_)
    box: tuple[int, int, int, int] | None = Field(default=None, exclude_if=not_)
    contrast: MeasuredContrast | None = Field(default=None, exclude_if=not_)
    evidence: Evidence | None = Field(default=None, exclude_if=not_)

    def revised(self, **changes: Unpack[NodeRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)


class FindingRevision(TypedDict, total=False):
    """The fields of a finding that depend on the number of listed nodes and on decisions."""

    outcome: Literal["violation", "incomplete"]
    nodes: tuple[Node, ...]
    node_count: int
    engine: str


class Finding(Part):
    """One axe rule that failed (``violation``) or needs review (``incomplete``) on one page.

    ``node_count`` counts all nodes found, including those trimmed from ``nodes`` to keep the result small. A stored one
    below the number of ``nodes``, or below 1, is corrected: no gate or report may miss a rule that failed.
    ``criteria`` are WCAG success criteria such as ``1.4.3``. ``engine`` is ``live`` for findings of live checks, and
    omitted from the JSON for all others.
    """

    rule: str
    outcome: Literal["violation", "incomplete"] = "violation"
    impact: Impact | None = None
    criteria: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    help: str = ""
    help_url: str = ""
    description: str = ""
    nodes: tuple[Node, ...] = ()
    node_count: int = Field(default=0, validate_default=True)
    fingerprint: str
    engine: str = Field(default="", exclude_if=not_)

    @field_validator("node_count")
    @classmethod
    def _at_least_listed(cls, count: int, info: ValidationInfo) -> int:
        return max(count, len(info.data.get("nodes", ())), 1)

    @property
    def is_trimmed(self) -> bool:
        """Whether nodes were left out."""
        return self.node_count > len(self.nodes)

    def revised(self, **changes: Unpack[FindingRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)


class Counts(Part):
    """A number for each impact."""

    critical: int = 0
    serious: int = 0
    moderate: int = 0
    minor: int = 0

    @property
    def total(self) -> int:
        """The sum over the impacts."""
        return self.critical + self.serious + self.moderate + self.minor


@lru_cache(maxsize=1_000)
def counts_of(text: str) -> Counts:
    """Return the numbers in a record's JSON; cached, since many pages of a site share them."""
    return Counts.model_validate_json(text)


class ComponentChange(Part):
    """A component barrier that is new on its site, or gone from a page."""

    issue_id: str
    name: str
    rule: str
    impact: Impact | None = None


class SpreadComponent(ComponentChange):
    """A component barrier known on its site that a page did not have before.

    ``group`` is the page's group if no other page of it had the barrier; else ''.
    """

    group: str = Field(default="", exclude_if=not_)


class ChangesRevision(TypedDict, total=False):
    """The fields of a comparison about component barriers."""

    new_components: tuple[ComponentChange, ...] | None
    spread_components: tuple[SpreadComponent, ...]
    mended_components: tuple[ComponentChange, ...]
    components_left_out: int


class Changes(Part):
    """Barriers compared with the previous scan of the same URL, by node fingerprint; ``previous`` is None without one.

    ``uncertain`` names the rules whose elements were not all listed in both scans.

    ``new_components`` are the component barriers that were not known on the site before the pipeline run (else the
    batch, else the job) began; None if they were not compared, as in results of earlier releases.
    ``mended_components`` are those that the page no longer has, ``spread_components`` the known ones that it did not
    have before. ``components_left_out`` counts those beyond the lists' limits.
    """

    previous: str | None = None
    new: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    unchanged: int = 0
    uncertain: tuple[str, ...] = ()
    new_components: tuple[ComponentChange, ...] | None = Field(default=None, exclude_if=lambda some: some is None)
    mended_components: tuple[ComponentChange, ...] = Field(default=(), exclude_if=not_)
    spread_components: tuple[SpreadComponent, ...] = Field(default=(), exclude_if=not_)
    components_left_out: int = Field(default=0, exclude_if=not_)

    def revised(self, **changes: Unpack[ChangesRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)


class Doubt(Part):
    """One doubt about one page: ``kind`` for programs, ``what`` for people.

    ``what`` is one line of plain text, ``where`` a selector or an address ('' for the whole page). ``certain`` is
    measured; ``likely`` is inferred from the page's text or appearance.
    """

    kind: str
    what: str
    where: str = ""
    certainty: Literal["certain", "likely"] = "certain"

    @property
    def is_unseen(self) -> bool:
        """Whether the kind makes a page ``partial``. Unknown kinds are remarks: the status decides."""
        return self.kind in DOUBTS and self.kind not in REMARKS
