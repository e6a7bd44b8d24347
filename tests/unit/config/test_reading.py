"""``sightline.toml``: its contents, and all its errors at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from producer.cli.scan.command import scan
from producer.cli.scan.option_keys import option_keys
from producer.config.finding import find_config
from producer.config.layers import page_options
from producer.config.model import FORMATS as REPORT_KEYS
from producer.config.options import given
from producer.config.reading import Config, Reading, read_config
from producer.reports.formats import FORMATS

OPTIONS = option_keys(scan)

SIZE = "expected width and height in CSS pixels, such as 390x844, or the width"
FAULTS = """\
strat = "npm run preview"
[scan]
viewprt = "390x844"
viewport = "wide"
standard = "wcag22"
fail_on = "serious"
deadline = "60"
deadlin = 3
disable = ["color-contrst", "image-alt"]
within = ["<div>"]
wait_until = "networkidle"
no_assess = "yes"
block = "https://ads.example/"
allow_partial = ["nothing"]
ca = "nowhere.pem"
screenshot = 1
[[site]]
name = "shop"
pages = ["/cart", "ftp://shop.example/"]
sitemap = ["https://shop.example/"]
[[site]]
name = "shop"
[[site]]
url = "${NO_SUCH_VARIABLE}"
match = 3
[[page]]
standard = "wcag21aa"
[gate]
fail-on = "critical"
max_new = -1
only_new = "true"
rules = ["no-such-rule"]
[gate.max]
total = 1.5
rule = { color-contrast = 3 }
[reports]
htm = "report.html"
pdf = "report.pdf"
[[waiver]]
fingerprint = "3f2b"
reason = "x"
[[waiver]]
rule = "image-alt"
until = "2027-03-31"
"""


def read(text: str, folder: Path, name: str = "sightline.toml", **variables: str) -> Reading:
    file = folder / name
    file.write_text(text)
    return read_config(file, OPTIONS, variables)


def config(text: str, folder: Path, name: str = "sightline.toml", **variables: str) -> Config:
    reading = read(text, folder, name, **variables)
    assert reading.config, [str(fault) for fault in reading.faults]
    return reading.config


def test_every_fault_is_named_at_once_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    faults = [str(fault) for fault in read(FAULTS, tmp_path).faults]

    assert len(faults) >= 30
    expected = [
        "sightline.toml:1: strat: unknown key; did you mean start?",
        "sightline.toml:3: scan.viewprt: unknown key; did you mean viewport?",
        f"sightline.toml:4: scan.viewport: 'wide': {SIZE}",
        "sightline.toml:6: scan.fail_on: unknown key here: it belongs in [gate]",
        "sightline.toml:7: scan.deadline: '60': expected a number, without quotes",
        "sightline.toml:9: scan.disable: axe-core has no rule 'color-contrst': did you mean color-contrast?",
        "sightline.toml:12: scan.no_assess: 'yes': expected true or false, without quotes",
        "sightline.toml:16: scan.screenshot: 1: expected true or false",
        "sightline.toml:20: site[1].sitemap: unknown key; did you mean sitemaps?",
        "sightline.toml:26: page[1].match: missing",
        "sightline.toml:29: gate.fail-on: unknown key; did you mean fail_on?",
        "sightline.toml:34: gate.max.total: 1.5: expected a whole number",
        "sightline.toml:35: gate.max.rule: unknown key; did you mean rules?",
        "sightline.toml:37: reports.htm: unknown key; did you mean html?",
        "sightline.toml:42: waiver[2].reason: missing",
        "sightline.toml:44: waiver[2].until: '2027-03-31': expected a date such as 2027-03-31, without quotes",
    ]
    assert [line for line in expected if line not in faults] == []
    lines = FAULTS.splitlines()
    with_fault = {int(fault.split(":")[1]) for fault in faults}
    right = {n for n, line in enumerate(lines, 1) if line.startswith("[") or line in RIGHT}
    assert set(range(1, len(lines) + 1)) - with_fault - right == set()


RIGHT = {'name = "shop"', 'standard = "wcag21aa"', 'reason = "x"', 'rule = "image-alt"', 'fingerprint = "3f2b"'}
"""Lines of FAULTS without a fault, or whose fault is their table's."""


