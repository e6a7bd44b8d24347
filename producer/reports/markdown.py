"""Report as Markdown, for a pull-request comment or a CI system's job summary.

Bounded, because a comment takes 65,536 characters: the worst pages and rules are shown, and how many are not. What
comes from pages stands in code spans or is escaped, so it can neither format, link nor mention anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from producer.contract import IMPACTS, Finding
from producer.reports.formats import ReportContext
from producer.reports.page import (
    Page,
    RuleGroup,
    Summary,
    by_rule,
    elements,
    impact_of,
    labels,
    selector_text,
    sites_of,
    summarise,
)
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.reports.remarks import remarks

PAGES: Final = 50
RULES: Final = 40
PLACES: Final = 5
_LABEL_CHARS: Final = 80
_SELECTOR_CHARS: Final = 120
_ESCAPED: Final = re.compile(r"([\\`*_{}\[\]|<>~&:$]|(?<=www)\.)")
_REFERENCE: Final = re.compile(r"((?<!&)[@#])(?=\w)")
"""Begins a mention or the number of an issue; a backslash does not stop GitHub, a word joiner does."""
_SIGNS: Final = re.compile(r"[&<>`*_\[\]\\|~:]")
_WORD_JOINER: Final = "\u2060"


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the sums, the pages worst first, and the broken rules; holds all pages in memory."""
    listed = list(pages)
    names = dict(zip(map(id, listed), labels(listed), strict=True))
    summary = summarise(listed, fail_on=context.fail_on)
    sites = sites_of(listed)
    where = f" of {code(sites.pop())}" if len(sites) == 1 else ""
    out.write(f"## {text(context.title)}\n\n")
    out.write(f"{_verdict(summary, context)}\n\n")
    out.write(f"{_sums(summary)}{where}.\n")
    shown = sorted((page for page in listed if page.outcome != "passed"), key=_worst_first)
    if shown:
        _write_pages(out, shown, names)
    _write_rules(out, by_rule(listed), names)
    if notes := remarks(listed):
        out.write("\n")
        out.writelines(f"- {text(line)}\n" for line in notes)
    out.write(f"\n<sub>Sightline, {context.generated_at:%Y-%m-%d %H:%M %Z}</sub>\n")


def text(value: str) -> str:
    """Return ``value`` as one line that Markdown shows as it is."""
    return _REFERENCE.sub(rf"\1{_WORD_JOINER}", _ESCAPED.sub(r"\\\1", one_line(value)))


def code(value: str, *, limit: int | None = None) -> str:
    """Return ``value`` as a code span; in a table its bars are escaped, as GitHub wants it."""
    line = one_line(value, limit=limit).replace("|", "\\|")
    if not line:
        return ""
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if "`" in (line[0], line[-1]) else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _verdict(summary: Summary, context: ReportContext) -> str:
    if summary.not_scanned:
        return f"**{counted(summary.not_scanned, 'page')} could not be scanned**, so this is not a pass."
    if summary.failing and context.fail_on:
        new = "new " if "new" in summary.marked else ""
        return f"**{counted(summary.failing, 'page')} with {new}findings that are {context.fail_on.value} or worse.**"
    if summary.total:
        new = "new and " if "known" in summary.marked else ""
        return f"**Barriers were found**, none {new}at or over the threshold."
    return "**No barriers found.** Automatic checks find about a third of them; the rest takes people."


def _sums(summary: Summary) -> str:
    counts = ", ".join(f"{summary.elements[i]:,} {i.value}" for i in reversed(IMPACTS) if summary.elements[i])
    pages = f"{counted(summary.pages, 'page')}: {summary.with_barriers:,} with barriers, {summary.passed:,} without"
    return pages + (f"; {counted(summary.total, 'barrier')} ({counts})" if counts else "")


def _worst_first(page: Page) -> tuple[bool, list[int]]:
    counts = dict.fromkeys(IMPACTS, 0)
    for finding in page.findings:
        counts[impact_of(finding)] -= elements(finding)
    return page.is_scanned, [counts[impact] for impact in reversed(IMPACTS)]


def _write_pages(out: TextIO, pages: Sequence[Page], names: dict[int, str]) -> None:
    heads = [impact.value.capitalize() for impact in reversed(IMPACTS)]
    out.write(f"\n| Page | Status | {' | '.join(heads)} |\n|---|---|{'--:|' * len(heads)}\n")
    for page in pages[:PAGES]:
        is_read = page.is_scanned or bool(page.findings)
        counts = [f"{getattr(page.barriers, i.value):,}" if is_read else "" for i in reversed(IMPACTS)]
        status = page.outcome if page.is_scanned else f"**{page.outcome}**: {text(page.problem)[:300]}"
        out.write(f"| {code(middle_cut(names[id(page)], _LABEL_CHARS))} | {status} | {' | '.join(counts)} |\n")
    if len(pages) > PAGES:
        out.write(f"\n… and {counted(len(pages) - PAGES, 'more page')}.\n")


def _write_rules(out: TextIO, groups: Sequence[RuleGroup], names: dict[int, str]) -> None:
    for group in groups[:RULES]:
        place = f"{counted(group.node_count, 'element')} on {counted(len(group.places), 'page')}"
        criteria = f", WCAG {', '.join(map(text, group.finding.criteria))}" if group.finding.criteria else ""
        out.write(f"\n<details><summary><b>{group.impact.value}</b> ")
        out.write(f"{_html(group.rule)}: {_html(group.finding.help)} ({place})</summary>\n\n")
        for page, finding in group.places[:PLACES]:
            first = code(selector_text(finding.nodes[0].selector), limit=_SELECTOR_CHARS) if finding.nodes else ""
            more = f" +{elements(finding) - 1:,}" if elements(finding) > 1 else ""
            name = code(middle_cut(names[id(page)], _LABEL_CHARS))
            out.write(f"- {name} {first}{more}{_mark(page, finding)}\n")
        if len(group.places) > PLACES:
            out.write(f"- … and {counted(len(group.places) - PLACES, 'more page')}\n")
        if group.advice and group.advice[0].fix:
            out.write(f"\nFix, by {text(group.advice[1])}: {text(group.advice[0].fix[:600])}\n")
        if group.finding.help_url.startswith("https://"):
            link = re.sub(r"[^A-Za-z0-9:/?=&#._-]", "", group.finding.help_url)
            out.write(f"\n[About this rule]({link}){criteria}\n")
        out.write("\n</details>\n")
    if len(groups) > RULES:
        out.write(f"\n… and {counted(len(groups) - RULES, 'more rule')}.\n")


def _mark(page: Page, finding: Finding) -> str:
    marked = page.marks.finding_text(finding)
    return f" ({text(marked)})" if marked else ""


def _html(value: str) -> str:
    """Return ``value`` for inside an HTML element, where some viewers read Markdown too: its signs as entities."""
    line = _SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", one_line(value, limit=200))
    return _REFERENCE.sub(rf"\1{_WORD_JOINER}", line)
