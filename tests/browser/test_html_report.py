"""The HTML report in a real browser: search, filters, keyboard, pictures, print, 500 pages, and a scan of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ops.bench.many_results import results
from producer.contract import Finding, Impact, ScanRequest
from producer.reports.comparison import ORDER
from producer.reports.comparison_formats import write_comparison
from producer.reports.formats import ReportContext, load_report
from producer.reports.page import Page, page_of
from producer.reports.site_days import Day
from tests.support.html_report import SHOWN, in_dark, search, select
from tests.support.open_page import opened
from tests.support.site import PIXEL, Site
from tests.unit.reports import component_pages as components
from tests.unit.reports import sample_pages as sample
from tests.unit.reports import test_comparison as comparisons
from worker.scan.engine import ScanEngine

pytestmark = pytest.mark.usefixtures("browser_path")
DAYS = [Day(f"2026-11-{day}", scans=4, critical=day, serious=3, moderate=1, new=1) for day in range(10, 24)]


def pages_of_all_kinds() -> list[Page]:
    """Every outcome, every mark, and pictures."""
    pictures = {"image-alt-n0": PIXEL, "image-alt-n1": PIXEL}
    many = page_of(sample.scan_result("/many.html", sample.finding("label", nodes=9), title="Many"))
    return [*sample.every_kind(), *(replace(page, pictures=pictures) for page in sample.marked()), many]


def written(folder: Path, pages: Sequence[Page]) -> Path:
    """The report as a file."""
    path = folder / "report.html"
    context = ReportContext(sample.AT, title="The shop", fail_on=Impact.SERIOUS, trends={"shop.example": DAYS})
    with path.open("w", encoding="utf-8") as out:
        load_report("html")(pages, context, out)
    return path


async def test_search_and_filters_show_what_fits_and_nothing_else(tmp_path: Path) -> None:
    async with opened(written(tmp_path, pages_of_all_kinds()).as_uri()) as report:
        everything = await report.run(SHOWN)
        found = await search(report, "zooming")
        nothing = await search(report, "no such words")
        is_told = await report.run("document.getElementById('none').checkVisibility()")
        await report.run("document.getElementById('reset').click()")
        again = await report.run(SHOWN)
        passed = await select(report, "status", "passed")
        await select(report, "status", "")
        waived = await select(report, "marks", "waived")

    assert everything["said"] == "12 pages of 12, 7 findings"
    assert (found["pages"], found["said"]) == (["/tea.html"], "1 page of 12, 1 finding")
    assert (nothing["pages"], is_told) == ([], True)
    assert again == everything
    assert passed["pages"] == ["/story.html"]
    assert (waived["pages"], waived["said"]) == (["/basket.html"], "1 page of 12, 1 finding")


COMPONENTS = "[...document.querySelectorAll('details.component')].filter((one) => one.checkVisibility()).length"


async def test_components_are_searched_and_filtered_by_group_and_lead_to_their_pages(tmp_path: Path) -> None:
    async with opened(written(tmp_path, components.pages(6)).as_uri()) as report:
        everything = await report.run(COMPONENTS)
        await report.run("document.getElementById('page-1').open = true")
        await report.until("document.querySelector('#page-1 .briefs.named')")
        named = await report.run("[...document.querySelectorAll('#page-1 .briefs a')].map((link) => link.textContent)")
        shop = await select(report, "group", "shop")
        await select(report, "group", "")
        await search(report, "search field")
        found = await report.run(COMPONENTS)
        await report.run("document.getElementById('component-2').open = true")
        await report.run("document.querySelector('#component-2 button.only').click()")
        alone = await report.run(SHOWN)
        await report.run("location.hash = 'component-1'")
        await report.until("document.activeElement.closest('#component-1') !== null")
        is_open = await report.run("document.getElementById('component-1').open")

    assert (everything, found, is_open) == (2, 1, True)
    assert named == [f"1. {components.NAMES[components.HEADER]}", f"2. {components.NAMES[components.CARD]}"]
    assert shop["pages"] == ["/1.html", "/3.html", "/5.html"]
    assert alone["pages"] == ["/1.html", "/3.html", "/5.html"]


async def test_1000_pages_of_one_template_open_at_once_and_show_an_element_and_its_picture_once(tmp_path: Path) -> None:
    pages = [replace(page, pictures={"label-n0": PIXEL}) for page in components.pages(1000)]
    path = written(tmp_path, pages)

    async with opened(path.as_uri()) as report:
        took_ms = await report.run("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        pictures = await report.run("document.images.length")
        height = await report.run("document.documentElement.scrollHeight")

    assert path.stat().st_size < 1_500_000
    assert pictures == 1
    assert height < 80_000
    assert took_ms < 10_000, "well under a second on a machine that does nothing else"


async def test_pages_stand_under_their_groups_and_a_group_is_shown_alone(tmp_path: Path) -> None:
    heads = (
        "[...document.querySelectorAll('.group > h3')].filter((one) => one.checkVisibility())"
        ".map((one) => one.textContent)"
    )
    async with opened(written(tmp_path, [page_of(one) for one in results(12)]).as_uri()) as report:
        everything = await report.run(heads)
        said = (await report.run(SHOWN))["said"]
        journal = await select(report, "group", "journal")
        alone = await report.run(heads)
        components = await report.run(COMPONENTS)
        await report.run("location.hash = 'page-1'")
        await report.until("document.activeElement.closest('#page-1') !== null")
        named = await report.run("[...document.querySelectorAll('#page-1 .briefs a')].map((link) => link.textContent)")

    assert everything == [
        "shop 6 pages, 6 component barriers", "Without a group 3 pages, 4 component barriers",
        "journal 3 pages, 3 component barriers",
    ]  # fmt: skip
    assert said == "12 pages of 12, 6 component barriers"
    assert (journal["said"], alone, components) == ("3 pages of 12, 3 component barriers", everything[2:], 3)
    assert named[0] == "1. Header › search field has no label", (
        "a page that a link leads to is shown and named, whatever the filter"
    )


async def test_a_rule_of_the_table_leads_to_its_findings_alone_by_keyboard(tmp_path: Path) -> None:
    async with opened(written(tmp_path, pages_of_all_kinds()).as_uri()) as report:
        await report.run("document.querySelector('a[data-rule=label]').focus()")
        await report.press("Enter")
        shown = await report.run(SHOWN)

    assert shown["pages"] == ["/many.html", "/basket.html"]
    assert set(shown["rules"]) == {"label"}


async def test_the_bars_of_the_rules_begin_in_one_line(tmp_path: Path) -> None:
    many = page_of(sample.scan_result("/many.html", sample.finding("label", nodes=1500), sample.finding("image-alt")))
    async with opened(written(tmp_path, [many]).as_uri()) as report:
        lefts = await report.run("[...document.querySelectorAll('.share')].map((bar) => bar.getBoundingClientRect().x)")

    assert len(lefts) == 2
    assert len(set(lefts)) == 1


async def test_everything_is_reached_and_opened_by_keyboard(tmp_path: Path) -> None:
    focused = "(document.activeElement.id || document.activeElement.className || document.activeElement.tagName)"
    seen: list[str] = []
    async with opened(written(tmp_path, [sample.with_barriers(), sample.passed()]).as_uri()) as report:
        for _ in range(16):
            await report.press("Tab")
            seen.append(await report.run(focused))
            if await report.run("document.activeElement.matches('details.page > summary')"):
                break
        await report.press("Enter")
        await report.until("document.getElementById('page-1').open")
        first = await report.run("document.activeElement.parentElement.id")

    assert seen[0] == "skip"
    assert {"search", "status", "expand"} <= set(seen)
    assert first == "page-1"


async def test_elements_have_their_pictures(tmp_path: Path) -> None:
    async with opened(written(tmp_path, pages_of_all_kinds()).as_uri()) as report:
        await report.run("document.getElementById('expand').click()")
        await report.until("[...document.images].every((image) => image.complete)")
        pictures = await report.run(
            "[...document.images].map((image) => [image.closest('li').querySelector('code').textContent,"
            " image.naturalWidth, image.checkVisibility(), image.alt])"
        )

    assert pictures == [
        ["#image-alt-0", 1, True, "The element as it looked"],
        ["#image-alt-1", 1, True, "The element as it looked"],
        ["#image-alt-0", 1, True, "The element as it looked"],
    ]


@pytest.mark.parametrize("width", [320, 1400])
async def test_nothing_is_cut_off_or_sticks_out_in_a_narrow_and_a_wide_window(tmp_path: Path, width: int) -> None:
    hostile = sample.finding(sample.HOSTILE * 3, help_text="x" * 300, snippet="y" * 900, nodes=4)
    endless = page_of(sample.scan_result(f"/{'z' * 700}?{'&'.join(['tracking=1'] * 60)}", hostile, title="w" * 400))
    async with opened(written(tmp_path, [endless, *pages_of_all_kinds()]).as_uri(), width=width) as report:
        await report.run("document.getElementById('expand').click()")
        whole = await report.run("document.documentElement.scrollWidth")
        over = await report.run(
            "[...document.querySelectorAll('section > *, article, .body')].filter((one) =>"
            " one.getBoundingClientRect().right > one.closest('section').getBoundingClientRect().right).length"
        )
        heading = await report.run(
            "[...document.querySelectorAll('h3')].find((one) => one.textContent.includes('zzz')).offsetHeight"
        )

    assert whole == width
    assert over == 0
    assert heading < 330, "the whole address is inside; a heading is to be read at a glance"


async def test_a_single_page_without_barriers_has_nothing_to_filter(tmp_path: Path) -> None:
    seen = "document.getElementById('filter').checkVisibility()"
    async with opened(written(tmp_path, [sample.passed()]).as_uri()) as report:
        alone = await report.run(seen)
    async with opened(written(tmp_path, [sample.with_barriers()]).as_uri()) as report:
        with_findings = await report.run(seen)

    assert (alone, with_findings) == (False, True)


async def test_all_sections_are_open_in_print_and_closed_again_afterwards(tmp_path: Path) -> None:
    is_closed = "[...document.querySelectorAll('.pages details')].filter((one) => !one.open).length"
    async with opened(written(tmp_path, pages_of_all_kinds()).as_uri()) as report:
        before = await report.run(is_closed)
        await report.run("dispatchEvent(new Event('beforeprint'))")
        printed = await report.run(is_closed)
        await report.run("dispatchEvent(new Event('afterprint'))")
        after = await report.run(is_closed)

    assert before == after > 10
    assert printed == 0


async def test_500_pages_open_and_filter_at_once(tmp_path: Path) -> None:
    rules = [sample.finding(f"rule-{number}", impact, nodes=6) for number, impact in enumerate(Impact)]
    pages = [page_of(sample.scan_result(f"/page-{number}.html", *rules)) for number in range(500)]
    path = written(tmp_path, pages)

    async with opened(path.as_uri()) as report:
        shown = await search(report, "page-499.html")
        took_ms = await report.run(
            "(() => { const box = document.querySelector('input[value=minor]'); const start = performance.now();"
            " box.click(); document.body.offsetHeight; return performance.now() - start; })()"
        )

    assert shown["pages"] == ["/page-499.html"]
    assert took_ms < 2000, "an answer a person waits for; some 100 ms on a machine that does nothing else"
    assert path.stat().st_size < 8_000_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_our_own_scan_finds_nothing_wrong_in_it(
    engine: ScanEngine, site: Site, tmp_path: Path, scheme: str
) -> None:
    text = (
        written(tmp_path, [*pages_of_all_kinds(), *components.pages(14)])
        .read_text()
        .replace("<details ", "<details open ")
    )
    assert [mark for mark in ("new", "known", "waived") if f'<span class="chip mark {mark}">' not in text] == []
    address = site.add(f"/report-{scheme}.html", in_dark(text) if scheme == "dark" else text)

    result = (await engine.audit(ScanRequest(url=address, standard="best-practice", deadline_s=60))).result

    assert result.status == "scanned"
    assert [told(one) for one in (*result.findings, *result.incomplete)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_our_own_scan_finds_nothing_wrong_in_a_comparison(engine: ScanEngine, site: Site, scheme: str) -> None:
    out = io.StringIO()
    found = comparisons.comparison(*(comparisons.change(kind, kind, gained=2, lost=1, uncertain=1) for kind in ORDER))
    write_comparison("html", found, out)
    text = out.getvalue().replace("<details>", "<details open>")
    address = site.add(f"/compared-{scheme}.html", in_dark(text) if scheme == "dark" else text)

    result = (await engine.audit(ScanRequest(url=address, standard="best-practice", deadline_s=60))).result

    assert result.status == "scanned"
    assert [told(one) for one in (*result.findings, *result.incomplete)] == []


async def test_our_own_scan_finds_a_report_of_200_pages_whole_and_without_a_barrier(
    engine: ScanEngine, site: Site, tmp_path: Path
) -> None:
    address = site.add("/many.html", written(tmp_path, [page_of(one) for one in results(200)]).read_text())

    result = (await engine.audit(ScanRequest(url=address, standard="best-practice", deadline_s=120))).result

    assert (result.status, result.reason, result.doubts) == ("scanned", "", ())
    assert [told(one) for one in (*result.findings, *result.incomplete)] == []


def told(finding: Finding) -> str:
    """A finding as a line, for the message of a test that fails."""
    return f"{finding.rule}: {[(node.selector, node.failure_summary) for node in finding.nodes[:3]]}"
