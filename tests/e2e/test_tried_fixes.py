"""The demo's shop, scanned with tried fixes by a real worker: fixes are in every report, the shop gets no writes."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import Call
from tests.support.scan_worker import ROOT, StartScanWorker
from tests.support.site import Site

PAGES = ("journal.html", "checkout.html")
FORMATS = {
    "json": "json",
    "html": "html",
    "md": "markdown",
    "sarif": "sarif",
    "xml": "junit",
    "csv": "csv",
    "txt": "table",
}


@pytest.mark.timeout(180)
def test_the_shops_mechanical_fixes_are_tried_and_shown_in_every_report(
    call: Call, start_worker: StartScanWorker, tmp_path: Path
) -> None:
    start_worker(TRY_FIXES="1")
    with Site(ROOT / "ops" / "demo" / "site") as shop:
        urls = [shop.url(f"/{page}") for page in PAGES]
        asked = [f"--format={kind}={tmp_path / f'r.{end}'}" for end, kind in FORMATS.items()]

        answer = call("scan", *urls, "--timeout", "90", "--assess-wait", "90", "--fail-on", "never", *asked)

        methods = {request.method for request in shop.requests}
        loads = {page: len(shop.seen(f"/{page}")) for page in PAGES}
    assert answer.returncode == 0, answer.stderr
    assert methods == {"GET"}, "the site's access log shows no write"
    assert loads == dict.fromkeys(PAGES, 2), "the scan, and once for all changes"
    pages = {Path(page["url"]).name: page for page in json.loads((tmp_path / "r.json").read_text())["pages"]}
    tried = [(name, fix) for name, page in pages.items() for fix in page["fixes"]]
    verdicts = {(name, fix["rule"], fix["verdict"]) for name, fix in tried}
    assert {(name, rule) for name, rule, verdict in verdicts if verdict == "removes"} >= {
        ("journal.html", "document-title"),
        ("journal.html", "html-has-lang"),
        ("journal.html", "scrollable-region-focusable"),
        ("checkout.html", "label"),
        ("checkout.html", "select-name"),
        ("checkout.html", "autocomplete-valid"),
    }, verdicts
    shown = sum(fix["verdict"] == "removes" for _, fix in tried)
    report = {end: (tmp_path / f"r.{end}").read_text() for end in FORMATS}
    assert report["html"].count("this change removes the barrier and adds none.") == shown
    assert report["html"].count("Tried on your page for one of the elements:") == 1
    assert "<ins>+ &lt;html lang=&#34;en&#34;&gt;</ins>" in report["html"]
    assert '```diff\n-<html>\n+<html lang="en">\n```' in report["md"]
    assert '+&lt;html lang="en"&gt;' in report["xml"]
    assert re.search(r'tried, removes it: <html lang="en">', report["txt"])
    rows = csv.DictReader(report["csv"].splitlines())
    assert {row["tried_fix"] for row in rows if row["rule"] == "html-has-lang"} == {'<html lang="en">'}
    results = json.loads(report["sarif"])["runs"][0]["results"]
    (root,) = [one for one in results if one["ruleId"] == "html-has-lang"]
    (change,) = root["fixes"][0]["artifactChanges"]
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 7},
            "insertedContent": {"text": '<html lang="en">'},
        }
    ]
