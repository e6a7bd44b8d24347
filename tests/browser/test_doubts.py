"""Pages that cannot be read are not passes, and each kind of doubt is reported, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from producer.contract import DOUBTS, Doubt, ScanRequest, ScanResult
from producer.contract.doubts import REMARKS
from producer.contract.rules import AXE_RULES
from tests.support.doubtful import DOUBTFUL, Doubtful, serve_doubtful
from tests.support.site import Site, reply
from worker.scan.cdp import CallTimedOut, Session
from worker.scan.content import Content
from worker.scan.engine import ScanEngine
from worker.scan.page import Page


@pytest.fixture(scope="module")
def doubtful(site: Site) -> Site:
    serve_doubtful(site)
    return site


async def scan(engine: ScanEngine, url: str) -> ScanResult:
    return (await engine.audit(ScanRequest(url=url, deadline_s=30))).result


def of_kind(result: ScanResult, kind: str) -> Doubt:
    found = [doubt for doubt in result.doubts if doubt.kind == kind]
    assert len(found) == 1, (result.status, result.reason, result.doubts)
    return found[0]


@pytest.mark.parametrize("page", DOUBTFUL, ids=lambda page: page.path)
async def test_each_doubt_is_reported(engine: ScanEngine, doubtful: Site, page: Doubtful) -> None:
    result = await scan(engine, doubtful.url(page.path))

    doubt = of_kind(result, page.kind)
    assert page.words in f"{doubt.what} {doubt.where}"
    assert len(doubt.what) <= 300
    assert result.status == ("scanned" if page.kind in REMARKS else "partial"), result.reason
    assert (result.soft_404, result.sign_in) == (page.kind == "soft-404", page.kind == "sign-in")


def test_every_kind_that_is_made_here_has_a_page() -> None:
    elsewhere = {
        "refused-request",
        "refused-local",
        "insecure",
        "moved-host",
        "load-timeout",
        "wait-for",
        "script-stopped",
        "over-limit",
        "audit-failed",
        "rules-left-out",
        "missing-glyphs",
        "live-left-out",
    }

    assert {page.kind for page in DOUBTFUL} == set(DOUBTS) - elsewhere


@pytest.mark.parametrize("how", ["location.href = 'about:blank'", "location.href = URL.createObjectURL(new Blob([1]))"])
async def test_a_document_that_replaced_the_page_is_not_the_page(engine: ScanEngine, site: Site, how: str) -> None:
    url = site.add("/replaced", f"<title>x</title><main><h1>x</h1></main><script>onload = () => {{ {how} }}</script>")

    result = await scan(engine, url)

    assert result.status == "unreachable"
    assert "the page navigated to" in result.reason
    assert result.findings == ()


async def test_a_page_that_went_back_to_nothing_is_not_the_page(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.add("/back", "<title>x</title><h1>x</h1><script>history.back()</script>"))

    assert (result.status, result.findings) == ("unreachable", ())
    assert "the page navigated to about:blank" in result.reason


async def test_a_page_that_moved_to_another_host_once_loaded_is_remarked(engine: ScanEngine, site: Site) -> None:
    there = site.add("/there", "<!doctype html><html lang=en><title>There</title><main><h1>There</h1></main>")
    go = f"onload = () => setTimeout(() => location = '{there.replace('127.0.0.1', '127.0.0.2')}', 50)"

    result = await scan(engine, site.add("/leaves", f"<title>x</title><h1>x</h1><script>{go}</script>"))

    assert result.status == "scanned"
    assert "127.0.0.2" in of_kind(result, "moved-host").what


async def test_a_challenge_answered_by_an_error_is_called_a_check_for_robots(engine: ScanEngine, site: Site) -> None:
    challenge = reply("<title>x</title>", status="403 Forbidden", headers={"cf-mitigated": "challenge"})

    result = await scan(engine, site.add("/mitigated", challenge))

    assert result.status == "unreachable"
    assert "a bot check (cf-mitigated: challenge)" in result.reason
    assert [doubt.kind for doubt in result.doubts] == ["bot-wall"]


async def test_a_page_can_fake_no_facts(engine: ScanEngine, site: Site) -> None:
    fakes = """<img name=title alt=x><img name=body alt=x><form><input name=textContent aria-label=x></form><script>
