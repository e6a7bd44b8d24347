"""Report as Markdown, for a pull-request comment or a CI system's job summary.

Bounded, because a comment holds 65,536 characters: the worst components and pages are shown, the rest are counted. Text
from pages is in code spans or escaped, so that it cannot format, link or mention anyone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from producer.contract import Finding
from producer.reports.components import ComponentBarrier, by_component
from producer.reports.doubts import doubt_lines
from producer.reports.explained import site_orders
from producer.reports.fixes import diff_lines, tried_text
from producer.reports.formats import ReportContext
from producer.reports.mended import HEADING, mended_lines
from producer.reports.page import WORST_FIRST, Page, labels, selector_text, sites_of, worst_first
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.reports.remarks import remarks
from producer.reports.reviews import Measured, Proposed, reviews
from producer.reports.summary import Summary, summarise

MAX_CHARS: Final = 65_000
"""Slightly below GitHub's limit, to leave room for a line by the caller."""
PAGES: Final = 50
COMPONENTS: Final = 40
PLACES: Final = 5
NOTES: Final = 30
REVIEWS: Final = 20
DOUBTS: Final = 20
SITES: Final = 3
_ROOM: Final = 200
"""Characters reserved for the note about omissions."""
_LABEL_CHARS: Final = 80
_SELECTOR_CHARS: Final = 120
_WHY_CHARS: Final = 400
_DIFF_CHARS: Final = 1_200
_ESCAPED: Final = re.compile(r"([\\`*_{}\[\]|<>~&:$]|(?<=www)\.)")
_REFERENCE: Final = re.compile(r"((?<!&)[@#!%^]|\bGH-)(?=\w)")
"""What begins a mention or the number of an issue or merge request; GitHub ignores a backslash, but no word joiner."""
_SIGNS: Final = re.compile(r"[&<>`*_\[\]\\|~:]")
_WORD_JOINER: Final = "\u2060"


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the totals, the component barriers, and the pages, worst first; holds all pages in memory."""
    listed = list(pages)
    names = dict(zip(map(id, listed), labels(listed), strict=True))
    head, foot = _head(listed, context), _foot(listed, context)
    doubts = _doubts(listed, names)
    gone = "".join(f"- {text(line)}\n" for line in mended_lines(listed))
    mended = f"\n**{HEADING}**\n\n{gone}" if gone else ""
    left = MAX_CHARS - len(head) - len(foot) - len(doubts) - len(mended) - _ROOM
    shown = _news_first([page for page in listed if page.outcome != "passed"])
    rows = _fitting((_row(page, names) for page in shown[:PAGES]), left // 2)
    all_groups = by_component(listed)
    groups = [group for group in all_groups if group.counts]
    blocks = _fitting((_component(group, names) for group in groups[:COMPONENTS]), left - sum(map(len, rows)))
    left -= sum(map(len, [*rows, *blocks]))
    old = _known([group for group in all_groups if not group.counts], chars=left // 2)
    left -= len(old)
    known = reviews(listed)
    folded = "".join(_review(about, found, names, chars=left // len(known)) for about, found in known)
    out.write(f"{marker(context.category)}\n" if context.category else "")
    out.write(head)
    out.writelines(blocks)
    what = "component barrier" if any(group.issue_id for group in groups) else "rule"
    out.write(_left_out(len(groups) - len(blocks), f"more {what}"))
    out.write(mended)
    out.write(old)
    if shown:
        heads = [impact.value.capitalize() for impact in WORST_FIRST]
        out.write("\n**Pages**, with elements by impact\n")
        out.write(f"\n| Page | Status | {' | '.join(heads)} |\n|---|---|{'--:|' * len(heads)}\n")
        out.writelines(rows)
        out.write(_left_out(len(shown) - len(rows), "more page"))
    out.write(doubts)
    out.write(folded)
    out.write(foot)


def marker(category: str) -> str:
    """Return the invisible first line by which ``sightline comment`` finds its comment of this category."""
    return f"<!-- sightline: {category} -->"


def _known(groups: Sequence[ComponentBarrier], *, chars: int) -> str:
    """Return a collapsed block with a line for each component barrier that is known or waived everywhere."""
    if not groups:
        return ""
    word = "Known" if all(group.state == "known" for group in groups) else "Known or waived"
    begin = f"\n<details><summary>{word}: {counted(len(groups), 'component barrier')}</summary>\n\n"
    lines = _fitting(map(_known_line, groups), chars - len(begin) - _ROOM)
    return f"{begin}{''.join(lines)}{_left_out(len(groups) - len(lines), 'more')}\n</details>\n"


def _known_line(group: ComponentBarrier) -> str:
    place = f"{counted(group.node_count, 'element')} on {counted(group.page_count, 'page')}"
    marked = group.places[0][0].marks.finding_text(group.places[0][1]) if group.state != "known" else group.state
    known_by = f", {code(group.issue_id)}" if group.issue_id else ""
    return f"- {group.impact.value} {text(group.name)} ({code(group.rule)}), {place}{known_by}: {text(marked)}\n"


def _news_first(pages: Sequence[Page]) -> list[Page]:
    """Return the pages, worst first; after a comparison, by their new barriers."""
    rank = {id(page): place for place, page in enumerate(worst_first(pages))}
    return sorted(
        pages,
        key=lambda page: (
            page.is_scanned,
            [-number for number in page.counted.barriers.values()] if page.marks.is_set else [],
            rank[id(page)],
        ),
    )


def _review(about: str, found: Sequence[Proposed | Measured], names: dict[int, str], *, chars: int) -> str:
    """Return a collapsed block with as many elements to review as fit into ``chars``."""
    begin = f"\n<details><summary><b>needs a person's decision</b>, not counted: {_html(about)}</summary>\n\n"
    end = "\n</details>\n"
    looks = _fitting((_look(one, names) for one in found[:REVIEWS]), chars - len(begin) - len(end) - _ROOM)
    return f"{begin}{''.join(looks)}{_left_out(len(found) - len(looks), 'more element')}{end}" if looks else ""


def _head(listed: Sequence[Page], context: ReportContext) -> str:
    summary = summarise(listed, fail_on=context.fail_on)
    sites = sites_of(listed)
    is_compared = any(page.marks.known is not None for page in listed)
    new = summarise([page.counted for page in listed], fail_on=None) if is_compared else None
    where = f" of {code(sites.pop(), limit=200)}" if len(sites) == 1 else ""
    orders = "".join(
        f"\n**What to fix first** on {code(order.site)}, by {text(order.model)}: "
        f"{text(one_line(order.text, limit=2_000))}\n"
        for order in site_orders(listed)[:SITES]
    )
    return f"## {text(context.title)}\n\n{_verdict(summary, context)}\n\n{_sums(summary, where, new)}.\n{orders}"


def _foot(listed: Sequence[Page], context: ReportContext) -> str:
    notes = remarks(listed)
    lines = [f"- {text(one_line(line, limit=400))}\n" for line in notes[:NOTES]]
    told = "\n" + "".join(lines) + _left_out(len(notes) - len(lines), "more note") if notes else ""
    return f"{told}\n<sub>Sightline, {context.generated_at:%Y-%m-%d %H:%M %Z}</sub>\n"


def _fitting(blocks: Iterable[str], chars: int) -> list[str]:
    """Return the first blocks that together fit into ``chars``."""
    kept: list[str] = []
    for block in blocks:
        chars -= len(block)
        if chars < 0:
            break
        kept.append(block)
    return kept


def _left_out(number: int, what: str) -> str:
    return f"\n… and {counted(number, what)}; all are in the other reports.\n" if number > 0 else ""


def text(value: str) -> str:
    """Return ``value`` as one line that Markdown shows literally."""
    return _REFERENCE.sub(rf"\1{_WORD_JOINER}", _ESCAPED.sub(r"\\\1", one_line(value)))


def code(value: str, *, limit: int | None = None) -> str:
    """Return ``value`` as a code span; in a table its bars are escaped, as GitHub requires."""
    line = one_line(value, limit=limit).replace("|", "\\|")
    if not line:
        return ""
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if "`" in (line[0], line[-1]) else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _verdict(summary: Summary, context: ReportContext) -> str:
    failing = ""
    if summary.failing and context.fail_on:
        new = "new " if "new" in summary.marked else ""
        pages = counted(summary.failing, summary.unit)
        failing = f"**{pages} with {new}findings that are {context.fail_on.value} or worse.**"
    if summary.not_scanned:
        return f"**{summary.why_no_pass}**, so this is not a pass. {failing}".rstrip()
    if failing:
        return failing
    if summary.total:
        return f"**{summary.passing_text(context.fail_on)}**"
    return "**No barriers found.** Automatic checks find about a third of all barriers; the rest need people."


def _sums(summary: Summary, where: str, new: Summary | None) -> str:
    """Return the totals, after a comparison those of new barriers first."""
    counts = _impacts(summary)
    pages = f"{summary.pages_text}{where}: {summary.with_barriers:,} with barriers, {summary.passed:,} without"
    found = f"; {summary.found()}: {counts}" if counts else ""
    review = f"; {counted(summary.needs_review, 'finding')} to review" if summary.needs_review else ""
    doubts = f"; {counted(summary.in_doubt, summary.unit)} in doubt" if summary.in_doubt else ""
    if new is not None:
        what = f": {_impacts(new)}" if new.total else ""
        found = f"; **{new.found('new ')}**{what}; {summary.found()} in all" if summary.total else ""
    return pages + found + review + doubts


def _impacts(summary: Summary) -> str:
    return ", ".join(f"{summary.elements[i]:,} {i.value}" for i in WORST_FIRST if summary.elements[i])


def _row(page: Page, names: dict[int, str]) -> str:
    is_read = page.is_scanned or bool(page.findings)
    new = page.counted.barriers if page.marks.known is not None else page.barriers
    counts = [_count(new[impact], number) if is_read else "" for impact, number in page.barriers.items()]
    status = page.outcome if page.is_scanned else f"**{page.outcome}**: {text(one_line(page.problem, limit=300))}"
    return f"| {code(middle_cut(names[id(page)], _LABEL_CHARS))} | {status} | {' | '.join(counts)} |\n"


def _count(new: int, number: int) -> str:
    """Return the number of new elements, and of all if some are known: ``2 of 5``."""
    return f"{new:,} of {number:,}" if new != number else f"{number:,}"


def _doubts(listed: Sequence[Page], names: dict[int, str]) -> str:
    """Return a line for each doubt not shown in the table, as many as fit."""
    lines = [
        f"- {code(middle_cut(names[id(page)], _LABEL_CHARS))} {text(line)}\n"
        for page in listed
        for line in doubt_lines(page, untold=True)
    ]
    shown = _fitting(lines[:DOUBTS], MAX_CHARS // 10)
    return f"\n**In doubt**\n\n{''.join(shown)}{_left_out(len(lines) - len(shown), 'more doubt')}" if lines else ""


def _component(group: ComponentBarrier, names: dict[int, str]) -> str:
    """Return a component barrier as a collapsed block: its pages, the fix, a link to the rule's explanation."""
    place = f"{counted(group.node_count, 'element')} on {counted(group.page_count, 'page')}"
    place += f", {one_line(group.only_text, limit=200)}" if group.only else ""
    state = f"<b>{group.state}</b>: " if group.state else ""
    name = _html(group.name) if group.issue_id else f"{_html(group.rule)}: {_html(group.finding.help)}"
    lines = [f"\n<details><summary>{state}<b>{group.impact.value}</b> {name} ({_html(place)})</summary>\n\n"]
    lines += [f"{text(one_line(group.also))}\n\n"] if group.also else []
    lines += [_place(page, finding, names) for page, finding in group.places[:PLACES]]
    if hidden := group.page_count - len({page.url for page, _ in group.places[:PLACES]}):
        lines.append(f"- … and {counted(hidden, 'more page')}\n")
    if group.what_to_do:
        lines.append(f"\n{text(group.what_to_do.do)}\n")
    lines += _fix(group)
    if group.advice and group.advice[0].fix and group.advice[1] != "builtin":
        lines.append(f"\nFix, by {text(group.advice[1])}: {text(one_line(group.advice[0].fix, limit=600))}\n")
    if group.finding.help_url.startswith("https://"):
        link = re.sub(r"[^A-Za-z0-9:/?=&#._-]", "", group.finding.help_url)
        criteria = f", WCAG {', '.join(map(text, group.finding.criteria))}" if group.finding.criteria else ""
        about = f", component barrier {code(group.issue_id)}" if group.issue_id else ""
        lines.append(f"\n[About {code(group.rule, limit=60)}]({link}){criteria}{about}\n")
    return "".join([*lines, "\n</details>\n"])


