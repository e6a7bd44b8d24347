"""Every report format is valid and safe to show, whatever a page wrote into its result."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from markdown_it.token import Token

from producer.contract import Impact
from producer.reports.csv import COLUMNS
from producer.reports.formats import FORMATS, ReportContext, load_report
from producer.reports.page import Page
from tests.fuzz.scan_results import PAGES
from tests.support.published_schemas import faults, junit_faults

CONTEXT = ReportContext(datetime(2026, 11, 30, tzinfo=UTC), fail_on=Impact.SERIOUS, width=80)
OURS = re.compile(r"</?(?:details|summary|b|sub)>|<!-- sightline: [^>]* -->")
MENTION = re.compile(r"(?<![\w`])@\w")
COMMONMARK = MarkdownIt("commonmark", {"html": True}).enable("table")


def check_json(text: str, pages: Sequence[Page]) -> None:
    assert len(json.loads(text)["pages"]) == len(pages)


def check_jsonl(text: str, pages: Sequence[Page]) -> None:
    lines = text.split("\n")[:-1]
    assert [json.loads(line)["url"] for line in lines] == [page.document()["url"] for page in pages]


def check_csv(text: str, pages: Sequence[Page]) -> None:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) > len(pages)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


def check_sarif(text: str, pages: Sequence[Page]) -> None:
    del pages
    assert faults("sarif-2.1.0.json", json.loads(text)) == []


def check_junit(text: str, pages: Sequence[Page]) -> None:
    del pages
    assert junit_faults(text) == []


def check_gitlab(text: str, pages: Sequence[Page]) -> None:
    del pages
    for entry in json.loads(text):
        assert {"description", "check_name", "fingerprint", "severity", "location"} == set(entry)
        assert isinstance(entry["location"]["path"], str)


def check_table(text: str, pages: Sequence[Page]) -> None:
    assert len(text.splitlines()) > len(pages)


def check_markdown(text: str, pages: Sequence[Page]) -> None:
    del pages
    assert len(text) < 65_536
    for token in _flat(COMMONMARK.parse(text)):
        if token.type in {"html_block", "html_inline"}:
            assert "<" not in OURS.sub("", token.content)
        assert token.type != "image"
        assert not (token.type == "link_open" and not str(token.attrs["href"]).startswith("https://rules.example/"))
        assert not (token.type == "text" and MENTION.search(token.content))


def check_html(text: str, pages: Sequence[Page]) -> None:
    del pages
    outline, own = _Outline(text), _Outline(rendered("html", []))
    for tag in ("script", "img", "link", "meta", "iframe", "object", "base", "embed", "form"):
        assert outline.tags.count(tag) == own.tags.count(tag)
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in {"style", "src", "srcset"}]
    links = [value for name, value in outline.attributes if name == "href"]
    assert all(link.startswith(("https://", "http://", "#")) for link in links)


CHECKS: dict[str, Callable[[str, Sequence[Page]], None]] = {
    "table": check_table,
    "json": check_json,
    "jsonl": check_jsonl,
    "csv": check_csv,
    "markdown": check_markdown,
    "junit": check_junit,
    "sarif": check_sarif,
    "html": check_html,
    "gitlab": check_gitlab,
}


def rendered(name: str, pages: Sequence[Page]) -> str:
    out = io.StringIO()
    load_report(name)(pages, CONTEXT, out)
    return out.getvalue()


def _flat(tokens: Sequence[Token]) -> list[Token]:
    return [one for token in tokens for one in (token, *_flat(token.children or ()))]


class _Outline(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def check(name: str, text: str, pages: list[Page]) -> None:
    text.encode()
    assert not [c for c in text if c not in "\n\r\t" and unicodedata.category(c) in {"Cc", "Zl", "Zp"}]
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067") & set(text) or name in {"json", "jsonl"}
    CHECKS[name](text, pages)


def test_every_format_is_checked():
    assert set(CHECKS) == set(FORMATS)


@pytest.mark.parametrize("names", [["html", "table", "markdown"], ["junit", "sarif", "gitlab", "csv", "json", "jsonl"]])
@given(pages=PAGES)
def test_a_report_is_valid_and_safe(names: list[str], pages: list[Page]):
    for name in names:
        check(name, rendered(name, pages), pages)
