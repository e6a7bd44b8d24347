"""Report for a terminal: the component barriers with their pages, then a line per page and the totals.

The totals come last, where a terminal shows them. Rich detects colour and width; in a pipe or a file nothing is cut.
Below ``_WIDE`` columns a page takes two lines instead of a table row, so that 40 columns are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from producer.contract import Impact
from producer.reports.components import ComponentBarrier, by_component
from producer.reports.fixes import changed_markup
from producer.reports.formats import ReportContext
from producer.reports.mended import HEADING, mended_lines
from producer.reports.page import WORST_FIRST, Page, labels, selector_text, sites_of
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.reports.remarks import remarks
from producer.reports.reviews import Measured, Proposed, reviews
from producer.reports.summary import summarise
from producer.reports.table_sums import INDENT, STYLE, impact_counts, indented, print_problems, print_sums

if TYPE_CHECKING:
    from producer.contract import TriedFix

_WIDE: Final = 72
"""From this width on, the page table fits with distinguishable page names."""
_ROOMY: Final = 100
"""From this width on, the impacts' names are written in full."""
_SHORT: Final = {Impact.CRITICAL: "Crit", Impact.SERIOUS: "Ser", Impact.MODERATE: "Mod", Impact.MINOR: "Min"}
_PIPE: Final = 10_000
"""Width without a terminal: addresses in a log are not cut."""
_FIX_LINES: Final = 2
"""Maximum lines of advice per rule; the HTML report has all of it."""
_PLACES: Final = 4
"""Maximum number of places per rule; all other formats have all."""

_OUTCOME_STYLE: Final = {"passed": "green", "barriers": "default"}


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the components, the pages and the totals of what counts for the gate; holds all pages in memory."""
    console = _console(context, out)
    whole = list(pages)
    listed = [page.counted for page in whole]
    names = [one_line(label) for label in labels(listed)]
    sites = sites_of(listed)
    heading = Text(context.title, style="bold")
    if len(sites) == 1:
        heading.append(f"  {one_line(sites.pop())}", style="not bold dim")
    console.print(heading)
    named = dict(zip(map(id, listed), names, strict=True))
    groups = by_component(listed)
    if any(page.state for page in whole):  # a state in which it is known or waived has it, too
        in_all = {(one.issue_id, one.rule): one.only_text for one in by_component(whole)}
        groups = [replace(group, only_text=in_all.get((group.issue_id, group.rule), "")) for group in groups]
    for group in groups:
        _print_component(console, group, named, context)
    if lines := mended_lines(whole):
        console.print(Text(f"\n{HEADING}", style="bold green"))
        for line in lines:
            console.print(indented(Text(line)), overflow="fold")
    for about, found in reviews(listed):
        _print_reviews(console, about, found, named)
    console.print()
    write_overview(whole, context, out)
    for line in remarks(whole):
        console.print(Text(line, style="dim"), overflow="fold")


def write_overview(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write only the pages and the totals."""
    console, whole = _console(context, out), list(pages)
    listed = [page.counted for page in whole]
    names = [one_line(label) for label in labels(listed)]
    console.print(Text("Pages, with elements by impact", style="bold"))
    if console.width >= _WIDE:
        console.print(_page_table(listed, names, console.width))
    else:
        _print_page_list(console, listed, names)
    write_sums(whole, context, out)


