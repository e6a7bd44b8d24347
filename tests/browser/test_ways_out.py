"""Options for pages with third-party content, each in one real scan."""

from __future__ import annotations

import json

import pytest

from producer.contract import ScanRequest, ScanResult
from producer.contract.rules import AXE_RULES
from producer.errors import InvalidJob
from tests.support.open_page import opened
from tests.support.scans import passes
from tests.support.site import AUTHORITY, VOUCHED, Site, redirect, reply
from worker.own_redis.server import free_port
from worker.scan.axe_source import load_axe
from worker.scan.engine import ScanEngine


def page(body: str, *, style: str = "") -> str:
    head = f"<meta charset=utf-8><title>T</title><style>{style}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body><main><h1>Hi</h1>{body}</main></body></html>"


async def scan(engine: ScanEngine, url: str, **more: object) -> ScanResult:
    return (await engine.audit(ScanRequest.model_validate({"url": url, "deadline_s": 30, **more}))).result


@pytest.fixture
def dead() -> str:
    """An address at which nothing answers."""
    return f"http://127.0.0.1:{free_port()}/ad"


async def test_a_dead_frame_counts_where_it_is_part_of_what_is_scanned(
    engine: ScanEngine, site: Site, dead: str
) -> None:
    url = site.add("/ways/dead-frame", page("<p>x</p>") + f'<iframe title="ad" src="{dead}"></iframe>')

    whole = await scan(engine, url)
    without = await scan(engine, url, exclude=["iframe"])
    within = await scan(engine, url, include=["main"])

    assert (whole.status, [doubt.kind for doubt in whole.doubts]) == ("partial", ["unread-frame"])
    assert passes(without), without.reason
    assert passes(within), within.reason


async def test_a_dead_frame_that_nobody_sees_is_not_missed(engine: ScanEngine, site: Site, dead: str) -> None:
    url = site.add("/ways/hidden-frame", page(f'<iframe hidden title="pixel" src="{dead}"></iframe>'))

    assert passes(await scan(engine, url))


async def test_an_allowed_kind_of_doubt_is_shown_and_the_page_is_scanned(
    engine: ScanEngine, site: Site, dead: str
) -> None:
    url = site.add("/ways/allowed", page(f'<iframe title="ad" src="{dead}"></iframe>'))

    result = await scan(engine, url, allow_partial=["unread-frame"])

    assert (result.status, [doubt.kind for doubt in result.doubts]) == ("scanned", ["unread-frame"])
    assert result.allow_partial == ("unread-frame",)


async def test_a_page_asks_nothing_of_a_blocked_host_and_lacks_nothing_for_it(engine: ScanEngine, site: Site) -> None:
    ads = f"http://localhost:{site.port}"
    site.add("/ways/ad", page("<img src=/pixel.png>"))
    body = (
        f'<script src="{ads}/ways/ad.js"></script><link rel=stylesheet href="{ads}/ways/ad.css">'
        f'<iframe title="ad" src="{ads}/ways/ad"></iframe><img alt="" src="/pixel.png?to={ads}/own">'
        f"<script>fetch('{ads}/ways/data').catch(() => 0); new WebSocket('ws://localhost:{site.port}/ways/socket');"
        f"new Worker(URL.createObjectURL(new Blob([`fetch('{ads}/ways/worker').catch(() => 0)`])))</script>"
    )
    url = site.add("/ways/ads", page(body))
    before = len(site.requests)

    result = await scan(engine, url, blocked_hosts=["LOCALHOST"])

    asked = {request.path for request in site.requests[before:]} - {"/favicon.ico"}
    assert asked == {"/ways/ads", "/pixel.png"}, "an address that only names the host is another's"
    assert (result.status, result.doubts, result.refused) == ("scanned", (), ())
    assert result.failed_requests == 0
    assert passes(result)


async def test_hosts_below_a_blocked_one_are_blocked_in_frames_of_other_sites_too(
    engine: ScanEngine, site: Site
) -> None:
    ads = f"http://ads.localhost:{site.port}/ways/deep.js"
    inner = site.add("/ways/inner", page(f'<script src="{ads}"></script>')).replace("127.0.0.1", "localhost")
    url = site.add("/ways/outer", page(f'<iframe title="inner" src="{inner}"></iframe>'))

    result = await scan(engine, url, blocked_hosts=["*.localhost"])

    assert site.seen("/ways/inner")
    assert not site.seen("/ways/deep.js")
    assert passes(result), result.reason


async def test_a_page_that_leads_to_a_blocked_host_says_so(engine: ScanEngine, site: Site) -> None:
    away = redirect(site.url("/pages/clean.html", host="localhost"))

    result = await scan(engine, site.add("/ways/away", away), blocked_hosts=["localhost"])

    assert result.status == "unreachable"
    assert "a host that the request blocks" in result.reason


