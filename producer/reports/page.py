"""The pages of a report, their outcomes, and their findings grouped by rule. Totals are in ``summary.py``.

Pure: no clock, no I/O. A page that could not be scanned has a problem instead of findings and counts as not
scanned everywhere; only ``passed`` is a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from producer import contract
from producer.contract import IMPACTS, Impact, JsonObject, public_url
from producer.contract.addresses import origin_of, path_of
from producer.contract.states import with_state
from producer.reports.doubts import doubt_text, doubts_of
from producer.reports.marks import NO_MARKS, Marks
from producer.reports.states import folded

if TYPE_CHECKING:  # pydantic takes 60 ms, and submitting pages needs no results
    from producer.contract import Doubt, Finding, Priority, Result, ReviewProposal, ScanResult

Outcome = Literal[
    "passed", "barriers", "doubtful", "partial", "unreachable", "blocked", "failed", "cancelled", "refused", "waiting"
]

WORST_FIRST: Final = IMPACTS[::-1]
_DOUBTS_TOLD: Final = 5
"""Maximum number of doubts in a page's problem; all are listed elsewhere."""


@dataclass(frozen=True, slots=True)
class Page:
    """A requested page and its outcome; ``--strict`` counts a ``doubtful`` one as not scanned.

    ``problem`` says why there is no complete result; ``error`` is its class name. ``result`` is set whenever a scan
    ended with one, also for an unreachable page. ``dismissed`` has the findings that a person decided are not barriers.
    ``marks`` says which barriers are known or waived. ``pictures`` has screenshots of elements by fingerprint: PNG,
    JPEG or WebP. ``state`` names the page's state, '' for the default.
    """

    url: str
    outcome: Outcome
    job_id: str = ""
    result: ScanResult | None = None
    problem: str = ""
    error: str = ""
    marks: Marks = NO_MARKS
    dismissed: tuple[Finding, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    state: str = ""

    @property
    def is_scanned(self) -> bool:
        """Whether the page was scanned completely."""
        return self.outcome in {"passed", "barriers"}

    @property
    def name(self) -> str:
        """The page's address with its state."""
        return with_state(self.url, self.state)

    @property
    def path(self) -> str:
        """The page without its host: path, query and route, with its state."""
        return with_state(path_of(self.url), self.state)

    @property
    def reached_by(self) -> str:
        """The last step before the scan, '' without steps."""
        return self.result.reached_by if self.result else ""

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """The page's doubts, including remarks."""
        return doubts_of(self.result) if self.result else ()

    def held_strictly(self) -> Page:
        """Return the page for ``--strict``: ``doubtful`` if it has a doubt that is not allowed."""
        allowed = self.result.allow_partial if self.result else ()
        counted = [doubt for doubt in self.doubts if doubt.kind not in allowed]
        if not counted or not self.is_scanned:
            return self
        problem = "; ".join(doubt_text(doubt) for doubt in counted[:_DOUBTS_TOLD])
        return replace(self, outcome="doubtful", problem=problem, error="PageInDoubt")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Violations, worst first."""
        return tuple(sorted(self.result.findings, key=_by_impact)) if self.result else ()

    @property
    def barriers(self) -> dict[Impact, int]:
        """Elements that fail a rule, by impact, worst first."""
        counts = dict.fromkeys(WORST_FIRST, 0)
        for finding in self.findings:
            counts[impact_of(finding)] += finding.node_count
        return counts

    @property
    def counted(self) -> Page:
        """The page with only the findings that count for the gate, without known and waived ones."""
        if self.result is None or not self.marks.is_set:
            return self
        findings = tuple(kept for finding in self.findings if (kept := self.marks.counted(finding)))
        return replace(self, result=self.result.revised(findings=findings))

    def document(self) -> JsonObject:
        """Return the page as JSON: the result as stored in Redis, or the same fields as far as known.

        ``marks`` is added after a comparison.
        """
        if self.result is not None:
            marks = {"marks": self.marks.document(self.findings)} if self.marks.is_set else {}
            return {**self.result.model_dump(mode="json"), **marks}
        error = {"type": self.error or "NotScanned", "message": self.problem}
        state = {"page_state": self.state} if self.state else {}
        document = {"v": 1, "job_id": self.job_id, "kind": "scan", "url": self.url, **state}
        return {**document, "state": self.outcome, "error": error}


def page_of(result: Result, *, url: str = "", state: str = "") -> Page:
    """Return the page of a scan's result.

    ``url`` and ``state`` are those requested, which a job without a result no longer has. A worker of a release without
    states scans the default state, as its result shows.
    """
    if isinstance(result, contract.ScanResult) and result.error is None:
        shown = public_url(url or result.url or result.final_url or f"job {result.job_id}")
        if state and not result.page_state:
            problem = f"it was not shown as {state!r}: its worker's release does not support states; update the worker"
            return Page(shown, "failed", result.job_id, None, problem, "WorkerOutdated", state=state)
        if result.status == "scanned":
            outcome = "barriers" if result.findings else "passed"
            return Page(shown, outcome, result.job_id, result, state=result.page_state)
        problem = result.reason or f"the page is {result.status}"
        return Page(shown, result.status, result.job_id, result, problem, "PageNotScanned", state=result.page_state)
    shown = public_url(url or f"job {result.job_id}")
    if result.state == "cancelled" and not result.is_expired:
        return Page(shown, "cancelled", result.job_id, None, "the job was cancelled", "JobCancelled", state=state)
    what = f"the job is a {result.kind or 'job'}, not a scan"
    error = result.error or contract.ErrorInfo(type="NotAScan", message=what)
    return Page(shown, "failed", result.job_id, None, error.message, error.type, state=state)


def refused_page(url: str, problem: str) -> Page:
    """Return the page of an address that was never submitted."""
    return Page(url, "refused", problem=problem, error="InvalidJob")


def waiting_page(url: str, *, job_id: str, problem: str, state: str = "") -> Page:
    """Return the page of a job whose wait timed out."""
    return Page(public_url(url), "waiting", job_id, None, problem, "WaitTimeout", state=state)


def impact_of(finding: Finding) -> Impact:
    """Return the finding's impact; serious if it has none, so that no gate misses it."""
    return finding.impact or Impact.SERIOUS


def fails(page: Page, fail_on: Impact | None) -> bool:
    """Return whether the page has a finding at or above ``fail_on`` that is neither known nor waived."""
    if fail_on is None:
        return False
    return any(impact_of(finding).rank >= fail_on.rank for finding in page.counted.findings)


def selector_text(selector: Sequence[str | tuple[str, ...]]) -> str:
    """Return axe's target as one line: frames joined by ``»``, shadow roots by ``>>>``."""
    return " » ".join(part if isinstance(part, str) else " >>> ".join(part) for part in selector)


def priorities(page: Page) -> dict[str, Priority]:
    """Return the model's texts by the fingerprint of their finding or element."""
    assessment = page.result.assessment if page.result else None
    return {item.fingerprint: item for item in assessment.priorities} if assessment else {}


def proposals(page: Page) -> dict[str, ReviewProposal]:
    """Return a model's proposals for elements that need review, by fingerprint; they are never counted."""
    assessment = page.result.assessment if page.result else None
    return {item.fingerprint: item for item in assessment.reviews} if assessment else {}


@dataclass(slots=True)
class RuleGroup:
    """A failed rule and its pages."""

    rule: str
    impact: Impact
    finding: Finding
    places: list[tuple[Page, Finding]] = field(default_factory=list["tuple[Page, Finding]"])

    @property
    def page_count(self) -> int:
        """Number of pages that fail the rule; a page in several states counts once."""
        return len({page.url for page, _ in self.places})

    @property
    def node_count(self) -> int:
        """Number of elements that fail the rule, on all pages."""
        return sum(finding.node_count for _, finding in self.places)

    @property
    def advice(self) -> tuple[Priority, str] | None:
        """The first text by a model about this rule, with the model's name."""
        for page, finding in self.places:
            found = priorities(page).get(finding.fingerprint)
            if found and page.result:
                return found, page.result.assessed_by.model
        return None


def by_rule(pages: Iterable[Page]) -> list[RuleGroup]:
    """Return the violations of ``pages`` by rule, worst first, then most frequent first."""
    groups: dict[str, RuleGroup] = {}
    for page in pages:
        for finding in page.findings:
            group = groups.setdefault(finding.rule, RuleGroup(finding.rule, impact_of(finding), finding))
            group.impact = max(group.impact, impact_of(finding), key=lambda impact: impact.rank)
            group.places.append((page, finding))
    for group in groups.values():
        group.places = folded(group.places)
    return sorted(groups.values(), key=lambda group: (-group.impact.rank, -group.node_count, group.rule))


def worst_first(pages: Iterable[Page]) -> list[Page]:
    """Return the pages that could not be scanned, then the others by their worst barriers; a stable sort."""
    return sorted(pages, key=lambda page: (page.is_scanned, [-number for number in page.barriers.values()]))


def labels(pages: Sequence[Page]) -> Iterator[str]:
    """Yield a short name of each page: its path if all are on one site, else host and path."""
    sites = sites_of(pages)
    for page in pages:
        site = origin_of(page.url)
        path = path_of(page.url)
        name = (path if len(sites) == 1 else site.partition("://")[2] + path) if site else page.url
        yield with_state(name, page.state)


def sites_of(pages: Iterable[Page]) -> set[str]:
    """Return the sites of the pages that have an address."""
    return {origin_of(page.url) for page in pages} - {""}


def _by_impact(finding: Finding) -> tuple[int, int, str]:
    return (-impact_of(finding).rank, -finding.node_count, finding.rule)
