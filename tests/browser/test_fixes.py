"""Changes tried on the page itself: effective ones are recognised, and nothing else is changed or sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from producer.contract import ScanRequest, TriedFix
from tests.support.scan_worker import ROOT
from tests.support.site import PIXEL, Request, Site, reply
from worker.scan.engine import ScanEngine
from worker.scan.fixes import trial
from worker.scan.fixes.wanted import MAX_PROPOSAL_BYTES, Wanted
from worker.scan.settings import Secrets

TEXT = "The leaves are from the hills and we pack them with care for you in our own house on the river."


def page(body: str, *, html: str = "<html lang=en>", head: str = "<title>T</title>") -> str:
    head = f"<head><meta charset=utf-8>{head}</head>"
    return f"<!doctype html>{html}{head}<body><main><h1>Tea</h1>{body}</main></body></html>"


async def wanted(engine: ScanEngine, url: str, **markup: str) -> list[Wanted]:
    """The page's component barriers, a model's proposals among them by rule."""
    result = (await engine.audit(ScanRequest(url=url, deadline_s=30))).result
    assert result.status == "scanned", result.reason
    found: dict[tuple[str, str], Wanted] = {}
    for finding in result.findings:
        for node in finding.nodes:
            said = markup.get(finding.rule.replace("-", "_"), "")
            one = Wanted(node.issue_id, finding.rule, node.snippet, said, "stub" if said else "rule")
            found.setdefault((node.issue_id, finding.rule), one)
    return list(found.values())


async def tries(engine: ScanEngine, url: str, given: Sequence[Wanted]) -> dict[str, TriedFix]:
    return {fix.rule: fix for fix in await engine.try_fixes(ScanRequest(url=url, deadline_s=30), given)}


async def test_mechanical_changes_remove_their_barriers_and_are_shown_with_their_place(
    engine: ScanEngine, site: Site
) -> None:
    body = f'<p>{TEXT}</p>\n<p><span>Your town</span> <input name="q7"></p><a href="/x">More<img src="/pixel.png"></a>'
    url = site.add("/fixes/plain", page(body, html="<html>", head=""))

    found = await tries(engine, url, await wanted(engine, url))

    assert {rule: fix.verdict for rule, fix in found.items()} == dict.fromkeys(
        ("document-title", "html-has-lang", "image-alt", "label"), "removes"
    ), found
    assert found["html-has-lang"].diff == '-<html>\n+<html lang="en">'
    assert found["document-title"].diff == "+<title>Tea</title>"
    assert found["label"].diff == '-<input name="q7">\n+<input name="q7" aria-label="Your town">'
    place = found["label"].replacement
    assert place is not None
    assert (place.start_line, place.text) == (2, '<input name="q7" aria-label="Your town">')
    assert {fix.url for fix in found.values()} == {url}


async def test_only_on_a_page_with_scripts_does_a_try_wait_for_their_reaction(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = '<p><span>Your town</span> <input name="q7"></p>'
    without, with_one = (
        site.add(f"/fixes/waits{number}", page(field + script))
        for number, script in enumerate(("", "<script>1</script>"))
    )
    given = await wanted(engine, without), await wanted(engine, with_one)
    monkeypatch.setattr(trial, "_REACTION_S", 1_000.0)

    async with asyncio.timeout(100):
        still = await tries(engine, without, given[0])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4):
            await tries(engine, with_one, given[1])

    assert {fix.verdict for fix in still.values()} == {"removes"}


async def test_what_changes_nothing_or_makes_it_worse_is_no_fix(engine: ScanEngine, site: Site) -> None:
    body = '<p><input name="q7"></p><img src="/pixel.png"><button></button><ul><li class="a" role="buton">x</li></ul>'
    url = site.add("/fixes/wrong", page(body))
    planted = {
        "label": '<input name="q7" title="">',
        "image_alt": '<img src="/pixel.png" alt="Tea" aria-lable="Tea">',
        "button_name": '<button class="new"></button>',
        "aria_roles": '<li class="a" role="listitem" aria-hidden="maybe">x</li>',
    }

    found = await tries(engine, url, await wanted(engine, url, **planted))

    verdicts = {rule: fix.verdict for rule, fix in found.items()}
    assert verdicts["label"] == verdicts["button-name"] == "no_effect", found
    assert verdicts["image-alt"] == "adds_others", found
    assert "aria-valid-attr" in found["image-alt"].why
    assert not any(fix.is_fix or fix.diff or fix.replacement for fix in found.values())


async def test_wrong_changes_planted_on_the_shop_are_reported_as_such(engine: ScanEngine) -> None:
    with Site(ROOT / "ops" / "demo" / "site") as shop:
        url = shop.url("/index.html")
        asked = await wanted(
            engine,
            url,
            label='<input type="text" name="letter" title="">',
            image_alt='<img src="img/hills.svg" alt="Hills" aria-lable="Hills">',
        )
        links = [
            replace(one, markup=one.snippet.replace("<a ", '<a tabindex="0" ', 1), by="stub")
            for one in asked
            if one.rule == "link-name"
        ]

        found = await tries(engine, url, [*links[:1], *(one for one in asked if one.by == "stub")])

        methods = {request.method for request in shop.requests}
    verdicts = {rule: fix.verdict for rule, fix in found.items()}
    assert verdicts == {"label": "no_effect", "image-alt": "adds_others", "link-name": "no_effect"}, found
    assert not any(fix.is_fix for fix in found.values())
    assert methods == {"GET"}


HOSTILE = (
    "<script>alert(1)</script>",
    '<button aria-label="x"></button><img src="/other.png">',
    '</main><button aria-label="x"></button>',
    '<button aria-label="x"></button></main><p>more',
    '<div role="button" aria-label="x"></div>',
    '<button aria-label="x"><script>alert(1)</script></button>',
    '<button aria-label="x"><iframe src="/"></iframe></button>',
    '<button aria-label="x" onclick="alert(1)"></button>',
    '<button aria-label="x" style="background:url(//evil.example/x)"></button>',
    '<button aria-label="x" formaction="javascript:alert(1)"></button>',
    '<button aria-label="x"><img alt="x" src="https://evil.example/x.png"></button>',
    '<button aria-label="x" hidden></button>',
    '<button aria-label="x" aria-hidden="true"></button>',
    '<button aria-label="x" style="display: none"></button>',
    '<button aria-label="x" class="gone"></button>',
    " ",
    "\x00<<>",
    f'<button aria-label="{"x" * MAX_PROPOSAL_BYTES}"></button>',
    f'<button aria-label="x">{"<b>" * 2_000}',
)
KINDS = [
    "coffee",
    "kettle",
    "garden",
    "hotel",
    "lemon",
    "metal",
    "orange",
    "paper",
    "window",
    "summer",
    "winter",
    "river",
    "mountain",
    "forest",
    "silver",
    "copper",
    "letter",
    "market",
    "station",
    "village",
    "bridge",
    "search",
    "basket",
    "account",
    "profile",
    "product",
    "gallery",
]


async def test_a_hostile_proposal_is_refused_and_changes_nothing(engine: ScanEngine, site: Site) -> None:
    buttons_of = "".join(f'<button class="{kind}"></button>' for kind in KINDS)
    head = "<title>T</title><style>.gone { visibility: hidden }</style>"
    url = site.add("/fixes/hostile", page(buttons_of, head=head))
    buttons = [one for one in await wanted(engine, url) if one.rule == "button-name"]
    assert len(buttons) >= len(HOSTILE)
    asked = [
        Wanted(one.issue_id, one.rule, one.snippet, proposal, "stub")
        for one, proposal in zip(buttons, HOSTILE, strict=False)
    ]

    before = len(site.requests)

    found = await engine.try_fixes(ScanRequest(url=url, deadline_s=30), asked)

    by_issue = {fix.issue_id: fix for fix in found}
    said = {proposal[:60]: by_issue[one.issue_id] for one, proposal in zip(asked, HOSTILE, strict=True)}
    assert {name: fix.verdict for name, fix in said.items()} == dict.fromkeys(said, "refused")
    assert all(fix.why and not fix.diff for fix in found)
    assert not [one for one in site.requests[before:] if "other" in one.target]


async def test_a_change_that_takes_content_away_is_refused(engine: ScanEngine, site: Site) -> None:
    body = '<ul class="tea"><div>Assam <a href="/a">more</a></div><li>Mint</li></ul>'
    url = site.add("/fixes/content", page(body))
    found: dict[str, TriedFix] = {}
    for name, proposal in {
        "gone": '<ul class="tea"><li>Mint</li></ul>',
        "no link": '<ul class="tea"><li>Assam more</li><li>Mint</li></ul>',
        "whole": '<ul class="tea"><li>Assam <a href="/a">more</a></li><li>Mint</li></ul>',
    }.items():
        found[name] = (await tries(engine, url, await wanted(engine, url, list=proposal)))["list"]

    assert {name: fix.verdict for name, fix in found.items()} == {
        "gone": "refused",
        "no link": "refused",
        "whole": "removes",
    }, found
    assert "takes content away" in found["gone"].why
    assert "<li>Assam" in found["whole"].diff


@pytest.mark.parametrize(
    "how",
    [
        "new MutationObserver(undo).observe(button, {attributes: true})",
        "setInterval(undo, 150)",
        "new MutationObserver(() => setTimeout(undo, 100)).observe(button, {attributes: true})",
        "new Worker(URL.createObjectURL(new Blob(['setInterval(() => postMessage(0), 50)']))).onmessage = undo",
    ],
)
async def test_a_page_that_takes_the_change_back_is_found_out(engine: ScanEngine, site: Site, how: str) -> None:
    undo = 'const button = document.querySelector("button"), undo = () => button.removeAttribute("aria-label")'
    url = site.add("/fixes/reverting", page(f'<button id="close-dialog"></button><script>{undo}; {how}</script>'))

    found = await tries(engine, url, await wanted(engine, url))

    assert found["button-name"].verdict == "no_effect"
    assert "reverted the change" in found["button-name"].why


async def test_a_component_that_changes_other_parts_with_its_element_is_no_fix(engine: ScanEngine, site: Site) -> None:
    script = """<script>customElements.define("x-tea", class extends HTMLElement {
      static observedAttributes = ["role"];
      attributeChangedCallback(name, old) { if (old) document.querySelector("h1").textContent = "Changed"; }
    })</script>"""
    url = site.add("/fixes/custom", page(f'<x-tea role="buton" tabindex="0">Tea</x-tea>{script}'))

    found = await tries(engine, url, await wanted(engine, url))

    assert found["aria-roles"].verdict == "refused"
    assert "other parts" in found["aria-roles"].why


async def test_an_element_or_a_page_that_is_not_there_again_is_said(engine: ScanEngine, site: Site) -> None:
    served: list[str] = []
    bodies = [page('<button id="close-it"></button>'), page("<p>Sold out</p>"), ""]

    async def next_body(request: Request, writer: asyncio.StreamWriter) -> None:
        served.append(request.method)
        body = bodies[min(len(served), len(bodies)) - 1]
        await reply(body, status="200 OK" if body else "500 Internal Server Error")(request, writer)

    url = site.add("/fixes/gone", next_body)
    asked = await wanted(engine, url)

    gone, failed = await tries(engine, url, asked), await tries(engine, url, asked)

    assert (gone["button-name"].verdict, gone["button-name"].why) == (
        "not_tried",
        "no element of this component failed when the page was loaded again",
    )
    assert failed["button-name"].verdict == "not_tried"
    assert "500" in failed["button-name"].why


WRITES = (
    "fetch('/fixes/write/0', {method: 'POST', body: 'x'})",
    "navigator.sendBeacon('/fixes/write/1', 'x')",
    "document.querySelector('form').submit()",
    "fetch('/fixes/write/3', {method: 'DELETE', keepalive: true})",
    "new Worker(URL.createObjectURL(new Blob([`fetch('${location.origin}/fixes/write/4', {method: 'PUT'})`])))",
)
"""Each to an address of its own: on one page, as each page costs two scans."""


async def test_nothing_is_written_while_changes_are_tried(engine: ScanEngine, site: Site) -> None:
    patience_s, is_written = 20.0, False
    site.requests.clear()  # those of the tests before: what this page writes is counted
    form = '<iframe name="x" title="x"></iframe><form method="post" action="/fixes/write/2" target="x"></form>'

    def written() -> dict[str, int]:
        return {script: len(site.seen(f"/fixes/write/{number}")) for number, script in enumerate(WRITES)}

    async def after_the_writes(request: Request, writer: asyncio.StreamWriter) -> None:
        """Keep the page loading until it has written in every way, or for ``patience_s``."""
        end_s = time.monotonic() + patience_s
        while (is_written or not all(written().values())) and time.monotonic() < end_s:  # noqa: ASYNC110  the site has no event
            await asyncio.sleep(0.01)
        await reply(PIXEL, content_type="image/png")(request, writer)

    held = f'<img src="{site.add("/fixes/held.png", after_the_writes)}" alt="">'
    script = "".join(f"<script>{script}</script>" for script in WRITES)
    url = site.add("/fixes/writing", page(f'<button id="close-it"></button>{form}{script}{held}'))
    asked = await wanted(engine, url)
    before, is_written, patience_s = written(), True, 0.5

    found = await tries(engine, url, asked)

    assert found["button-name"].verdict in {"removes", "not_tried"}
    assert [script for script, times in before.items() if not times] == [], "a scan lets them"
    assert written() == before


async def test_frames_of_other_sites_write_nothing_and_the_login_opens_the_page_again(
    engine: ScanEngine, site: Site
) -> None:
    write = "<script>fetch('/fixes/framed', {method: 'POST', body: 'x'})</script>"
    site.add("/fixes/frame", page(f"<p>x</p>{write}"))
    frame = site.url("/fixes/frame", host="localhost")
    inside = reply(page(f'<button id="close-it"></button><iframe title="f" src="{frame}"></iframe>'))

    async def behind_a_login(request: Request, writer: asyncio.StreamWriter) -> None:
        is_known = request.headers.get("authorization") == "Bearer tea"
        await (inside if is_known else reply("", status="401 Unauthorized"))(request, writer)

    url = site.add("/fixes/login", behind_a_login)
    request, secrets = ScanRequest(url=url, deadline_s=30), Secrets(headers={"Authorization": "Bearer tea"})
    result = (await engine.audit(request, secrets=secrets)).result
    (node,) = next(finding for finding in result.findings if finding.rule == "button-name").nodes
    before = len(site.seen("/fixes/framed"))

    (fix,) = await engine.try_fixes(request, [Wanted(node.issue_id, "button-name", node.snippet)], secrets=secrets)

    assert fix.verdict == "removes", fix
    assert before == 1, "a scan lets it"
    assert len(site.seen("/fixes/framed")) == before


async def test_a_title_of_a_heading_that_is_cut_within_a_character_is_tried(engine: ScanEngine, site: Site) -> None:
    body = page(f"<p>{TEXT}</p>", head="").replace("<h1>Tea</h1>", f"<h1>{'T' * 199}\N{TEACUP WITHOUT HANDLE}</h1>")
    url = site.add("/fixes/cut-title", body)

    found = await tries(engine, url, await wanted(engine, url))

    assert found["document-title"].verdict == "removes"
    assert found["document-title"].diff == f"+<title>{'T' * 199}?</title>"
