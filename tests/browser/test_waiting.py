"""The waits for a page, which do not depend on where it is served."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from producer.contract import ScanRequest, ScanResult
from tests.support.site import Site
from worker.scan.cdp import JsonObject, Session
from worker.scan.engine import ScanEngine, ScanSettings


async def scan(engine: ScanEngine, url: str) -> ScanResult:
    return (await engine.audit(ScanRequest(url=url, deadline_s=20))).result


def rules_of(result: ScanResult) -> set[str]:
    return {finding.rule for finding in result.findings}


async def test_a_page_served_by_two_hosts_has_the_same_barriers_on_both(engine: ScanEngine) -> None:
    seen: list[set[str]] = []
    for _ in range(2):
        with Site() as served:
            images = f'<img src="{served.url("/logo.png")}"><a href="{served.url("/")}"></a>'
            result = await scan(engine, served.add("/home", f'<html lang="en"><title>Home</title>{images}'))
        seen.append({node.fingerprint for finding in result.findings for node in finding.nodes})

    assert len(seen[0]) > 1
    assert seen[0] == seen[1]


async def test_a_page_without_scripts_is_not_waited_for_and_one_with_scripts_is(
    settings: ScanSettings, site: Site
) -> None:
    late = "<script>setTimeout(() => document.body.append(new Image()), 900)</script>"
    refresh = '<meta http-equiv="refresh" content="1;url=/pages/guilty.html">'
    quiet_ms, very_quiet_ms = 1_500, 60_000
    async with ScanEngine(replace(settings, quiet_ms=very_quiet_ms, settle_limit_s=60)) as very_patient:
        still = await scan(very_patient, site.url("/pages/guilty.html"))
    async with ScanEngine(replace(settings, quiet_ms=quiet_ms, settle_limit_s=10)) as patient:
        scripted = await scan(patient, site.add("/late-image", f'<html lang="en"><title>Late</title><p>Hi</p>{late}'))
        refreshed = await scan(patient, site.add("/leaves", refresh))

    assert (still.status, still.doubts) == ("scanned", ())
    assert scripted.timings_ms["load"] >= quiet_ms
    assert rules_of(scripted) == {"image-alt"}
    assert refreshed.final_url == site.url("/pages/guilty.html")


async def test_a_page_is_asked_no_more_than_the_wait_needs(
    settings: ScanSettings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    call = Session.call

    async def counted(self: Session, method: str, params: JsonObject | None = None, **options: Any) -> JsonObject:
        expression = str((params or {}).get("expression"))
        asked["facts" if "still_ms:" in expression and "height:" in expression else method] += 1
        return await call(self, method, params, **options)

    monkeypatch.setattr(Session, "call", counted)
    url = site.add("/asked", "<html lang=en><title>Asked</title><h1>Asked</h1><script>document.title += '!'</script>")
    async with ScanEngine(replace(settings, quiet_ms=1_000)) as engine:
        result = await scan(engine, url)

    assert result.status == "scanned"
    assert result.timings_ms["load"] >= 1_000
    assert 1 <= asked["facts"] <= 6  # before the wait, after it, and at rest; the rest is for a busy machine
    assert asked["Page.getFrameTree"] == 0  # it has no frames


async def test_a_page_that_says_that_it_leaves_is_followed(engine: ScanEngine, site: Site) -> None:
    moved = '<html lang="en"><title>Moved</title><h1>Moved</h1><meta http-equiv="refresh" content="1; url={}">'

    followed = await scan(engine, site.add("/moved", moved.format("/pages/guilty.html")))
    failed = await scan(engine, site.add("/moved-to-nothing", moved.format("/no-such-page")))
    clock = moved.format("/clock?again").replace('"1;', '"5;')  # not while it is audited on a busy machine
    stays = await scan(engine, site.add("/clock", clock))

    assert followed.final_url == site.url("/pages/guilty.html")
    assert failed.status == "unreachable"
    assert "404" in failed.reason
    assert (failed.final_url, failed.http_status, failed.title) == (site.url("/no-such-page"), 404, "")
    assert stays.final_url == site.url("/clock")


async def test_a_page_that_is_busy_for_seconds_is_asked_for_the_selector_again(
    settings: ScanSettings, site: Site
) -> None:
    busy = "const end = performance.now() + 2600; while (performance.now() < end); document.body.id = 'ready';"
    script = f"<script>addEventListener('load', () => setTimeout(() => {{ {busy} }}, 30))</script>"
    url = site.add("/busy", f"<html lang=en><title>Busy</title><h1>Busy</h1>{script}")
    async with ScanEngine(replace(settings, load_limit_s=20)) as engine:
        result = (await engine.audit(ScanRequest(url=url, wait_for="#ready", deadline_s=60))).result

    assert (result.status, result.waited["selector"]) == ("scanned", "reached")
