"""The formats of a comparison. Each writes it to a file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Final, TextIO, TypeAlias

from producer.reports.comparison import Change, Comparison, ComponentChange
from producer.reports.csv import cell
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, middle_cut, one_line

HEADINGS: Final[tuple[tuple[Change, str], ...]] = (
    ("new", "New"),
    ("moved", "On other pages"),
    ("mended", "Fixed"),
    ("uncertain", "Uncertain, so neither new nor fixed"),
)
MAX_PAGES: Final = {"table": 3, "markdown": 5, "html": 100}
"""Maximum number of pages named per component; JSON and CSV have all."""
MAX_COMPONENTS: Final = 200
"""Maximum number per kind in Markdown: a comment holds 65,536 characters."""
COLUMNS: Final = (
    "change", "impact", "rule", "component", "issue_id", "page", "on_page", "pages_before", "pages_after", "groups",
    "examples",
)  # fmt: skip

Writer: TypeAlias = "Callable[[Comparison, TextIO], None]"


def write_comparison(name: str, found: Comparison, out: TextIO) -> None:
    """Write ``found`` in the format ``name``, one of ``WRITERS``."""
    WRITERS[name](found, out)


def _table(found: Comparison, out: TextIO) -> None:
    out.write(f"{one_line(found.before.text)} to {one_line(found.after.text)}\n")
    for change, heading in HEADINGS:
        if listed := found.of(change):
            out.write(f"\n{heading}: {counted(len(listed), 'component barrier')}\n")
        for one in listed:
            impact = f"{one.impact.value}  " if one.impact else ""
            out.write(f"  {impact}{one_line(one.name)}\n      {one_line(one.rule)}, {one.text}, id {one.issue_id}\n")
            out.write(f"      {one_line(one.also)}\n" if one.also else "")
            urls = _pages(one)
            out.writelines(
                f"      {word} {middle_cut(one_line(url), 100)}\n" for word, url in urls[: MAX_PAGES["table"]]
            )
            if len(urls) > MAX_PAGES["table"]:
                out.write(f"      and {counted(len(urls) - MAX_PAGES['table'], 'more page')}\n")
    out.write(f"\n{found.verdict}: {found.sentence}\n")
    out.writelines(f"{line}\n" for line in found.remarks)


def _json(found: Comparison, out: TextIO) -> None:
    out.write(line_of({**found.head(), "changes": [one.document() for one in found.changes]}) + "\n")


def _jsonl(found: Comparison, out: TextIO) -> None:
    out.writelines(line_of({"v": 1, **one.document()}) + "\n" for one in found.changes)


def _csv(found: Comparison, out: TextIO) -> None:
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for one in found.changes:
        for word, url in _pages(one):
            cells = (
                one.change, one.impact.value if one.impact else "", one.rule, one.name, one.issue_id, url, word,
                one.pages_before, one.pages_after, ", ".join(one.groups), ", ".join(one.examples),
            )  # fmt: skip
            rows.writerow([cell(str(value)) for value in cells])


def _markdown(found: Comparison, out: TextIO) -> None:
    from producer.reports.markdown import MAX_CHARS, code, text  # noqa: PLC0415  imported only when used, like report formats

    head = f"## What changed\n\n{text(found.before.text)} to {text(found.after.text)}\n\n"
    head += f"**{found.verdict.capitalize()}**: {text(found.sentence)}.\n"
    notes = "".join(f"- {text(line)}\n" for line in found.remarks)
    left = MAX_CHARS - len(head) - len(notes)
    blocks: list[str] = []
    hidden = 0
    for change, heading in HEADINGS:
        listed = found.of(change)
        for number, one in enumerate(listed):
            title = f"\n**{heading}: {len(listed):,}**\n\n" if number == 0 else ""
            impact = f"{one.impact.value} " if one.impact else ""
            block = f"{title}- {impact}**{text(one_line(one.name, limit=200))}**: {one.text} ({code(one.issue_id)})\n"
            block += f"  - {text(one_line(one.also))}\n" if one.also else ""
            urls = _pages(one)
            block += "".join(
                f"  - {word} {code(middle_cut(url, 100))}\n" for word, url in urls[: MAX_PAGES["markdown"]]
            )
            if len(urls) > MAX_PAGES["markdown"]:
                block += f"  - and {counted(len(urls) - MAX_PAGES['markdown'], 'more page')}\n"
            if number >= MAX_COMPONENTS or len(block) > left:
                hidden += len(listed) - number
                break  # a smaller one would be listed under another heading
            blocks.append(block)
            left -= len(block)
    out.write(head)
    out.writelines(blocks)
    if hidden:
        out.write(f"\n… and {counted(hidden, 'more component barrier')}; all are in the other formats.\n")
    out.write(f"\n{notes}" if notes else "")


def _html(found: Comparison, out: TextIO) -> None:
    from markupsafe import Markup  # noqa: PLC0415  as above

    from producer.reports.html import asset, environment, policy_hash  # noqa: PLC0415

    style = asset("report.css")
    known = {"one_line": one_line, "counted": counted, "max_pages": MAX_PAGES["html"]}
    page = environment().get_template("comparison.html.jinja", globals=known)
    facts = {"title": "What changed", "found": found, "headings": HEADINGS}
    out.write(page.render(**facts, style=Markup(style), style_hash=policy_hash(style)) + "\n")  # noqa: S704  our own file


def _pages(one: ComponentChange) -> Sequence[tuple[str, str]]:
    """Return the pages on which the component changed, each with the change."""
    named = (("new on", one.gained), ("gone from", one.lost), ("uncertain on", one.uncertain))
    return [(word, url) for word, urls in named for url in urls]


WRITERS: Final[dict[str, Writer]] = {
    "table": _table,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "markdown": _markdown,
    "html": _html,
}
