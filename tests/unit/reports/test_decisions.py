"""People's decisions on undecided elements: counted as barriers, or removed from review, and reported."""

from __future__ import annotations

import json
from datetime import date

import pytest

from producer.cli.scan.baseline import Barrier, Baseline
from producer.cli.scan.gate import Gate, exit_code
from producer.contract import Counts, Finding, Impact
from producer.contract.decision import Decision, Verdict
from producer.reports.page import Page, page_of
from producer.reports.summary import summarise
from tests.unit.reports import component_pages as components
from tests.unit.reports import sample_pages as sample

CARD = components.CARD


def undecided(*, trimmed: int = 0) -> Page:
    """Two cards and a header that nobody decided about; nothing is known to be a barrier."""
    cards = components.finding("image-alt", CARD, nodes=2, trimmed=trimmed)
    return page_of(sample.scan_result("/tea.html", incomplete=(cards, components.finding("label", components.HEADER))))


def decide(page: Page, verdict: Verdict, *, gate: Gate | None = None) -> Page:
    gate = gate or Gate()
    gate.take_decisions([Decision(CARD, verdict, "seen with a magnifier", "Anna", date(2026, 11, 28))])
    return gate.mark(page)


def code(page: Page) -> int:
    return exit_code(summarise([page], fail_on=Impact.SERIOUS), timed_out=False)


def test_a_finding_decided_to_be_a_barrier_counts_at_the_gate() -> None:
    page = decide(undecided(), "barrier")

    assert (code(undecided()), code(page)) == (0, 1)
    assert page.result is not None
    assert (page.outcome, page.result.barriers) == ("barriers", Counts(critical=2))
    assert page.result.counts == Counts(critical=1)
    assert [(one.rule, one.outcome, one.node_count) for one in page.findings] == [("image-alt", "violation", 2)]
    assert [one.rule for one in page.result.incomplete] == ["label"]


def test_a_finding_decided_to_be_no_barrier_needs_no_review_and_is_counted() -> None:
    page = decide(undecided(), "no-barrier")

    summary = summarise([page], fail_on=Impact.SERIOUS)
    assert (code(page), page.outcome, summary.needs_review) == (0, "passed", 1)
    assert summary.document()["decided"] == {"no-barrier": 2}


def test_a_decision_joins_the_rule_s_finding_so_that_a_page_is_one_place_of_a_component() -> None:
    known = sample.scan_result("/tea.html", components.finding("image-alt", CARD))
    extra = components.finding("image-alt", CARD)
    node = extra.nodes[0].model_copy(update={"fingerprint": "another"})
    page = decide(page_of(known.revised(incomplete=(extra.revised(nodes=(node,)),))), "barrier")

    assert [one.node_count for one in page.findings] == [2]


def test_elements_that_are_not_listed_stay_undecided() -> None:
    page = decide(undecided(trimmed=5), "no-barrier")

    assert page.result is not None
    assert [(one.rule, len(one.nodes), one.node_count) for one in page.result.incomplete] == [
        ("image-alt", 0, 5),
        ("label", 1, 1),
    ]


def test_a_decided_barrier_can_be_waived_and_is_known_to_a_baseline_that_has_it() -> None:
    names = frozenset(Barrier("/tea.html", "image-alt", f"image-alt-n{number}") for number in range(2))

    assert code(decide(undecided(), "barrier", gate=Gate(baseline=Baseline(names)))) == 0
    assert code(decide(undecided(), "barrier", gate=Gate(baseline=Baseline()))) == 1


def test_results_of_earlier_releases_have_no_component_to_decide_about() -> None:
    old: Finding = sample.finding("image-alt", nodes=2)
    page = page_of(sample.scan_result("/tea.html", incomplete=(old,)))

    assert decide(page, "barrier") == page


@pytest.mark.parametrize("verdict", ["barrier", "no-barrier"])
@pytest.mark.parametrize("name", ["table", "markdown", "html", "csv", "junit", "json", "jsonl", "sarif"])
def test_every_report_says_who_decided_and_when(name: str, verdict: Verdict) -> None:
    text = sample.render(name, [decide(undecided(), verdict)], width=400)

    assert all(word in text for word in ("Anna", "2026-11-28", "seen with a magnifier"))


def test_reports_name_the_components_that_wait_for_a_decision() -> None:
    text = sample.render("table", [undecided()], width=400)

    line = "needs review: Main › card image has no text alternative, image-alt, 2 elements on 1 page"
    assert f"{line} ({CARD})" in text


def test_json_has_the_decisions_of_a_page() -> None:
    page = json.loads(sample.render("jsonl", [decide(undecided(), "no-barrier")]))

    assert page["marks"]["decisions"] == [
        {
            "issue_id": CARD, "verdict": "no-barrier", "reason": "seen with a magnifier", "by": "Anna",
            "on": "2026-11-28", "elements": 2,
        }
    ]  # fmt: skip