def test_invalid_toml_is_reported_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    (fault,) = read("[scan]\nviewport = \n", tmp_path).faults
    (cut,) = read("[scan", tmp_path).faults

    assert str(fault).startswith("sightline.toml:2: not TOML: ")
    assert str(cut).startswith("sightline.toml:1: not TOML: ")


def test_the_same_tables_stand_in_pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = '[project]\nname = "x"\n[tool.sightline.scan]\nviewprt = "1x1"\n'

    (fault,) = read(text, tmp_path, "pyproject.toml").faults

    assert str(fault) == "pyproject.toml:4: scan.viewprt: unknown key; did you mean viewport?"


def test_two_sites_have_two_names(tmp_path: Path) -> None:
    site = '[[site]]\nname = "shop"\nurl = "http://localhost/"\n'

    (fault,) = read(site * 2, tmp_path).faults

    assert fault.line == 5
    assert fault.text == "site[2].name: 'shop' is also the name of site[1]"


def test_a_file_says_what_the_command_line_would(tmp_path: Path) -> None:
    text = """
start = "npm start"
[scan]
viewport = "390x844"
without = "#chat"
try_fixes = false
deadline = 90
[[site]]
url = "${SITE:-http://localhost:3000/}"
pages = ["/", "cart", "https://other.example/x"]
header_file = "headers.txt"
[gate]
fail_on = "minor"
max_new = 2
only_new = true
[[waiver]]
rule = "image-alt"
reason = "later"
until = 2027-03-31
"""
    document = config(text, tmp_path, SITE="http://preview.example/").document

    assert given(document.scan) == {
        "viewport": ({"width": 390, "height": 844},), "without": ("#chat",), "try_fixes": False, "deadline_s": 90.0
    }  # fmt: skip
    site = document.site[0]
    assert site.addresses == ["http://preview.example/", "http://preview.example/cart", "https://other.example/x"]
    assert given(site) == {"header_file": str(tmp_path / "headers.txt")}
    assert given(document.gate) == {"fail_on": "minor", "max_new": 2, "only_new": True}
    assert document.start
    assert document.start.run == "npm start"
    assert document.waiver[0].until == date(2027, 3, 31)


def test_later_tables_win_over_earlier_ones(tmp_path: Path) -> None:
    text = """
[scan]
standard = "wcag2a"
without = ["#a", "#b"]
[[site]]
url = "http://one.example/"
standard = "wcag2aa"
[[page]]
match = "/shop/*"
without = "#c"
[[page]]
match = ["http://one.example/shop/x*"]
standard = "best-practice"
"""
    file = config(text, tmp_path)

    assert page_options(file, "http://two.example/", None) == {"standard": "wcag2a", "without": ("#a", "#b")}
    assert page_options(file, "http://one.example/", 0) == {"standard": "wcag2aa", "without": ("#a", "#b")}
    assert page_options(file, "http://one.example/shop/y", 0) == {"standard": "wcag2aa", "without": ("#c",)}
    assert page_options(file, "http://one.example/shop/x1", 0) == {"standard": "best-practice", "without": ("#c",)}


def test_the_nearest_file_counts_up_to_the_repository(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "packages" / "shop"
    inner.mkdir(parents=True)
    (tmp_path / "sightline.toml").touch()
    (tmp_path / "repository" / ".git").mkdir()
    (tmp_path / "repository" / "pyproject.toml").write_text("[tool.ruff]\n")

    assert find_config(inner) is None
    (tmp_path / "repository" / "pyproject.toml").write_text("[tool.sightline.gate]\nstrict = true\n")
    assert find_config(inner) == tmp_path / "repository" / "pyproject.toml"
    (tmp_path / "repository" / "sightline.toml").touch()
    assert find_config(inner) == tmp_path / "repository" / "sightline.toml"


def test_options_of_pages_logins_and_the_gate_are_keys_and_each_has_a_name_of_its_own() -> None:
    taken = {option.name for option in OPTIONS}

    assert {"viewport", "no_scroll", "fail_on", "assess_wait_s", "header_file", "lane"} <= taken
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)


def test_the_reports_are_those_that_there_are() -> None:
    assert set(REPORT_KEYS) == set(FORMATS)
