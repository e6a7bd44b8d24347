"""A document of the scan history as plain values. Pure: no Redis, no clock.

A document is a hash with searchable tags and numbers, texts, the fingerprints of the barriers, the embedded text and
its vectors. An unchanged page (equal ``signature``) gets no new document; its last one records when it was last seen.
``history.py`` finds documents.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, cast

from producer.contract import Changes, Counts, Finding, Impact, JsonObject, ScanRequest, ScanResult, page_id
from producer.contract.addresses import any_port, host_of, path_of, site_of, without_port
from producer.contract.component_name import examples_of
from producer.contract.findings import counts_of
from producer.redis.scripts import as_text
from worker.memory.vectors.embeddings import Embedded
from worker.memory.vectors.indexes import exact_tag

MAX_FINGERPRINTS: Final = 2_000
"""Fingerprints stored per scan, about 55 KB, since documents are kept until pruned; further ones are only counted."""
EXAMPLES_KEPT: Final = 5
"""Examples stored per component of a page, so that a comparison can tell its elements apart."""
MAX_TITLE: Final = 300
MAX_SUMMARY: Final = 2_000
MAX_TEXT: Final = 8_000
"""Characters embedded, and stored for the next model; about as many as embedding models read."""

Fields = dict[str, str | bytes | int | float]


DEFAULT_STANDARD: Final = "wcag22aa"
"""The standard of a record without one."""


@dataclass(frozen=True, slots=True)
class RecordedFinding:
    """A finding as stored in the history. ``nodes`` are the elements' fingerprints, all unless ``is_trimmed``.

    ``components`` counts its listed elements by ``issue_id``; empty in records of earlier releases. ``examples`` are
    the files or texts in these elements' names, by ``issue_id``.
    """

    rule: str
    impact: Impact | None
    fingerprint: str
    node_count: int
    nodes: tuple[str, ...]
    criteria: tuple[str, ...] = ()
    components: Mapping[str, int] = field(default_factory=dict[str, int])
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def is_trimmed(self) -> bool:
        """Whether ``nodes`` omits some elements."""
        return self.node_count > len(self.nodes)


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """A document without its vector. Times are Redis ms; ``times_seen`` counts the scans it represents.

    ``terms`` is a digest of the scan's rules and view (``terms_of``), ``run`` the pipeline run that first saw this
    state. ``page_state`` is '' for the default state, and where a release recorded none. ``last_job`` saw it last.
    """

    scan_id: str
    page: str
    url: str
    host: str
    group: str
    title: str
    status: str
    summary: str
    signature: str
    standard: str
    terms: str
    at_ms: int
    last_seen_ms: int
    times_seen: int
    counts: Counts
    barriers: Counts
    findings: tuple[RecordedFinding, ...]
    run: str = ""
    page_state: str = ""
    last_job: str = ""

    @property
    def components(self) -> dict[str, int]:
        """The page's component barriers: ``issue_id`` → elements; empty in records of earlier releases."""
        return {issue_id: count for finding in self.findings for issue_id, count in finding.components.items()}

    def examples_of(self, issue_id: str) -> tuple[str, ...]:
        """Return files or texts of a component's elements on the page; none if its name tells them apart."""
        return tuple(one for finding in self.findings for one in finding.examples.get(issue_id, ()))


def page_of(request: ScanRequest) -> str:
    """Return the page's id in the history; for HTML without an address it is derived from the text."""
    if request.url is not None:
        return page_id(request.page_url)
    return f"html-{sha256((request.html or '').encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def recorded_findings(findings: Sequence[Finding]) -> tuple[RecordedFinding, ...]:
    """Return ``findings`` for storage, with at most ``MAX_FINGERPRINTS`` elements; small findings stay complete."""
    left = MAX_FINGERPRINTS
    kept: dict[str, tuple[str, ...]] = {}
    for finding in sorted(findings, key=lambda one: len(one.nodes)):
        nodes = tuple(dict.fromkeys(node.fingerprint for node in finding.nodes))[:left]
        kept[finding.fingerprint] = nodes
        left -= len(nodes)
    return tuple(
        RecordedFinding(
            rule=finding.rule,
            impact=finding.impact,
            fingerprint=finding.fingerprint,
            # Elements with the same fingerprint count once, as in every comparison.
            node_count=_distinct(finding),
            nodes=kept[finding.fingerprint],
            criteria=finding.criteria,
            components=dict(Counter({n.fingerprint: n.issue_id for n in finding.nodes if n.issue_id}.values())),
            examples=_examples(finding),
        )
        for finding in findings
    )


