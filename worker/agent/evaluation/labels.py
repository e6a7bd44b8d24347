"""The labelled sets in ``findings.json`` and ``questions.json``; the classes explain the labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from producer.contract import Finding, Impact, Node, ScanResult, check_job_id


def _pattern(text: str) -> str:
    re.compile(text)
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
"""A regular expression, searched case-insensitively."""
Because = Annotated[str, Field(min_length=10)]
"""The reason why the label is right."""


class Labelled(BaseModel):
    """Base of the files' records; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelledElement(Labelled):
    """One element that fails a rule."""

    selector: str
    markup: str
    problem: str


class LabelledFinding(Labelled):
    """A finding and its right answers: whom it affects, and the fix."""

    rule: str
    impact: Impact
    criteria: tuple[str, ...]
    area: str
    help: str
    elements: tuple[LabelledElement, ...] = Field(min_length=1)
    who: Pattern
    fix: Pattern
    because: Because

    def finding(self) -> Finding:
        """Return the labelled finding as a scan's finding."""
        nodes = tuple(
            Node(selector=(one.selector,), snippet=one.markup, failure_summary=one.problem, fingerprint=f"n{number}")
            for number, one in enumerate(self.elements)
        )
        return Finding(
            rule=self.rule,
            impact=self.impact,
            criteria=self.criteria,
            tags=(f"cat.{self.area}",),
            help=self.help,
            nodes=nodes,
            node_count=len(nodes),
            fingerprint=f"f-{self.rule}",
        )


class LabelledPage(Labelled):
    """Findings that are assessed together; one of ``first`` should be fixed first."""

    title: str
    url: str
    first: tuple[str, ...] = Field(min_length=1)
    because: Because
    findings: tuple[LabelledFinding, ...] = Field(min_length=1)

    def result(self) -> ScanResult:
        """Return the page as a scan's result."""
        findings = tuple(one.finding() for one in self.findings)
        return ScanResult(url=self.url, final_url=self.url, title=self.title, status="scanned", findings=findings)


class PastScan(Labelled):
    """A scan in the questions' history; ``rules`` has the elements by rule."""

    scan: Annotated[str, AfterValidator(check_job_id)]
    url: str
    title: str
    group: str
    days_ago: int
    rules: dict[str, int]


class LabelledQuestion(Labelled):
    """A question. A right answer matches all of ``says`` and none of ``never``, and cites ``sources``."""

    question: str
    thread: str
    site: str
    says: tuple[Pattern, ...]
    never: tuple[Pattern, ...]
    sources: tuple[str, ...]
    because: Because


class FindingSet(Labelled):
    """``findings.json``."""

    about: str
    pages: tuple[LabelledPage, ...]


class QuestionSet(Labelled):
    """``questions.json``; ``impacts`` has the rules of the scans by impact."""

    about: str
    impacts: dict[Impact, tuple[str, ...]]
    scans: tuple[PastScan, ...]
    questions: tuple[LabelledQuestion, ...]

    @property
    def impact_of(self) -> Mapping[str, Impact]:
        """The impact of each rule."""
        return {rule: impact for impact, rules in self.impacts.items() for rule in rules}


def load_findings() -> FindingSet:
    """Return the pages to assess."""
    return FindingSet.model_validate_json(_read("findings"))


def load_questions() -> QuestionSet:
    """Return the questions and their history."""
    return QuestionSet.model_validate_json(_read("questions"))


def has(pattern: str, text: str) -> bool:
    """Return whether ``pattern`` matches anywhere in ``text``."""
    return re.search(pattern, text, re.IGNORECASE) is not None


def _read(name: str) -> str:
    return (files(__package__ or "") / f"{name}.json").read_text("utf-8")
