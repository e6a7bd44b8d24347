"""Reports when one component was fixed and one added on all pages between two nights. All parts are real."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.support.command_line import Call
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite

PATHS = ("/", "/tea", "/cup")
FOOTER = "<footer><a href='/help' class=help-link></a></footer>"
SEARCH = "<form role=search><input type=text class=search-field></form>"


def page(header: str, footer: str) -> bytes:
    card = "<img src='/cup.png' class=card-image>"
    return (
        f"<!doctype html><html lang=en><title>Shop</title><header>{header}</header>"
        f"<main><h1>Shop</h1>{card}</main>{footer}</html>"
    ).encode()


def test_two_nights_are_compared_by_the_names_of_changed_components(
    call: Call, start_worker: StartScanWorker, site: SmallSite
) -> None:
    start_worker()
    between = ""
    for night, parts in (("nightly-1", ("", FOOTER)), ("nightly-2", (SEARCH, ""))):
        site.files |= dict.fromkeys(PATHS, page(*parts))
        done = call(
            "scan", *(site.url + path for path in PATHS), "--batch", night, "--group", "shop", "--wait", "--json"
        )
        assert done.returncode == 1, done.stderr
        between = between or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def ask(question: str) -> dict[str, Any]:
        return json.loads(call("ask", question, "--wait", "--json").stdout)

    changed = ask("What changed between nightly-1 and nightly-2?")
    first = ask("Which component should we fix first?")
    since = ask("Since when is the header broken?")
    count = ask("How many image-alt barriers are on /tea?")
    groups = ask(f"Which groups got worse since {between}?")
    trend = json.loads(call("history", "--trend", "--since", between).stdout)

    assert "worse and better. 1 new component barrier, 1 fixed" in changed["answer"]
    assert "New: “Header › search field" in changed["answer"]
    assert "Fixed: “Footer › help link" in changed["answer"]
    assert first["answer"].startswith("Fix first: “")
    assert since["answer"].startswith("“Header › search field")
    assert count["answer"].startswith(f"1 element with image-alt barriers, in 1 component barrier on {site.url}/tea")
    assert all(one["sources"] for one in (changed, first, since, count))
    assert "new: Header › search field" in groups["answer"]
    assert "Better: “shop”" in groups["answer"]
    assert trend["verdict"] == "worse and better"
    assert [one["change"] for one in trend["component_barriers"]] == ["new", "mended"]