def _examples(finding: Finding) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for node in finding.nodes:
        names.setdefault(node.issue_id, []).append(node.component)
    found = ((issue_id, examples_of(some, limit=EXAMPLES_KEPT)) for issue_id, some in names.items())
    return {issue_id: some for issue_id, some in found if issue_id and some}


def _distinct(finding: Finding) -> int:
    unlisted = max(0, finding.node_count - len(finding.nodes))
    return len({node.fingerprint for node in finding.nodes}) + unlisted


def signature(result: ScanResult) -> str:
    """Return a digest that is equal for unchanged pages: of status, title, barriers and doubts."""
    findings = sorted((f.fingerprint, f.node_count, *sorted(n.fingerprint for n in f.nodes)) for f in result.findings)
    doubts = sorted((f.fingerprint, f.node_count) for f in result.incomplete)
    whole = [result.status, result.title, result.group, result.standard, findings, doubts]
    return sha256(json.dumps(whole).encode()).hexdigest()[:32]


def compare(before: ScanRecord, now: Sequence[RecordedFinding], *, is_whole: bool = True) -> Changes:
    """Return the changes since ``before`` by rule and element fingerprint.

    Absence proves nothing in incomplete data: with a trimmed finding on one side or a partial scan, elements are
    reported neither new nor fixed, and ``uncertain`` names those rules.
    """
    old = {finding.rule: finding for finding in before.findings}
    new = {finding.rule: finding for finding in now}
    appeared: list[str] = []
    gone: list[str] = []
    unchanged = 0
    uncertain: list[str] = []
    for rule in sorted(old.keys() | new.keys()):
        was = set(old[rule].nodes) if rule in old else set[str]()
        has = set(new[rule].nodes) if rule in new else set[str]()
        unchanged += len(was & has)
        knows_old = rule not in old or not old[rule].is_trimmed
        knows_new = is_whole and (rule not in new or not new[rule].is_trimmed)
        appeared += sorted(has - was) if knows_old else []
        gone += sorted(was - has) if knows_new else []
        if not (knows_old and knows_new) and was != has:
            uncertain.append(rule)
    return Changes(
        previous=before.scan_id,
        new=tuple(appeared),
        fixed=tuple(gone),
        unchanged=unchanged,
        uncertain=tuple(uncertain),
    )


def search_text(result: ScanResult) -> str:
    """Return the text to embed for ``result``: the page, the failed rules, and axe's explanations."""
    path = path_of(result.url).partition("?")[0].replace("/", " ").replace("-", " ")
    lines = [f"{result.title} {host_of(result.url)} {path} {result.group}".strip(), result.status, result.reason]
    for finding in result.findings:
        criteria = " ".join(f"WCAG {criterion}" for criterion in finding.criteria)
        impact = finding.impact.value if finding.impact else ""
        lines.append(f"{finding.rule.replace('-', ' ')}: {finding.help} {impact} {criteria}".strip())
    if result.status == "scanned" and not result.findings:
        lines.append("no barriers found")
    return "\n".join(line for line in lines if line)[:MAX_TEXT]


def document(
    result: ScanResult, *, page: str, terms: str = "", run: str = "", at_ms: int, seen_ms: int, embedded: Embedded
) -> Fields:
    """Return the hash of ``result``; ``embedded`` is its ``search_text`` with vectors, if any.

    ``result.scan_id`` names it; ``at_ms`` is when this state was first seen, ``seen_ms`` when it was last seen.
    Without a vector, the document is not found by meaning. Fields that do not apply are omitted, because an empty tag
    is not indexed, and so are the default standard and counts of 0, because each record is kept until pruned.
    ``times_seen`` is incremented separately.
    """
    findings = recorded_findings(result.findings)
    components = sorted({issue_id for finding in findings for issue_id in finding.components})
    places = {issue_id: place for place, issue_id in enumerate(components)}
    site = site_of(result.url)
    fields: Fields = {
        "page": page,
        "terms": terms,
        "run": run,
        "standard": result.standard if result.standard != DEFAULT_STANDARD else "",
        "status": result.status,
        "host": site_tags(site),
        "group": exact_tag(result.group) if result.group else "",
        "rules": _tags(finding.rule for finding in findings),
        "impacts": _tags(finding.impact.value for finding in findings if finding.impact),
        "criteria": _tags(criterion for finding in findings for criterion in finding.criteria),
        "components": ",".join(components),
        "url": result.url,
        "host_name": site,
        "group_name": result.group,
        "page_state": result.page_state,
        "title": _cut(result.title, MAX_TITLE),
        "summary": cut_summary(result.assessment.summary) if result.assessment else "",
    }
    kept = {name: value for name, value in fields.items() if value != ""}
    kept |= {
        "at_ms": at_ms,
        "last_seen_ms": seen_ms,
        "signature": signature(result),
        "counts": result.counts.model_dump_json(exclude_defaults=True),
        "barriers": result.barriers.model_dump_json(exclude_defaults=True),
        "findings": json.dumps([_pack(finding, places) for finding in findings], separators=(",", ":")),
    }
    return kept | embedded.fields()