def write_sums(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the pages that could not be scanned and the totals, to explain the outcome if all reports are files."""
    console, listed = _console(context, out), [page.counted for page in pages]
    summary = summarise(listed, fail_on=context.fail_on)
    print_problems(console, listed, [one_line(label) for label in labels(listed)], unit=summary.unit)
    print_sums(console, summary, context)


def _console(context: ReportContext, out: TextIO) -> Console:
    width = context.width or (None if out.isatty() else _PIPE)
    return Console(file=out, width=width, highlight=False, markup=False, emoji=False)


# ---------------------------------------------------------------------------------------------- pages


def _page_table(pages: Sequence[Page], names: Sequence[str], width: int) -> Table:
    heads = {impact: impact.value.capitalize() if width >= _ROOMY else _SHORT[impact] for impact in WORST_FIRST}
    gap, status_width = 2, max((len(page.outcome) for page in pages), default=0)
    left = width - max(status_width, len("no barriers")) - sum(len(head) for head in heads.values()) - 6 * gap
    rule_width = min(max((len(_worst(page)) for page in pages), default=0), left * 2 // 5)
    page_width = left - max(rule_width, len("Worst rule"))
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column("Page", no_wrap=True, max_width=page_width)
    table.add_column("Status", no_wrap=True)
    for head in heads.values():
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("Worst rule", no_wrap=True)
    for page, name in zip(pages, names, strict=True):
        worst = one_line(_worst(page), limit=rule_width)
        table.add_row(middle_cut(name, page_width), _status(page), *_numbers(page), worst)
    return table


def _print_page_list(console: Console, pages: Sequence[Page], names: Sequence[str]) -> None:
    for page, name in zip(pages, names, strict=True):
        console.print(Text(middle_cut(name, console.width), style="bold"))
        line = Text("  ")
        line.append_text(_status(page) if not page.findings else impact_counts(page.barriers))
        if page.findings and not page.is_scanned:
            line.append(", ").append_text(_status(page))
        console.print(line)
        if page.findings:
            console.print(Text(f"  worst: {_worst(page)}", style="dim"), overflow="ellipsis", no_wrap=True)


def _status(page: Page) -> Text:
    if page.outcome == "barriers" and not page.findings:  # all its barriers are known or waived
        return Text("none new" if page.marks.known is not None else "all waived", style="dim")
    word = "no barriers" if page.outcome == "passed" else page.outcome
    return Text(word, style=_OUTCOME_STYLE.get(page.outcome, "bold magenta"))


def _numbers(page: Page) -> list[Text]:
    if not page.is_scanned and not page.findings:
        return [Text("-", style="dim")] * len(WORST_FIRST)
    return [Text(f"{count:,}", style=STYLE[impact] if count else "dim") for impact, count in page.barriers.items()]


def _worst(page: Page) -> str:
    return page.findings[0].rule if page.findings else ""


# ---------------------------------------------------------------------------------------------- components


def _print_component(console: Console, group: ComponentBarrier, names: dict[int, str], context: ReportContext) -> None:
    console.print()
    heading = Text()
    heading.append(group.impact.value, style=STYLE[group.impact]).append("  ")
    if group.issue_id:
        heading.append(one_line(group.name), style="bold")
    else:
        heading.append(group.rule, style="bold").append("  ").append(one_line(group.finding.help))
    criteria = f"WCAG {', '.join(group.finding.criteria)}" if group.finding.criteria else ""
    _print_hanging(console, heading, tail=criteria)
    if group.issue_id:
        console.print(indented(_about(group, context)), overflow="fold")
    if group.also:
        console.print(indented(Text(one_line(group.also), style="dim")), overflow="fold")
    console.print(_places(group, names, console.width - INDENT))
    hidden = group.page_count - len({page.url for page, _ in group.places[:_PLACES]})
    if hidden > 0:
        console.print(indented(Text(f"and on {counted(hidden, 'more page')}", style="dim")))
    console.print(indented(_fix(group, max(_FIX_LINES * (console.width - INDENT) - 8, 40))))
    if group.fix:
        console.print(indented(_tried(group.fix[0], console.width - INDENT)), overflow="ellipsis", no_wrap=True)


def _about(group: ComponentBarrier, context: ReportContext) -> Text:
    """Return rule, numbers, groups and date on one line: ``image-alt, 150 elements on 150 pages, known``."""
    parts = [group.rule, f"{counted(group.node_count, 'element')} on {counted(group.page_count, 'page')}"]
    parts += [one_line(group.only_text, limit=200)] if group.only_text else []
    parts += [f"in {one_line(', '.join(group.groups), limit=120)}"] if group.groups else []
    parts += [group.state] if group.state not in {"", "new"} else []
    parts += [context.dates[group.issue_id].text] if group.issue_id in context.dates else []
    parts += [f"same kind on {one_line(', '.join(group.kin), limit=120)}"] if group.kin else []
    return Text(", ".join([*parts, f"id {group.issue_id}"]), style="dim")


def _fix(group: ComponentBarrier, limit: int) -> Text:
    """Return a language model's advice on this finding, else the advice on its rule."""
    advice = group.advice
    if advice and advice[0].fix and (advice[1] != "builtin" or not group.issue_id):
        head = f"fix, by {one_line(advice[1], limit=60)}: "
        return Text.assemble((head, "dim"), one_line(advice[0].fix, limit=limit - len(head)))
    said = group.what_to_do
    return Text.assemble(("fix: ", "dim"), said.do if said else one_line(group.finding.help, limit=limit))


def _tried(fix: TriedFix, room: int) -> Text:
    """Return the tried fix on one line."""
    head = "tried, removes it: "
    return Text.assemble((head, "dim"), (middle_cut(changed_markup(fix), max(room - len(head), 20)), "green"))


def _places(group: ComponentBarrier, names: dict[int, str], room: int) -> Padding:
    """Return a line for each of a component's first places: page, first element, number of further ones."""
    shown = [(names[id(page)], finding) for page, finding in group.places[:_PLACES]]
    name_width = min(max(len(name) for name, _ in shown), max(room * 2 // 5, 12))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=name_width)
    grid.add_column(no_wrap=True)
    for name, finding in shown:
        more = finding.node_count - 1
        tail = f"  +{more:,}" if more > 0 else ""
        selector = selector_text(finding.nodes[0].selector) if finding.nodes else ""
        where = one_line(selector, limit=max(room - name_width - 2 - len(tail), 8))
        grid.add_row(middle_cut(name, name_width), Text.assemble((where, "cyan"), (tail, "dim")))
    return indented(grid)


def _print_hanging(console: Console, heading: Text, *, tail: str) -> None:
    """Print a heading, wrapped and indented; ``tail`` is never broken."""
    lines = [heading] if len(heading) <= console.width else list(heading.wrap(console, console.width - INDENT))
    for line in lines:
        line.rstrip()
    if len(lines[-1]) + 2 + len(tail) <= console.width - (INDENT if len(lines) > 1 else 0):
        lines[-1].append(f"  {tail}" if tail else "", style="dim")
    else:
        lines.append(Text(tail, style="dim"))
    console.print(lines[0])
    for line in lines[1:]:
        console.print(indented(line))


def _print_reviews(console: Console, about: str, found: Sequence[Proposed | Measured], names: dict[int, str]) -> None:
    """Print the elements that need review, two lines each."""
    console.print()
    heading = Text("review", style="bold blue").append(f"  {about}", style="default")
    _print_hanging(console, heading, tail="needs a decision")
    room = console.width - INDENT
    for one in found[:_PLACES]:
        rule = f"  {one_line(one.finding.rule, limit=40)}"
        name = middle_cut(names[id(one.page)], max(room * 2 // 5, 12))
        selector = one_line(selector_text(one.node.selector), limit=max(room - len(name) - len(rule) - 2, 8))
        place = Text.assemble((name, ""), "  ", (selector, "cyan"), (rule, "dim"))
        console.print(indented(place), overflow="ellipsis", no_wrap=True)
        said = Text(one.line(max(_FIX_LINES * (room - 2) - 8, 40)))
        said.stylize("bold", 0, len(one.word))
        console.print(Padding(said, (0, 0, 0, INDENT + 2), expand=False))
    hidden = len(found) - _PLACES
    if hidden > 0:
        console.print(indented(Text(f"and {counted(hidden, 'more element')}; all are in the HTML report", style="dim")))