def _fix(group: ComponentBarrier) -> list[str]:
    """Return the tried fix as a diff; its fence is longer than any in the markup."""
    if group.fix is None:
        return []
    fix, page = group.fix
    diff = "\n".join(f"{sign}{line}" for sign, line in diff_lines(fix))
    if len(diff) > _DIFF_CHARS:
        return [f"\n{text(tried_text(fix, page.url, of=group.node_count))} It is in the HTML report.\n"]
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", diff))])
    return [f"\n{text(tried_text(fix, page.url, of=group.node_count))}\n\n{fence}diff\n{diff}\n{fence}\n"]


def _place(page: Page, finding: Finding, names: dict[int, str]) -> str:
    first = code(selector_text(finding.nodes[0].selector), limit=_SELECTOR_CHARS) if finding.nodes else ""
    more = f" +{finding.node_count - 1:,}" if finding.node_count > 1 else ""
    marked = page.marks.finding_text(finding)
    mark = f" ({text(marked)})" if marked else ""
    reached = f", reached by {code(page.reached_by, limit=_WHY_CHARS)}" if page.reached_by else ""
    return f"- {code(middle_cut(names[id(page)], _LABEL_CHARS))} {first}{more}{mark}{reached}\n"


def _look(one: Proposed | Measured, names: dict[int, str]) -> str:
    where = code(middle_cut(names[id(one.page)], _LABEL_CHARS))
    selector = code(selector_text(one.node.selector), limit=_SELECTOR_CHARS)
    return f"- {where} {selector} {text(one.finding.rule)}: {text(one.line(_WHY_CHARS))}\n"


def _html(value: str) -> str:
    """Return ``value`` as entities, for use inside an HTML element, where some viewers also read Markdown."""
    line = _SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", one_line(value, limit=200))
    return _REFERENCE.sub(rf"\1{_WORD_JOINER}", line)
