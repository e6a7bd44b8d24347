"""Limits on a run's component barriers: what each limit covers, and what fails without one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from producer.cli.scan.gate import Gate, RuleWaiver
from producer.cli.scan.limits import Count, Limits
from producer.contract import Impact
from producer.contract.waiver import Waiver
from producer.reports.page import Page, page_of
from tests.unit.reports import component_pages as sample
from tests.unit.reports.sample_pages import finding, scan_result


def counted(limits: Limits, pages: list[Page], *, fail_on: Impact | None = Impact.SERIOUS) -> Count:
    count = Count(limits, fail_on)
    for page in pages:
        count.add(page)
    return count


@pytest.mark.parametrize(
    ("limits", "reasons"),
    [
        (Limits(total=2), []),
        (Limits(total=1), ["2 component barriers, 1 allowed (gate.max.total)"]),
        (Limits(rules={"label": 1}), ["1 component barrier without a limit: image-alt"]),
        (
            Limits(rules={"label": 1, "image-alt": 0}),
            ["1 component barrier of image-alt, 0 allowed (gate.max.rules.image-alt)"],
        ),
        (Limits(groups={"shop": 2}), []),
        (Limits(groups={"shop": 1}), ["2 component barriers in shop, 1 allowed (gate.max.groups.shop)"]),
        (Limits(groups={"blog": 0}), ["2 component barriers without a limit: image-alt, label"]),
        (Limits(new=2), []),
        (Limits(new=1), ["2 new component barriers, 1 allowed (gate.max_new)"]),
        (Limits(new=2, rules={"label": 0}), ["1 component barrier of label, 0 allowed (gate.max.rules.label)"]),
        (Limits(review=0), ["2 component barriers without a limit: image-alt, label"]),
    ],
)  # fmt: skip
def test_a_limit_bounds_what_it_covers(limits: Limits, reasons: list[str]) -> None:
    assert counted(limits, sample.pages(4)).exceeded() == reasons


def test_known_findings_count_for_falling_limits_and_not_as_new() -> None:
    pages = [Gate(only_new=True).mark(page) for page in sample.pages(4)]
    known = frozenset(node.fingerprint for page in pages for finding in page.findings for node in finding.nodes)
    pages = [replace(page, marks=replace(page.marks, known=known)) for page in pages]

    assert counted(Limits(new=0), pages).exceeded() == []
    assert counted(Limits(total=1), pages).exceeded() == ["2 component barriers, 1 allowed (gate.max.total)"]


def test_findings_below_the_impact_count_nowhere_and_with_fail_on_never_only_limits_count() -> None:
    pages = sample.pages(4)
    milder = page_of(scan_result("/mild", finding("region", Impact.MODERATE)))

    assert counted(Limits(total=2, new=2), [*pages, milder]).exceeded() == []
    assert counted(Limits(rules={"region": 0}), [milder]).exceeded() == []
    assert counted(Limits(total=0), pages, fail_on=None).exceeded() != []
    assert counted(Limits(groups={"blog": 0}), pages, fail_on=None).exceeded() == []


def test_a_limit_that_is_not_reached_can_fall() -> None:
    count = counted(Limits(total=5, rules={"label": 1}, new=9), sample.pages(4))

    assert [(".".join(one.key), one.found) for one in count.lower()] == [("gate.max.total", 2)]


def test_a_waiver_of_a_rule_is_over_it_on_its_pages() -> None:
    waived = RuleWaiver(Waiver("", "later"), frozenset({"label"}), ("/1.html",))
    pages = [Gate(rule_waivers=(waived,)).mark(page) for page in sample.pages(2)]

    assert [[finding.rule for finding in page.counted.findings] for page in pages] == [["label"], ["image-alt"]]
    assert counted(Limits(total=0), pages).exceeded() == ["2 component barriers, 0 allowed (gate.max.total)"]


def test_a_waiver_for_a_page_is_over_the_states_that_steps_lead_to_there() -> None:
    waived = RuleWaiver(Waiver("", "later"), frozenset({"label"}), ("/cart",))

    states = ("/cart", "/cart#:~:state=open", "/cart?step=2", "/cart/x#:~:state=open")
    assert [waived.covers("label", f"https://shop.example{state}") for state in states] == [True, True, False, False]


def test_rules_that_are_not_named_are_only_reported() -> None:
    others = RuleWaiver(Waiver("", "only label counts"), frozenset({"label"}), is_others=True)
    page = Gate(rule_waivers=(others,)).mark(sample.pages(2)[1])

    assert [finding.rule for finding in page.counted.findings] == ["label"]
    assert {finding.rule for finding in page.findings} == {"label", "image-alt"}