LOCKED = "@media (orientation: portrait) { body { transform: rotate(90deg); } }"


async def test_what_an_experimental_rule_finds_needs_review(engine: ScanEngine, site: Site) -> None:
    url = site.add("/ways/locked", page("<p>x</p>", style=LOCKED))

    plain = await scan(engine, url)
    asked = await scan(engine, url, enabled_rules=["css-orientation-lock"])

    assert (plain.status, plain.findings, plain.incomplete) == ("scanned", (), ())
    assert [(found.rule, found.outcome) for found in asked.incomplete] == [("css-orientation-lock", "incomplete")]
    assert (asked.status, asked.findings) == ("scanned", ())


async def test_aaa_adds_its_rules_to_those_of_aa(engine: ScanEngine, site: Site) -> None:
    url = site.add("/ways/grey", page("<p>Some words</p><img src=/pixel.png>", style="p { color: #666; }"))

    double = await scan(engine, url)
    triple = await scan(engine, url, standard="wcag22aaa")

    assert {found.rule for found in double.findings} == {"image-alt"}
    assert {found.rule for found in triple.findings} == {"image-alt", "color-contrast-enhanced"}


async def test_a_wrong_certificate_is_ignored_where_that_is_asked_for_and_said(engine: ScanEngine) -> None:
    with Site(tls=True) as secure:
        frame = secure.add("/frame", page("<img src=/pixel.png>")).replace("127.0.0.1", "localhost")
        url = secure.add("/staging", page(f'<iframe title="inner" src="{frame}"></iframe>'))

        refused = await scan(engine, url)
        ignored = await scan(engine, url, insecure=True)
        again = await scan(engine, url)

    assert (refused.status, again.status) == ("unreachable", "unreachable")
    assert "certificate" in again.reason
    assert ignored.status == "scanned"
    assert [found.rule for found in ignored.findings] == ["image-alt"], "the frame of another site is read too"
    assert [doubt.kind for doubt in ignored.doubts] == ["insecure"]


async def test_an_authority_given_is_trusted_for_one_scan_and_vouches_for_no_other_server(engine: ScanEngine) -> None:
    ca = AUTHORITY.read_text()
    with Site(tls=VOUCHED) as staging, Site(tls=True) as stranger:
        frame = staging.add("/frame", page("<img src=/pixel.png>")).replace("127.0.0.1", "localhost")
        script = f'<script src="{stranger.add("/x.js", "document.title = 1")}"></script>'
        url = staging.add("/staging", page(f'<iframe title="inner" src="{frame}"></iframe>{script}'))
        clean = stranger.add("/clean", page("<p>x</p>"))

        trusted = await scan(engine, url, ca=ca)
        misnamed = await scan(engine, url.replace("127.0.0.1", "127.0.0.2"), ca=ca)
        unknown = await scan(engine, clean, ca=ca)
        again = await scan(engine, url)

    assert [found.rule for found in trusted.findings] == ["image-alt"], "the frame of another site is read too"
    assert [(doubt.kind, "/x.js did not load" in doubt.what) for doubt in trusted.doubts] == [("failed-request", True)]
    assert not stranger.requests, "nothing is asked of a server before it has proved who it is"
    assert [one.status for one in (misnamed, unknown, again)] == ["unreachable"] * 3
    assert "the certificate of '127.0.0.2' is not valid" in misnamed.reason
    assert "the certificate of '127.0.0.1' is not valid, even with the given authority" in unknown.reason
    assert "certificate" in again.reason


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_page_that_is_to_be_asked_for_again_says_when(engine: ScanEngine, site: Site, status: str) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:26:00 GMT"}
    url = site.add("/ways/later", reply("Later", status=status, headers=headers))

    audit = await engine.audit(ScanRequest(url=url, deadline_s=30))

    assert audit.come_again_s == 120
    assert audit.result.reason == f"the server answered {status} and asks to wait 120 s"


@pytest.mark.parametrize("field", ["include", "exclude", "wait_for"])
async def test_a_selector_that_the_browser_does_not_know_is_a_wrong_job(
    engine: ScanEngine, site: Site, field: str
) -> None:
    selector = "main:no-such-class"

    with pytest.raises(InvalidJob, match=f"{field}: '{selector}' is not a CSS selector known to the browser"):
        await scan(engine, site.url("/pages/clean.html"), **{field: selector if field == "wait_for" else [selector]})


async def test_the_list_of_rules_is_that_of_the_axe_core_shipped() -> None:
    rules = "JSON.stringify(axe.getRules().map((rule) => rule.ruleId))"
    async with opened("data:text/html,<title>T</title>") as blank:
        names = await blank.run(f"(() => {{ {load_axe().text}; return {rules} }})()")

    assert set(json.loads(names)) == AXE_RULES
