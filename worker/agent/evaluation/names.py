"""Names with known answers (``names.json``): measures what the lint finds and what a model adds.

Each case is a small page, scanned by a browser; the model is asked about names that the lint leaves open, as in an
assessment: many in one call, separately by language. A model with vision also gets the drawings of ``pictures.py`` with
their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from time import monotonic
from typing import Final, Literal, Protocol

from pydantic import Field

from producer.contract import Lane, NamedElement, ScanRequest, ScanResult, Usage
from worker.agent.assessment.meaning import judge_names
from worker.agent.evaluation.labels import Because, Labelled
from worker.agent.evaluation.scores import Share
from worker.models.job_context import serving
from worker.models.protocols import ChatModel, add_usage, sees
from worker.scan.settings import Audit

NAMES_A_CALL: Final = 24
PICTURES_A_CALL: Final = 4
_MARK: Final = "data-case"
_TITLE: Final = "Moss & Kettle: tea and kettles"

NameKind = Literal["alt", "link", "button", "heading", "title", "label", "error", "picture"]


class NameCase(Labelled):
    """A page with one name to judge: the element with ``data-case``, or the title. ``bad``: the name needs review.

    ``shown`` describes the case in reports if its markup is too long to read.
    """

    kind: NameKind
    bad: bool
    language: str
    body: str
    title: str = _TITLE
    shown: str = ""
    because: Because

    @property
    def rule(self) -> str:
        """The rule under which the name would need review."""
        return f"{'alt' if self.kind == 'picture' else self.kind}-meaning"

    def html(self) -> str:
        """Return the whole page."""
        head = f"<head><meta charset=utf-8><title>{escape(self.title)}</title></head>"
        return f'<!doctype html><html lang="{self.language}">{head}<body>{self.body}</body></html>'

    def is_meant(self, rule: str, snippet: str) -> bool:
        """Return whether a found element is the one to judge."""
        return rule == self.rule and (self.kind == "title" or _MARK in snippet)


class NameSet(Labelled):
    """``names.json``."""

    about: str
    cases: tuple[NameCase, ...] = Field(min_length=1)


class PageReader(Protocol):
    """Scans pages: the scan engine."""

    async def audit(self, request: ScanRequest) -> Audit:
        """Return the audit of the page."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Scores of some cases: ``recall`` of the bad ones, ``precision`` of the found ones."""

    recall: Share
    precision: Share

    @classmethod
    def of(cls, cases: Sequence[NameCase], found: Sequence[bool]) -> Found:
        """Return the scores; ``found`` has for each case whether it was judged bad."""
        right = sum(case.bad and one for case, one in zip(cases, found, strict=True))
        return cls(Share(right, sum(case.bad for case in cases)), Share(right, sum(found)))


@dataclass(frozen=True, slots=True)
class NameScores:
    """Scores by kind: the number of bad and good cases, the lint alone, and the lint with the model."""

    rows: tuple[tuple[str, int, int, Found, Found], ...] = ()
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    lint_s: float = 0.0
    model_s: float = 0.0
    missed: tuple[str, ...] = ()


def load_names() -> NameSet:
    """Return the labelled cases."""
    return NameSet.model_validate_json((files(__package__ or "") / "names.json").read_text("utf-8"))


async def run_names(
    reader: PageReader, chat: ChatModel | None, cases: Sequence[NameCase], *, tell: Callable[[str], None]
) -> NameScores:
    """Return the scores of the lint, and of the lint with ``chat``; None leaves the model out."""
    began = monotonic()
    by_lint: list[bool] = []
    left: dict[int, NamedElement] = {}
    pictures: dict[int, bytes] = {}
    for number, case in enumerate(cases):
        tell(f"name {number + 1} of {len(cases)}")
        audit = await reader.audit(ScanRequest(html=case.html()))
        result = audit.result
        nodes = [(one.rule, node.snippet) for one in result.incomplete for node in one.nodes]
        by_lint.append(any(case.is_meant(*node) for node in nodes))
        named = [one for one in result.names if case.is_meant(one.rule, one.node.snippet)]
        if named and not by_lint[-1]:
            left[number] = named[0]
            if picture := audit.shots.get(named[0].node.fingerprint):
                pictures[number] = picture
    lint_s, began = monotonic() - began, monotonic()
    shown = pictures if chat and await sees(chat) else {}
    by_model, usage, model, notes = await _judge(chat, cases, left, shown) if chat else (set[int](), Usage(), "", [])
    both = [by_lint[number] or number in by_model for number in range(len(cases))]
    kinds = tuple(dict.fromkeys(case.kind for case in cases))
    rows = [_row(kind, cases, by_lint, both) for kind in kinds]
    rows.append(_row("all", cases, by_lint, both))  # pictures are separate: no lint can judge them
    missed = [_miss(case, found=one) for case, one in zip(cases, both, strict=True) if case.bad != one]
    return NameScores(tuple(rows), model, usage, lint_s, monotonic() - began if chat else 0.0, (*notes, *missed))


async def _judge(
    chat: ChatModel, cases: Sequence[NameCase], left: dict[int, NamedElement], pictures: dict[int, bytes]
) -> tuple[set[int], Usage, str, list[str]]:
    """Return the cases that the model confidently judges bad, the cost, the model's name, and failures."""
    found: set[int] = set()
    usage, model, notes = Usage(), chat.name, list[str]()
    groups: dict[tuple[str, bool], list[int]] = {}
    for number in left:
        groups.setdefault((cases[number].language, number in pictures), []).append(number)
    for (_, is_seen), numbers in groups.items():
        most = PICTURES_A_CALL if is_seen else NAMES_A_CALL
        for part in (numbers[start : start + most] for start in range(0, len(numbers), most)):
            asked = {f"case {number}": number for number in part}
            names = tuple(_called(left[number], name) for name, number in asked.items())
            page = ScanResult(status="scanned", names=names)
            with serving(f"eval-names-{part[0]}", Lane.INTERACTIVE):
                seen = {name: pictures[number] for name, number in asked.items() if is_seen}
                judged = await judge_names(chat, page, seen)
            usage, model = add_usage(usage, judged.usage), judged.model or model
            notes += judged.notes
            found |= {asked[element.node.fingerprint] for element, _ in judged.barriers}
    return found, usage, model, notes


def _called(element: NamedElement, name: str) -> NamedElement:
    """Return the element with ``name`` as its fingerprint, since elements of several pages may be alike."""
    return element.revised(node=element.node.revised(fingerprint=name))


def _row(
    kind: str, cases: Sequence[NameCase], by_lint: Sequence[bool], both: Sequence[bool]
) -> tuple[str, int, int, Found, Found]:
    numbers = [
        number for number, case in enumerate(cases) if case.kind == kind or (kind == "all" and case.kind != "picture")
    ]
    some = [cases[number] for number in numbers]
    bad = sum(case.bad for case in some)
    lint, model = (Found.of(some, [by[number] for number in numbers]) for by in (by_lint, both))
    return kind, bad, len(some) - bad, lint, model


def _miss(case: NameCase, *, found: bool) -> str:
    what = "mistaken for a barrier" if found else "not found"
    shown = case.shown or (case.title if case.kind == "title" else case.body)
    return f"{case.rule} ({case.language}) {what}: {shown}: {case.because}"
