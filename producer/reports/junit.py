"""Report as JUnit XML for the test tab of a CI system: a suite per component barrier, then a suite per page.

A finding at or above the threshold is a failure; one below it, known or waived is skipped with the reason; a page that
could not be scanned is an error. Every page has a case, which shows that it was scanned even without findings; its
output lists doubts and findings that need review, with measured contrast and a model's proposals.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from producer.contract import Finding, Impact
from producer.reports.components import ComponentBarrier, by_component
from producer.reports.doubts import doubt_lines
from producer.reports.failure_summary import summary_line
from producer.reports.fixes import diff_lines, tried_text
from producer.reports.formats import ReportContext
from producer.reports.marks import Marks
from producer.reports.page import Page, impact_of, proposals, selector_text
from producer.reports.plain_text import counted, one_line
from producer.reports.reviews import contrast_text, proposal_line

_NODES = 20
"""Maximum number of elements in a failure's text; CI systems show it in a narrow box."""


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the suites; holds all pages in memory, because JUnit puts the counts first."""
    report, listed = JUnitXml(context.title), list(pages)
    for one in by_component(listed):
        if one.issue_id:
            report.append(_component(one, context))
    for page in listed:
        report.append(_suite(page, context))  # add_testsuite() compares all with all: 17 s for 5,000 pages
    suites = list(report)
    # update_statistics() would add skipped="…", which Jenkins' XSD does not know at the root
    report.tests = sum(suite.tests or 0 for suite in suites)
    report.failures = sum(suite.failures or 0 for suite in suites)
    report.errors = sum(suite.errors or 0 for suite in suites)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(report.tostring().decode() + "\n")


def _suite(page: Page, context: ReportContext) -> TestSuite:
    suite = TestSuite(one_line(page.name))
    suite.timestamp = context.generated_at.replace(microsecond=0, tzinfo=None).isoformat()
    took_s = page.result.timings_ms.get("total", 0) / 1000 if page.result else 0.0
    scanned = TestCase("page was scanned", classname=one_line(page.name), time=took_s)
    if not page.is_scanned:
        problem = one_line(page.problem)
        error = Error(f"{page.outcome}: {problem}", one_line(page.error) or "NotScanned")
        error.text = "\n".join([problem, *doubt_lines(page, untold=True)])
        scanned.result = [error]
    if lines := [*(f"in doubt: {line}" for line in doubt_lines(page)), *_to_review(page)]:
        scanned.system_out = "\n".join(lines)
    suite.add_testcase(scanned)
    for one in by_component([page]):
        if not one.issue_id:
            suite.add_testcase(_case(page, one.finding, context.fail_on))
    return suite


def _component(one: ComponentBarrier, context: ReportContext) -> TestSuite:
    """Return a component barrier as a suite with a case for each of its pages."""
    suite = TestSuite(one_line(f"{one.name} ({one.only_text})" if one.only else one.name))
    suite.timestamp = context.generated_at.replace(microsecond=0, tzinfo=None).isoformat()
    for page, finding in one.places:
        case = _case(page, finding, context.fail_on)
        case.name, case.classname = one_line(page.name), one_line(f"{one.rule}: {one.name}")
        suite.add_testcase(case)
        if one.fix and one.fix[1] is page:
            for result in case.result:
                result.text = "\n".join([result.text or "", "", *_fix(one)])
    return suite


def _fix(one: ComponentBarrier) -> list[str]:
    """Return the tried fix, placed at the page whose result has it."""
    if one.fix is None:
        return []
    fix, page = one.fix
    return [
        tried_text(fix, page.url, of=one.node_count),
        *(one_line(f"{sign}{line}") for sign, line in diff_lines(fix)),
    ]


def _to_review(page: Page) -> list[str]:
    """Return the decisions, then the findings that need review with a model's proposals."""
    decided = ((finding, node) for finding in page.dismissed for node in finding.nodes)
    lines = [f"{one_line(finding.rule)}: {one_line(page.marks.text(finding, node))}" for finding, node in decided]
    by_node = proposals(page)
    for finding in page.result.incomplete if page.result else ():
        about = f"{one_line(finding.rule)}: {one_line(finding.help)}"
        lines.append(f"needs review: {about} ({counted(finding.node_count, 'element')})")
        ratios = [(node, node.contrast) for node in finding.nodes if node.contrast]
        lines += [
            f"  {one_line(selector_text(node.selector))}: {contrast_text(ratio)}: {ratio.verdict}, not counted"
            for node, ratio in ratios[:_NODES]
        ]
        said = [(node, by_node[node.fingerprint]) for node in finding.nodes if node.fingerprint in by_node]
        lines += [
            f"  {one_line(selector_text(node.selector))}: proposed by {one_line(proposal.source)}, not counted: "
            f"{proposal_line(proposal)}"
            for node, proposal in said[:_NODES]
        ]
    return lines


def _case(page: Page, finding: Finding, fail_on: Impact | None) -> TestCase:
    impact = impact_of(finding)
    case = TestCase(f"{one_line(finding.rule)}: {one_line(finding.help)}", classname=one_line(page.name), time=0.0)
    message = f"{impact.value}: {counted(finding.node_count, 'element')}"
    marked = one_line(page.marks.finding_text(finding), limit=500)
    message += f"; {marked}" if marked else ""
    is_over = fail_on is not None and impact.rank >= fail_on.rank
    is_counted = page.marks.counted(finding) is not None
    if is_counted and not is_over:
        message += f"; below --fail-on {fail_on.value}" if fail_on else "; no impact fails this run"
    result = (Failure if is_counted and is_over else Skipped)(message, impact.value)
    result.text = _details(finding, page.marks)
    case.result = [result]
    return case


def _details(finding: Finding, marks: Marks) -> str:
    lines = [f"WCAG {', '.join(finding.criteria)}"] if finding.criteria else []
    lines.append(finding.help_url)
    for node in finding.nodes[:_NODES]:
        marked = marks.text(finding, node)
        lines += ["", *([marked] if marked else []), selector_text(node.selector), node.snippet]
        lines += [summary_line(node.failure_summary), f"fingerprint {node.fingerprint}"]
        lines += [f"component barrier {node.issue_id}"] if node.issue_id else []
    hidden = finding.node_count - min(len(finding.nodes), _NODES)
    if hidden > 0:
        lines += ["", f"and {counted(hidden, 'more element')}"]
    lines += ["", f"fingerprint of the rule, on every page: {finding.fingerprint}"]
    return "\n".join(one_line(line) for line in lines)