Element.prototype.checkVisibility = () => true; Element.prototype.getBoundingClientRect = () => new DOMRect(0, 0, 9, 9);
Element.prototype.getAttribute = () => null; Node.prototype.textContent = "x"; window.sightlineHosts = []; </script>"""
    hidden = f"<html lang=en><title>x</title><style>body {{ display: none }}</style><p>Text</p>{fakes}"

    result = await scan(engine, site.add("/fakes", hidden))

    assert (result.status, [doubt.kind for doubt in result.doubts]) == ("partial", ["hidden-content"])


async def test_a_doubt_in_the_markup_is_none(engine: ScanEngine, site: Site) -> None:
    words = "<parsererror>error on line 1</parsererror><p hidden>Access denied</p><template>Just a moment...</template>"
    url = site.add("/claims", f"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1>{words}</main>")

    result = await scan(engine, url)

    assert (result.status, result.doubts) == ("scanned", ())


async def test_a_thousand_things_in_doubt_are_one_short_doubt(engine: ScanEngine, site: Site) -> None:
    many = """<main><h1>Many</h1><p>Text</p></main><script>for (let i = 0; i < 1000; i++) {
const host = document.createElement(`x-${"é".repeat(200)}${i}`);
host.attachShadow({ mode: "closed" }).innerHTML = "<button>x</button>"; document.body.append(host);
fetch(`/gone/${i}`) }</script>"""
    url = site.add("/many", f"<!doctype html><html lang=en><title>Many</title>{many}")

    result = await scan(engine, url)

    assert {doubt.kind for doubt in result.doubts} >= {"closed-shadow-root", "failed-request"}
    assert len(result.doubts) < 6
    assert all(len(doubt.what) <= 300 for doubt in result.doubts)
    assert "more" in of_kind(result, "closed-shadow-root").what


@pytest.mark.parametrize(("limit", "in_frame"), [("_MAX_HOSTS", False), ("_MAX_HOSTS_IN_FRAME", True)])
async def test_the_elements_examined_for_closed_shadow_roots_are_limited(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch, limit: str, *, in_frame: bool
) -> None:
    monkeypatch.setattr(f"worker.scan.content.{limit}", 2)
    hosts = """<nav></nav><section></section><article></article><script>
for (const host of document.querySelectorAll("nav, section, article"))
  host.attachShadow({ mode: "closed" }).innerHTML = "<button>Buy</button>"</script>"""
    inner = site.add(f"/hosts{limit}", f"<!doctype html><html lang=en><title>Hosts</title>{hosts}")
    outer = f"<!doctype html><html lang=en><title>Shop</title><h1>Shop</h1><iframe title=Hosts src='{inner}'></iframe>"

    result = await scan(engine, site.add(f"/hosts-outer{limit}", outer) if in_frame else inner)

    what = of_kind(result, "closed-shadow-root").what
    assert [name in what for name in ("<nav>", "<section>", "<article>")] == [True, True, False]


async def test_a_closed_shadow_root_at_the_end_of_a_large_page_is_found(engine: ScanEngine, site: Site) -> None:
    many = f"""<h1>Shop</h1>{"<i></i>" * 21_000}<nav></nav><script>
document.querySelector("nav").attachShadow({{ mode: "closed" }}).innerHTML = "<button>Buy</button>"</script>"""
    url = site.add("/large-hosts", f"<!doctype html><html lang=en><title>Shop</title>{many}")

    result = (await engine.audit(ScanRequest(url=url, disabled_rules=tuple(sorted(AXE_RULES)[1:])))).result

    assert "<nav>" in of_kind(result, "closed-shadow-root").what


async def test_a_page_whose_content_cannot_be_read_after_the_rules_is_no_pass(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: object, **__: object) -> Content:
        msg = "Runtime.evaluate was not answered within 5.0 s"
        raise CallTimedOut(msg)

    monkeypatch.setattr("worker.scan.visit.read_content", read)
    result = await scan(engine, site.url("/pages/guilty.html"))

    assert "could not be read after the rules had run" in of_kind(result, "audit-failed").what
    assert (result.status, [finding.rule for finding in result.findings]) == ("partial", ["image-alt"])


async def test_a_frame_that_does_not_say_what_it_shows_makes_the_page_partial(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Page.evaluate

    async def busy(page: Page, session: Session, world: int, expression: str, **options: Any) -> Any:
        if expression.startswith("innerWidth > 1"):
            msg = "Runtime.evaluate was not answered within 5.0 s"
            raise CallTimedOut(msg)
        return await evaluate(page, session, world, expression, **options)

    monkeypatch.setattr(Page, "evaluate", busy)
    inner = site.add("/silent", "<!doctype html><html lang=en><title>Inner</title><p>Text")
    outer = f"<!doctype html><html lang=en><title>Shop</title><h1>Shop</h1><iframe title=Inner src='{inner}'></iframe>"

    result = await scan(engine, site.add("/silent-outer", outer))

    assert of_kind(result, "audit-failed").what == "what a frame shows could not be read after the rules had run"
    assert result.status == "partial"


async def test_a_page_that_left_after_the_rules_is_not_judged_by_the_next_one(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave(page: Page, *_: object, **__: object) -> None:
        await page.session.call("Page.navigate", {"url": site.url("/pages/guilty.html")})
        assert await page.until(lambda: page.watch.navigations > 0, timeout_s=20)

    monkeypatch.setattr("worker.scan.visit.measure_contrast", leave)
    result = await scan(engine, site.add("/leaves-blank", "<!doctype html><html lang=en><title>Blank</title>"))

    assert result.status == "partial"
    assert "the page has navigated away" in of_kind(result, "audit-failed").what


async def test_an_element_that_is_only_named_like_a_frame_hides_no_doubt(engine: ScanEngine, site: Site) -> None:
    page = '<!doctype html><html lang=en><title>x</title><math><iframe src="/x">y</iframe></math><script></script>'

    result = await scan(engine, site.add("/no-frame", page))

    assert of_kind(result, "hidden-content")


async def test_a_noscript_of_any_content_is_read_in_time(engine: ScanEngine, site: Site) -> None:
    body = f"<main><h1>Tea</h1><p>Black on white.</p></main><noscript>{'<' * 300_000}</noscript><script></script>"
    url = site.add("/noscript", f"<!doctype html><html lang=en><title>Tea</title>{body}")

    result = await scan(engine, url)

    assert (result.status, result.doubts) == ("scanned", ())
