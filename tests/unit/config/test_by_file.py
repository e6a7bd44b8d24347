"""The command line and the file together: which pages, which options, which gate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import pytest

from producer.cli.scan import by_file, pages
from producer.cli.scan.by_file import Wanted, combined
from producer.cli.scan.command import scan
from producer.cli.scan.file_rules import file_rules
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.pages import asked_pages
from producer.cli.scan.run import _plan
from producer.errors import InputError

FILE = """
start = "npm run preview"
[scan]
standard = "wcag21aa"
lane = "interactive"
[[site]]
name = "shop"
url = "http://shop.test/"
pages = ["/", "/cart"]
header_file = "shop.txt"
[[site]]
name = "docs"
url = "http://docs.test/"
viewport = "390x844"
[[page]]
match = "/cart"
group = "checkout"
[gate]
only_new = true
max_new = 1
report_only = ["label"]
count_review = "live-trap"
[gate.max]
total = 9
[reports]
html = "reports/out.html"
table = "-"
[[waiver]]
rule = "image-alt"
reason = "later"
[[waiver]]
fingerprint = "3f2b8c6e5a1d4f7089abcdef"
reason = "never"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(by_file, "environment", dict)
    monkeypatch.setattr(pages, "environment", dict)
    (tmp_path / "shop.txt").write_text("X-Shop: 1\n")
    path = tmp_path / "sightline.toml"
    path.write_text(FILE)
    return path


def wanted(file: Path, *urls: str, **given: Any) -> Wanted:
    given["config"] = str(file)
    return combined(urls, has_file=False, options=ScanOptions(**given), command=scan, given=given)


def test_without_an_address_the_file_says_what_is_scanned(file: Path) -> None:
    run = wanted(file)
    _, asked = asked_pages(run, (), None)

    assert [(page.url, page.options.standard, page.options.viewport, page.options.groups) for page in asked] == [
        ("http://shop.test/", "wcag21aa", (), ()),
        ("http://shop.test/cart", "wcag21aa", (), ("checkout",)),
        ("http://docs.test/", "wcag21aa", ({"width": 390, "height": 844},), ()),
    ]
    assert [page.secrets for page in asked] == [{"headers": {"X-Shop": "1"}}, {"headers": {"X-Shop": "1"}}, {}]
    options = run.options
    assert options.waits
    assert (options.lane, options.only_new, options.max_new) == ("interactive", True, 1)
    assert options.formats == ("table", f"html={file.parent / 'reports/out.html'}")
    assert run.start == by_file.Start("npm run preview", "http://shop.test/", file.parent)


def test_the_command_line_wins(file: Path) -> None:
    run = wanted(file, standard="wcag2a", formats=("json",), sites=("docs",), max_new=3)
    _, asked = asked_pages(run, (), None)

    assert [(page.url, page.options.standard) for page in asked] == [("http://docs.test/", "wcag2a")]
    assert run.options.formats == ("json",)
    assert file_rules(run).limits.new == 3


def test_an_address_on_the_command_line_is_scanned_with_the_options_of_the_file(file: Path) -> None:
    run = wanted(file, "http://docs.test/guide", "http://else.test/")
    _, asked = asked_pages(run, ("http://docs.test/guide", "http://else.test/"), None)

    assert [page.options.viewport for page in asked] == [({"width": 390, "height": 844},), ()]
    assert run.start is None  # what is started serves another site


def test_local_keeps_nothing_to_compare_with(file: Path) -> None:
    with pytest.raises(click.UsageError, match="needs only_new or a baseline"):
        wanted(file, local=True)
    run = wanted(file, local=True, baseline="known.json")

    assert not run.options.only_new
    assert any("gate.only_new is ignored" in remark for remark in run.remarks)


def test_the_gate_of_the_file_reaches_the_run(file: Path) -> None:
    rules = file_rules(wanted(file))

    assert (rules.limits.total, rules.limits.new) == (9, 1)
    assert rules.count_review == {"live-trap"}
    assert [(sorted(one.rules), one.waiver.reason) for one in rules.rule_waivers] == [
        (["image-alt"], "later"), (["label"], f"only reported, by gate.report_only of {rules.shown}")
    ]  # fmt: skip
    assert [one.fingerprint for one in rules.waivers] == ["3f2b8c6e5a1d4f7089abcdef"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"sites": ("shp",)}, "--site 'shp' is not a site of .*did you mean shop"),
        ({"no_config": True}, "are mutually exclusive"),
        ({"start": "x", "start_url": "http://"}, "--start-url: "),
    ],
)
def test_what_contradicts_itself_is_refused(file: Path, given: dict[str, Any], text: str) -> None:
    with pytest.raises((click.UsageError, InputError), match=text):
        wanted(file, **given)


def test_faults_are_printed_a_line_each_and_nothing_is_done(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[scan]\nviewprt = 1\nstandrd = 2\n")

    with pytest.raises(InputError, match="has 2 errors: nothing was done"):
        wanted(file)
    assert [line.partition("sightline.toml:")[2] for line in capsys.readouterr().err.splitlines()] == [
        "2: scan.viewprt: unknown key; did you mean viewport?",
        "3: scan.standrd: unknown key; did you mean standard?",
    ]


def test_one_login_does_not_go_to_two_sites(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "environment", lambda: {"SIGHTLINE_HEADERS": '{"Authorization": "x"}'})

    with pytest.raises(InputError, match="are for one site"):
        asked_pages(wanted(file), (), None)


def test_pages_have_states_of_their_own_and_those_of_crawls_are_found_by_the_site(file: Path) -> None:
    file.write_text(
        '[[site]]\nurl = "http://shop.test/"\n[[page]]\nmatch = "/"\ncolor_scheme = ["light", "dark"]\n'
        '[[site]]\nurl = "http://docs.test/"\ncrawl = "/guide"\nmax_pages = 5\n'
    )
    run = wanted(file)
    alone = dataclasses.replace(run, sites=(0,))
    targets, asked = asked_pages(alone, (), None)

    plan = _plan(targets, asked, alone.options)
    assert [payload.get("color_scheme") for payload in plan.payloads()] == [None, "dark"]
    crawled = run.for_site(1)
    assert (crawled.crawl, crawled.max_pages) == (("http://docs.test/guide",), 5)
