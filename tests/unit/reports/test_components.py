"""One component barrier on many pages is one entry of every report, counted in the same words."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from junitparser import JUnitXml

from ops.bench.many_results import PLANTED, results
from producer.cli.scan.baseline import Baseline, renewed
from producer.cli.scan.gate import Gate
from producer.contract import Doubt, Impact
from producer.contract.waiver import Waiver
from producer.reports.component_dates import ComponentDates
from producer.reports.components import by_component
from producer.reports.formats import ReportContext, load_report
from producer.reports.marks import Marks
from producer.reports.page import Page, fails, page_of
from tests.unit.reports import sample_pages as sample
from tests.unit.reports.component_pages import CARD, HEADER, NAMES, alike, finding, pages


def compared(page: Page, known: Sequence[str]) -> Page:
    return replace(page, marks=Marks(known=frozenset(known)))


def test_a_component_on_150_pages_is_one_entry_and_the_one_on_most_pages_comes_first() -> None:
    header, card = by_component(pages())

    assert (header.name, len(header.places), header.node_count) == (NAMES[HEADER], 150, 150)
    assert (card.name, len(card.places), card.node_count, card.groups) == (NAMES[CARD], 75, 150, ["shop"])


def test_two_components_of_one_rule_are_two_and_what_is_not_listed_is_neither() -> None:
    both = finding("label", HEADER).nodes + finding("label", CARD, nodes=2).nodes
    broken = finding("label", HEADER).revised(nodes=both, node_count=9)

    found = by_component([page_of(sample.scan_result("/x", broken))])

    assert {(one.issue_id, one.node_count) for one in found} == {(HEADER, 1), (CARD, 2), ("", 6)}


def test_new_components_come_before_known_ones_and_a_known_one_on_a_new_page_is_marked() -> None:
    known = [compared(page, ["label-n0"] if n else []) for n, page in enumerate(pages(4))]

    first, second = by_component(known)

    assert (first.issue_id, first.state) == (CARD, "new")
    assert (second.issue_id, second.state) == (HEADER, "known, new on 1 page")


def waived_in_part(count: int = 3) -> list[Page]:
    """A header on all pages, waived on the first."""
    waiver = Waiver("label-n0", "a new header")
    listed = [page_of(sample.scan_result(f"/{n}.html", finding("label", HEADER))) for n in range(count)]
    return [replace(listed[0], marks=Marks(waivers={"label-n0": waiver})), *listed[1:]]


def test_a_component_that_is_waived_on_one_of_its_pages_is_a_barrier_in_every_format() -> None:
    [group] = by_component(waived_in_part())
    html = sample.render("html", waived_in_part())

    assert group.state == "waived, not on 2 pages"
    assert [entry["fingerprint"] for entry in json.loads(sample.render("gitlab", waived_in_part()))] == [HEADER]
    assert "<dt>component barrier</dt><dd>1</dd>" in html
    assert "<dt>waived</dt><dd>0</dd>" in html
    assert "Known or waived" not in sample.render("markdown", waived_in_part())


def test_a_known_component_on_a_new_page_is_counted_as_new_in_html_as_in_the_gate() -> None:
    known = [
        compared(page, ["label-n0", "image-alt-n0", "image-alt-n1"] if n else []) for n, page in enumerate(pages(4))
    ]

    html = sample.render("html", known)

    assert "<dt>new component barrier</dt><dd>1</dd>" in html
    assert "<dt>known or waived</dt><dd>1</dd>" in html


def test_elements_that_a_result_does_not_list_count_alike_at_the_gate_and_in_every_report() -> None:
    trimmed = page_of(sample.scan_result("/tea", finding("image-alt", CARD, nodes=2, trimmed=5)))

    known = Gate(baseline=renewed(Baseline(), [trimmed])).mark(trimmed)

    assert not fails(known, Impact.SERIOUS)
    assert {one.state for one in by_component([known])} == {"known"}
    assert JUnitXml.fromstring(sample.render("junit", [known], fail_on=Impact.SERIOUS).encode()).failures == 0
    results = json.loads(sample.render("sarif", [known]))["runs"][0]["results"]
    assert {result["baselineState"] for result in results} == {"unchanged"}
    assert "<b>new</b>" not in sample.render("markdown", [known])


def test_a_page_in_html_has_each_component_with_its_own_mark() -> None:
    label, card = finding("label", HEADER), finding("label", CARD, nodes=2).nodes[1]
    both = label.revised(nodes=(*label.nodes, card), node_count=2)
    page = compared(page_of(sample.scan_result("/x", both)), ["label-n0"])

    html = sample.render("html", [page])

    assert re.findall(r'<li data-marks="([^"]*)"><a href="#component-(\d)">', html) == [("new", "1"), ("known", "2")]


def test_every_format_counts_in_the_same_words() -> None:
    sums = "2 component barriers (2 rules, 300 elements): 300 critical"

    assert sums in sample.render("table", pages())
    assert sums in sample.render("markdown", pages())


def test_the_table_has_a_block_for_each_component_with_its_first_pages() -> None:
    lines = [line.rstrip() for line in sample.render("table", pages(), width=120).splitlines()]

    start = lines.index(f"critical  {NAMES[HEADER]}  WCAG 1.1.1")
    assert lines[start + 1] == f"    label, 150 elements on 150 pages, in shop, id {HEADER}"
    assert lines[start + 6] == "    and on 146 more pages"
    assert lines[start + 7].startswith("    fix: Put a label element with the field's id in its for")


def test_code_scanning_gets_one_result_a_component_with_a_location_on_each_page() -> None:
    results = json.loads(sample.render("sarif", pages(90)))["runs"][0]["results"]

    assert [result["partialFingerprints"]["primaryLocationLineHash"] for result in results] == [HEADER, CARD]
    assert NAMES[HEADER] in results[0]["message"]["text"]
    uris = [one["physicalLocation"]["artifactLocation"]["uri"] for one in results[0]["locations"]]
    assert len(set(uris)) == 90
    assert [len(result["locations"]) for result in results] == [90, 90]


def test_locations_stay_within_what_code_scanning_shows_and_each_page_comes_before_its_second_element() -> None:
    many = [page_of(sample.scan_result(f"/{n}", finding("image-alt", CARD, nodes=9))) for n in range(60)]

    [result] = json.loads(sample.render("sarif", many))["runs"][0]["results"]

    uris = [one["physicalLocation"]["artifactLocation"]["uri"] for one in result["locations"]]
    assert len(uris) == 100
    assert len(set(uris[:60])) == 60


def test_junit_has_a_suite_a_component_with_a_case_a_page() -> None:
    report = JUnitXml.fromstring(sample.render("junit", pages(4), fail_on=Impact.SERIOUS).encode())

    suite = next(one for one in report if one.name == NAMES[HEADER])
    assert [case.name for case in suite] == [f"https://shop.example/{n}.html" for n in range(4)]
    assert (report.failures, report.tests) == (6, 10)


def test_json_lists_the_components_with_their_pages_and_csv_names_them() -> None:
    document = json.loads(sample.render("json", pages(4)))

    first = document["component_barriers"][0]
    assert (first["issue_id"], first["name"], first["elements"]) == (HEADER, NAMES[HEADER], 4)
    assert first["pages"] == [f"https://shop.example/{n}.html" for n in range(4)]
    assert document["summary"]["component_barriers"] == 2
    assert NAMES[CARD] in sample.render("csv", pages(2))


@pytest.mark.parametrize("name", ["table", "markdown", "json"])
def test_elements_without_a_name_are_told_apart_by_examples(name: str) -> None:
    made = finding("image-alt", CARD, nodes=3)
    files = ("bullet.gif", "bullet.gif", "offers.gif")
    names = [f"Main › image “{file}” has no text alternative" for file in files]
    nodes = (node.model_copy(update={"component": named}) for node, named in zip(made.nodes, names, strict=True))
    images = page_of(sample.scan_result("/", made.revised(nodes=tuple(nodes))))

    text = sample.render(name, [images])

    if name == "json":
        assert json.loads(text)["component_barriers"][0]["examples"] == ["bullet.gif", "offers.gif"]
    else:
        assert "also “offers.gif”" in text
    assert "examples" not in sample.render("json", pages(2))


def test_markdown_has_components_before_pages_and_new_ones_first() -> None:
    made = sample.render("markdown", [compared(page, ["label-n0"]) for page in pages(4)])

    assert made.index("Main › card image") < made.index("Header › search field") < made.index("| Page |")
    assert "<b>new</b>" in made
    assert "Give the image an alt text" in made


def test_html_shows_what_to_do_and_each_element_once_and_links_components_and_pages() -> None:
    made = sample.render("html", pages(40))

    assert made.count('details class="component ') == 2
    assert made.count("<code>#label-0</code>") == 1
    assert "Put a label element with the field&#39;s id in its for" in made
    assert made.count('href="#component-1"') == 40
    assert '<a href="#page-1">' in made
    assert "<b>2 component barriers (2 rules, 80 elements)</b>" in made


def test_a_page_costs_html_few_bytes_beside_its_address_however_long_the_names_of_its_components_are() -> None:
    few, many = (len(sample.render("html", alike(count)).encode()) for count in (201, 221))

    a_page = (many - few) / 20
    assert a_page < 700 + 26 * 45, "1,000 pages stay under 3 MB; with the components' names a page was 3,700 bytes"


def test_html_names_a_component_under_the_number_by_which_its_pages_link_to_it() -> None:
    made = sample.render("html", pages(2))

    assert 'id="component-1" data-impact="critical"' in made
    assert f"<h3>1. {NAMES[HEADER]}</h3>" in made
    assert '<li><a href="#component-1">1</a><li><a href="#component-2">2</a> 2 elements</ul>' in "".join(
        line.strip() for line in made.splitlines()
    )


def test_html_says_on_a_page_which_of_its_components_are_known_and_which_only_in_part() -> None:
    known, part = (
        compared(page_of(sample.scan_result(path, finding("image-alt", CARD, nodes=2))), listed)
        for path, listed in (("/1", ["image-alt-n0", "image-alt-n1"]), ("/2", ["image-alt-n0"]))
    )

    made = sample.render("html", [known, part])

    assert '<li data-marks="known"><a href="#component-1">1</a> 2 elements</ul>' in made.replace("\n", "")
    assert '<li data-marks="known new"><a href="#component-1">1</a> 2 elements <span class="chip mark' in made
    assert "1 known, 1 new</span>" in made


def test_two_sites_of_one_framework_are_shown_as_the_same_kind_and_never_merged() -> None:
    other = HEADER.replace("00c0ffee", "0badf00d")
    header = finding("label", HEADER)
    node = header.nodes[0].model_copy(update={"issue_id": other})
    result = sample.scan_result("/1.html", header.revised(nodes=(node,)))
    elsewhere = page_of(result.model_copy(update={"url": "https://www.blog.example/1.html"}))
    both = [*pages(2), elsewhere]

    found = {one.issue_id: one.kin for one in by_component(both)}

    assert found == {HEADER: ("blog.example",), other: ("shop.example",), CARD: ()}
    assert "same kind on blog.example" in sample.render("table", both, width=300)
    assert "same kind on shop.example" in sample.render("html", both)


SINCE = ComponentDates(first_ms=1_762_128_000_000, since_ms=1_762_128_000_000)  # 3 November 2025
BACK = ComponentDates(first_ms=1_746_057_600_000, since_ms=1_762_128_000_000)  # first on 1 May 2025


def test_150_pages_of_four_templates_with_six_planted_components_are_six_rows_with_pages_groups_and_dates() -> None:
    shop = [page_of(one) for one in results(150)]
    dates = {one.issue_id: BACK if one.rule == "select-name" else SINCE for one in PLANTED}
    context = ReportContext(sample.AT, dates=dates, width=300)

    made = {name: io.StringIO() for name in ("html", "table")}
    for name, out in made.items():
        load_report(name)(shop, context, out)

    html, table = (out.getvalue() for out in made.values())
    rows = {one.name: one for one in by_component(shop)}
    assert rows.keys() == {one.name for one in PLANTED}
    assert [len(rows[one.name].places) for one in PLANTED] == [150, 150, 150, 76, 38, 37]
    assert rows["Main › card image has no text alternative"].groups == ["shop"]
    assert html.count('<details class="component ') == 6
    assert html.count("since 3 November 2025") == 6
    assert "back since 3 November 2025, first seen 1 May 2025" in html
    assert '<h3>shop <span class="times">75 pages, 6 component barriers</span></h3>' in html
    assert '<h5>journal <span class="times">37 pages</span></h5>' in html
    assert "<option>Without a group</option>" in html
    assert "label, 150 elements on 150 pages, in journal, shop, since 3 November 2025, id " in table


def test_every_count_of_the_html_report_says_what_it_counts() -> None:
    made = " ".join(re.sub(r"<[^>]+>", " ", sample.render("html", [page_of(one) for one in results(150)])).split())

    for said in (
        "6 component barriers (5 rules, 829 elements)", "component barriers 6", "pages 150", "pages with barriers 150",
        "pages without 0", "pages not scanned 0", "findings to review 0", "elements: 5 critical 2 serious",
        "Rule Component barriers Elements Pages",
    ):  # fmt: skip
        assert said in made, said


@pytest.mark.parametrize(
    ("fail_on", "waived", "said"),
    [
        (Impact.SERIOUS, (HEADER, CARD), "Barriers were found, all waived."),
        (None, (), "Barriers were found."),
        (Impact.CRITICAL, (), "Barriers were found, none is critical or worse."),
        (Impact.CRITICAL, (HEADER,), "Barriers were found; apart from waived ones, none is critical or worse."),
    ],
)
def test_a_report_that_fails_nothing_says_why(fail_on: Impact | None, waived: Sequence[str], said: str) -> None:
    serious = finding("image-alt", CARD).model_copy(update={"impact": Impact.SERIOUS})
    header = finding("label", HEADER)
    if HEADER not in waived:
        header = header.model_copy(update={"impact": Impact.MODERATE})
    gate = Gate(waivers={name: Waiver(name, "in March") for name in waived})
    found = [gate.mark(page_of(sample.scan_result("/tea", header, serious)))]

    assert f'<p class="verdict some">{said}</p>' in sample.render("html", found, fail_on=fail_on)
    assert f"\n**{said}**\n" in sample.render("markdown", found, fail_on=fail_on)


def test_no_two_entries_of_gitlab_s_report_are_taken_for_one() -> None:
    plain = sample.scan_result("/tea", sample.finding(trimmed=2)).model_copy(
        update={"doubts": (Doubt(kind="blank", what="the page is blank"),)}
    )
    unread = sample.scan_result("/cup", status="partial", reason="cut off")
    found = [
        page_of(one.model_copy(update={"url": one.url.replace("shop", host), "page_state": state}))
        for one in (plain, unread)
        for host in ("shop", "blog")
        for state in ("", "dark")
    ]

    prints = [one["fingerprint"] for one in json.loads(sample.render("gitlab", found))]

    assert len(prints) == len(set(prints)) == 10


def test_gitlab_compares_branches_whatever_host_serves_them() -> None:
    def prints(host: str) -> list[str]:
        one = sample.scan_result("/tea", sample.finding())
        found = page_of(one.model_copy(update={"url": f"https://{host}/tea"}))
        return [entry["fingerprint"] for entry in json.loads(sample.render("gitlab", [found]))]

    assert prints("main.example") == prints("branch-7.example")
