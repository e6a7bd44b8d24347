"""Configurations of pa11y-ci and Lighthouse CI: the pages that a run of them scans, and that all else is named.

The pages of each case are those that pa11y-ci 4.1 and Lighthouse CI 0.15 load for it, looked up in a server's log.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from producer.cli.config import config as config_command
from producer.cli.main import run
from producer.cli.scan.by_file import combined
from producer.cli.scan.command import scan
from producer.cli.scan.option_keys import option_keys
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.pages import asked_pages
from producer.config.importing import lighthouse as lighthouse_importer
from producer.config.importing import pa11y as pa11y_importer
from producer.config.importing.files import draft_of
from producer.config.importing.pa11y import selectors
from producer.config.layers import page_options
from producer.config.reading import Config, read_config
from producer.settings import setting_names
from worker.settings import WorkerSettings

OPTIONS = option_keys(scan)
SERVED = "python3 -m http.server 9080 --bind 127.0.0.1 --directory ./dist"


def pa11y(**config: Any) -> tuple[str, str]:
    return ".pa11yci", json.dumps(config)


def lighthouse(**config: Any) -> tuple[str, str]:
    return "lighthouserc.json", json.dumps({"ci": config})


CASES: dict[str, tuple[tuple[str, str], list[str], list[str]]] = {
    "urls alone": (
        pa11y(urls=["http://localhost:8080/", "localhost:8080/about"]),
        ["http://localhost:8080/", "http://localhost:8080/about"],
        [],
    ),
    "defaults": (
        pa11y(
            defaults={
                "standard": "WCAG2AA", "timeout": 20000, "viewport": {"width": 320, "height": 480, "isMobile": True},
                "hideElements": ".ad, #map:not(.a, .b)", "rootElement": "main", "runners": ["axe", "htmlcs"],
                "includeWarnings": False, "threshold": 4, "concurrency": 4, "wait": 500,
            },
            urls=["https://a.example/"],
        ),
        ["https://a.example/"],
        ["defaults.concurrency", "defaults.runners htmlcs", "defaults.threshold", "defaults.viewport.isMobile",
         "defaults.wait"],
    ),
    "a url with options of its own": (
        pa11y(
            defaults={"ignore": ["color-contrast", "WCAG2AA.Principle1.Guideline1_3.1_3_1.H48", "notice"]},
            urls=[
                "https://a.example/",
                {"url": "https://a.example/?q=[x]", "timeout": 90000, "screenCapture": "x.png", "userAgent": "me"},
            ],
        ),
        ["https://a.example/", "https://a.example/?q=[x]"],
        ["defaults.ignore WCAG2AA.Principle1.Guideline1_3.1_3_1.H48", "urls[1].userAgent"],
    ),
    "a login": (
        pa11y(
            defaults={"headers": {"Authorization": "Bearer s3cret"}, "useIncognitoBrowserContext": True},
            urls=[{"url": "https://a.example/", "actions": ["click element #login"], "method": "POST"}],
        ),
        ["https://a.example/"],
        ["defaults.headers", "urls[0].actions", "urls[0].method"],
    ),
    "reporters and a browser": (
        pa11y(
            defaults={
                "reporters": ["cli", ["json", {"fileName": "./a11y.json"}], "pa11y-ci-reporter-html"],
                "chromeLaunchConfig": {"ignoreHTTPSErrors": True, "args": ["--no-sandbox", "--lang=de"],
                                       "executablePath": "/usr/bin/chrome"},
                "rules": ["css-orientation-lock", "Principle1.Guideline1_3"], "standard": "Section508",
            },
            urls=["https://a.example/"],
        ),
        ["https://a.example/"],
        ["defaults.chromeLaunchConfig.args --lang=de", "defaults.chromeLaunchConfig.executablePath",
         "defaults.reporters pa11y-ci-reporter-html", "defaults.rules Principle1.Guideline1_3", "defaults.standard"],
    ),
    "a started server": (
        lighthouse(
            collect={"url": ["http://localhost:3000/", "http://localhost:3000/a"], "numberOfRuns": 3,
                     "startServerCommand": "npm start", "startServerReadyPattern": "up",
                     "startServerReadyTimeout": 25000},
            upload={"target": "temporary-public-storage"},
        ),
        ["http://localhost:3000/", "http://localhost:3000/a"],
        ["ci.collect.numberOfRuns", "ci.collect.startServerReadyPattern", "ci.upload.target"],
    ),
    "a static folder": (
        lighthouse(collect={"staticDistDir": "./dist", "isSinglePageApplication": True}),
        ["http://localhost:9080/about.html", "http://localhost:9080/index.html"],
        ["ci.collect.isSinglePageApplication"],
    ),
    "the top of a static folder": (
        lighthouse(collect={"staticDistDir": "site", "staticDirFileDiscoveryDepth": 0}),
        ["http://localhost:9080/top.html"],
        [],
    ),
    "assertions": (
        lighthouse(
            collect={"url": "https://a.example/"},
            **{"assert": {"assertions": {
                "categories:accessibility": ["error", {"minScore": 0.9}], "color-contrast": "off", "label": "warn",
                "image-alt": ["error", {"minScore": 1, "aggregationMethod": "optimistic"}], "uses-http2": "off"}}},
        ),
        ["https://a.example/"],
        ["ci.assert.assertions.categories:accessibility", "ci.assert.assertions.image-alt.aggregationMethod",
         "ci.assert.assertions.uses-http2"],
    ),
    "settings in YAML": (
        ("lighthouserc.yml", yaml.safe_dump({"ci": {
            "collect": {"url": ["https://a.example/"], "puppeteerScript": "./login.js", "settings": {
                "preset": "desktop", "onlyCategories": ["accessibility", "seo"], "skipAudits": ["bypass", "redirects"],
                "chromeFlags": "--ignore-certificate-errors --lang=de",
                "blockedUrlPatterns": ["*.ads.example", "/x.js"],
                "throttlingMethod": "devtools"}},
            "upload": {"target": "filesystem", "outputDir": "./lhci"}, "server": {"port": 9001}}})),
        ["https://a.example/"],
        ["ci.collect.puppeteerScript", "ci.collect.settings.blockedUrlPatterns /x.js",
         "ci.collect.settings.chromeFlags --lang=de", "ci.collect.settings.onlyCategories seo",
         "ci.collect.settings.skipAudits redirects", "ci.collect.settings.throttlingMethod", "ci.server"],
    ),
    "a matrix of assertions": (
        lighthouse(
            collect={"url": ["https://a.example/", "https://a.example/blog/1"]},
            **{"assert": {"preset": "lighthouse:recommended", "assertMatrix": [
                {"matchingUrlPattern": ".*", "assertions": {"tabindex": "off"}},
                {"matchingUrlPattern": "^https://a\\.example/blog/.*", "assertions": {"link-name": "off"}},
                {"matchingUrlPattern": "/(a|b)/", "assertions": {"label": "off"}},
                {"matchingUrlPattern": "/blog/[0-9]*$", "assertions": {"bypass": "off"}}]}},
        ),
        ["https://a.example/", "https://a.example/blog/1"],
        ["ci.assert.assertMatrix[2].assertions.label", "ci.assert.assertMatrix[2].matchingUrlPattern",
         "ci.assert.assertMatrix[3].assertions.bypass", "ci.assert.assertMatrix[3].matchingUrlPattern"],
    ),
}  # fmt: skip


def imported(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Config, list[str], str]:
    monkeypatch.chdir(folder)
    (name, text), _, _ = CASES[case]
    Path(name).write_text(text)
    for page in ("dist/index.html", "dist/about.html", "dist/a/b/c/deep.html", "site/top.html", "site/a/below.html"):
        Path(page).parent.mkdir(parents=True, exist_ok=True)
        Path(page).touch()
    done = CliRunner().invoke(config_command, ["import", name])
    assert done.exit_code == 0, done.output
    reading = read_config(Path("sightline.toml"), OPTIONS, {})
    assert reading.config, [str(fault) for fault in reading.faults]
    return reading.config, [one.option for one in draft_of(Path(name)).left], done.output


def pages_of_a_run() -> list[str]:
    """The pages that ``sightline scan`` alone scans in this folder."""
    given = {"local": True}
    wanted = combined((), has_file=False, options=ScanOptions(local=True), command=scan, given=given)
    return [page.url for page in asked_pages(wanted, (), None)[1]]


@pytest.mark.parametrize("case", CASES)
def test_a_configuration_gives_the_same_pages_and_names_what_it_loses(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, left, output = imported(case, tmp_path, monkeypatch)

    _, pages, lost = CASES[case]
    assert pages_of_a_run() == pages
    assert sorted(left) == lost
    assert all(f"not carried over: {name}" in output for name in lost)
    assert "s3cret" not in output + Path("sightline.toml").read_text()


def test_options_are_carried_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _, _ = imported("defaults", tmp_path, monkeypatch)

    assert page_options(file, "https://a.example/", 0) == {
        "standard": "wcag21aa", "deadline_s": 20.0, "viewport": ({"width": 320, "height": 480},),
        "without": (".ad", "#map:not(.a, .b)"), "within": ("main",),
    }  # fmt: skip


def test_options_of_one_url_hold_for_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _, _ = imported("a url with options of its own", tmp_path, monkeypatch)

    own = {"deadline_s": 90.0, "screenshot": True}
    assert page_options(file, "https://a.example/?q=[x]", 0) == {"disabled_rules": ("color-contrast",), **own}
    assert page_options(file, "https://a.example/xq=x", 0) == {"disabled_rules": ("color-contrast",)}


@pytest.mark.parametrize(
    ("case", "command", "url", "timeout"),
    [
        ("a started server", "npm start", "http://localhost:3000/", 25.0),
        ("a static folder", SERVED, "http://localhost:9080/", 10.0),
    ],
)
def test_a_server_and_a_static_folder_are_started(
    case: str, command: str, url: str, timeout: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _, _ = imported(case, tmp_path, monkeypatch)

    start = file.document.start
    assert start
    assert (start.run, start.url, start.timeout) == (command, url, timeout)


def test_assertions_become_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _, _ = imported("assertions", tmp_path, monkeypatch)

    gate = file.document.gate
    assert (gate.rules, gate.report_only) == (["image-alt"], ["label"])
    assert page_options(file, "https://a.example/", 0)["disabled_rules"] == ("color-contrast",)


def test_a_matrix_becomes_rules_of_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _, _ = imported("a matrix of assertions", tmp_path, monkeypatch)

    assert page_options(file, "https://a.example/", 0)["disabled_rules"] == ("tabindex",)
    assert page_options(file, "https://a.example/blog/1", 0)["disabled_rules"] == ("tabindex", "link-name")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (".pa11yci", "{", "is not JSON, line 1"),
        ("lighthouserc.js", "module.exports = {}", "is a program, which is not run"),
        ("lighthouserc.yml", "a: [", "is not YAML, line"),
        ("other.json", "{}", "is not a known configuration"),
        ("gone.json", None, "cannot read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    name: str, text: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from producer.errors import SightlineError  # noqa: PLC0415  beside its only use

    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text)

    with pytest.raises(SightlineError, match=expected):
        draft_of(Path(name))


def test_an_existing_file_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sightline.toml").write_text("mine")
    Path(".pa11yci").write_text('{"urls": ["https://a.example/"]}')

    done = CliRunner().invoke(config_command, ["import", ".pa11yci"])

    assert "is not overwritten" in str(done.exception)
    assert Path("sightline.toml").read_text() == "mine"


def test_selectors_are_cut_at_commas_between_them() -> None:
    assert selectors("a, b[x='1,2'], :is(c, d) e ,") == ["a", "b[x='1,2']", ":is(c, d) e"]


def test_a_key_that_is_several_lines_adds_no_line_to_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / ".pa11yci"
    file.write_text(json.dumps({"defaults": {"odd\nstart = 'rm -rf /'\n": 1}, "urls": ["https://a.example/"]}))

    made = draft_of(file).text("a\nb = 1")

    assert "start =" not in [line[:7] for line in made.splitlines()]
    assert not any(line.startswith("b = 1") for line in made.splitlines())


@pytest.mark.parametrize(
    ("name", "text", "lost"),
    [
        (*pa11y(urls=["http://a.example/"], defaults={"ignore": [["label"]], "rules": [{"id": 1}]}), "defaults.ignore"),
        (
            *pa11y(urls=["http://a.example/"], defaults={"chromeLaunchConfig": {"args": [{}]}}),
            "chromeLaunchConfig.args",
        ),
        (*lighthouse(**{"assert": {"assertions": {"label": {}}}}), "label"),
    ],
)
def test_values_of_an_unexpected_kind_are_named(tmp_path: Path, name: str, text: str, lost: str) -> None:
    (tmp_path / name).write_text(text)

    draft = draft_of(tmp_path / name)

    assert any(lost in one.option for one in draft.left)


def test_settings_in_the_reasons_exist() -> None:
    reasons = (*lighthouse_importer._NO_PLACE.values(), *pa11y_importer._NO_PLACE.values())
    named = {name for why in reasons for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", why)}

    assert named
    assert named <= setting_names(WorkerSettings)


def test_text_that_no_file_can_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".pa11yci").write_text('{"urls": ["http://a.example/\\ud800"]}')

    assert run(["config", "import", ".pa11yci"]) == 64
    assert "has text that is no Unicode" in capsys.readouterr().err