def site_tags(site: str) -> str:
    """Return the search tags of a site: the site itself and ``host:*``."""
    others = [any_port(site)] if site != without_port(site) else []
    return ",".join(exact_tag(name) for name in (site, *others) if name)


def cut_summary(summary: str) -> str:
    """Return an assessment's summary, shortened for a record."""
    return _cut(summary, MAX_SUMMARY)


def _cut(text: str, limit: int) -> str:
    """Return ``text``, shortened to ``limit`` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _tags(values: Iterable[str]) -> str:
    return ",".join(sorted({exact_tag(value) for value in values if value}))


def _pack(finding: RecordedFinding, places: Mapping[str, int]) -> JsonObject:
    # Refer to a component by its index in the document's tags, since an id takes 25 bytes in each document.
    counts = sorted((places[issue_id], count) for issue_id, count in finding.components.items())
    examples = [[places[issue_id], *some] for issue_id, some in sorted(finding.examples.items())]
    about = {"k": [number for pair in counts for number in pair]} if counts else {}
    return (
        about
        | ({"e": examples} if examples else {})
        | {
            "r": finding.rule,
            "i": finding.impact.value if finding.impact else None,
            "f": finding.fingerprint,
            "c": finding.node_count,
            "n": finding.nodes,
            "w": finding.criteria,
        }
    )


def _unpack(item: JsonObject, components: Sequence[str]) -> RecordedFinding:
    counts: list[int] = item.get("k", [])
    return RecordedFinding(
        rule=item["r"],
        impact=Impact(item["i"]) if item["i"] else None,
        fingerprint=item["f"],
        node_count=item["c"],
        nodes=tuple(item["n"]),
        criteria=tuple(item["w"]),
        components={components[place]: count for place, count in zip(counts[::2], counts[1::2], strict=True)},
        examples={components[int(place)]: tuple(some) for place, *some in cast("list[list[str]]", item.get("e", []))},
    )


RETURNED: Final[tuple[str, ...]] = (
    "page", "url", "host_name", "group_name", "title", "status", "summary", "signature", "standard", "terms",
    "at_ms", "last_seen_ms", "times_seen", "counts", "barriers", "findings", "run", "components",
    "page_state", "last_job",
)  # fmt: skip
"""The fields that ``parse`` reads, without the vector."""
_EMPTY: Final = dict.fromkeys(RETURNED, "")


def parse(scan_id: str, fields: Mapping[str, Any]) -> ScanRecord:
    """Decode the fields written by ``document``, as bytes or text."""
    text = _EMPTY | {name: as_text(value) for name, value in fields.items()}
    packed = cast("list[JsonObject]", json.loads(text["findings"] or "[]"))
    return ScanRecord(
        scan_id=scan_id,
        page=text["page"],
        url=text["url"],
        host=text["host_name"],
        group=text["group_name"],
        title=text["title"],
        status=text["status"],
        summary=text["summary"],
        signature=text["signature"],
        standard=text["standard"] or DEFAULT_STANDARD,
        terms=text["terms"],
        at_ms=int(text["at_ms"] or 0),
        last_seen_ms=int(text["last_seen_ms"] or 0),
        times_seen=int(text["times_seen"] or 0),
        counts=counts_of(text["counts"] or "{}"),
        barriers=counts_of(text["barriers"] or "{}"),
        findings=tuple(_unpack(item, text["components"].split(",")) for item in packed),
        run=text["run"],
        page_state=text["page_state"],
        last_job=text["last_job"] or scan_id,
    )
