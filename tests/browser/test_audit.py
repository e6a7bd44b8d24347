"""Scans of honest pages: findings and messages."""

from __future__ import annotations

import json

import pytest

from producer.contract import ScanRequest, ScanResult
from producer.contract.scan_terms import terms_of
from producer.errors import InvalidJob, Paused
from tests.support.hostile import GUILTY
from tests.support.scans import passes
from tests.support.site import Site, redirect, reply
from worker.agent.assessment.review import AREAS
from worker.own_redis.server import free_port
from worker.scan.axe_source import load_axe
from worker.scan.engine import ScanEngine, Secrets


def rules_of(result: ScanResult) -> set[str]:
    return {finding.rule for finding in result.findings}


async def scan(engine: ScanEngine, url: str, **more: object) -> ScanResult:
    return (await engine.audit(ScanRequest.model_validate({"url": url, "deadline_s": 20, **more}))).result


async def test_a_finding_says_what_is_wrong_where_and_which_criterion_it_breaks(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.url("/pages/guilty.html"), group="templates")

    finding = result.findings[0]
    assert (finding.rule, finding.impact, finding.criteria) == ("image-alt", "critical", ("1.1.1",))
    assert finding.nodes[0].selector == ("img",)
    assert finding.nodes[0].snippet == '<img src="/pixel.png">'
    assert "alt attribute" in finding.nodes[0].failure_summary
    assert (result.counts.critical, result.barriers.critical) == (1, 1)
    assert (result.title, result.group, result.http_status) == ("Guilty", "templates", 200)
    assert result.engine["axe"] == "4.14.1"
    assert result.engine["browser"].startswith("Chromium ")
    assert result.engine["terms"] == terms_of(ScanRequest(url=result.url))
    assert set(result.timings_ms) >= {"open", "load", "audit", "total"}


async def test_a_page_without_barriers_is_a_pass(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.url("/pages/clean.html"))

    assert passes(result)


async def test_html_is_scanned_as_it_is_given(engine: ScanEngine) -> None:
    audit = await engine.audit(ScanRequest(html=GUILTY))

    assert rules_of(audit.result) == {"image-alt"}
    assert (audit.result.status, audit.result.url, audit.result.title) == ("scanned", "", "Guilty")


async def test_open_shadow_roots_are_read(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.url("/pages/shadow.html"))

    assert result.findings[0].nodes[0].selector == (("tea-tin", "img"),)


async def test_parts_are_included_excluded_and_rules_switched_off(engine: ScanEngine, site: Site) -> None:
    url = site.add("/parts", GUILTY.replace("</main>", '<aside class="ad"><input></aside></main>'))

    assert rules_of(await scan(engine, url)) == {"image-alt", "label"}
    assert rules_of(await scan(engine, url, include=[".ad"])) == {"label"}
    assert rules_of(await scan(engine, url, exclude=[".ad"])) == {"image-alt"}
    assert rules_of(await scan(engine, url, disabled_rules=["label"])) == {"image-alt"}


async def test_a_missing_part_is_never_a_pass(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.url("/pages/clean.html"), include=["#missing"])

    assert result.status == "partial"
    assert result.reason == "nothing on the page matches '#missing', the part to scan"


async def test_a_rule_that_does_not_exist_is_the_callers_error(engine: ScanEngine, site: Site) -> None:
    with pytest.raises(ValueError, match="image-alts"):
        await scan(engine, site.url("/pages/clean.html"), disabled_rules=["image-alts"])


async def test_a_stricter_standard_finds_more(engine: ScanEngine, site: Site) -> None:
    url = site.add("/no-landmark", "<!doctype html><html lang=en><title>x</title><p>Text outside of a landmark.</p>")

    assert passes(await scan(engine, url))
    assert "region" in rules_of(await scan(engine, url, standard="best-practice"))


async def test_redirects_are_recorded_with_where_they_led(engine: ScanEngine, site: Site) -> None:
    site.add("/moved", redirect("/moved-again", "301 Moved Permanently"))
    site.add("/moved-again", redirect("/pages/guilty.html"))

    result = await scan(engine, site.url("/moved"))

    assert [hop["status"] for hop in result.redirects] == [301, 302]
    assert result.url == site.url("/moved")
    assert result.final_url == site.url("/pages/guilty.html")


async def test_a_page_that_takes_itself_to_another_site_is_followed(engine: ScanEngine, site: Site) -> None:
    away = site.url("/pages/guilty.html", host="localhost")
    isolated = {"Cross-Origin-Opener-Policy": "same-origin"}
    site.add("/away", reply(f'<title>x</title><meta http-equiv="refresh" content="0; url={away}">', headers=isolated))

    result = await scan(engine, site.url("/away"))

    assert (result.status, rules_of(result)) == ("scanned", {"image-alt"})
    assert result.final_url == away
    assert result.redirects == ({"status": 0, "url": away},)


@pytest.mark.parametrize("page", ["/pages/late.html", "/pages/late_fetch.html"])
async def test_an_application_that_renders_late_is_seen(engine: ScanEngine, site: Site, page: str) -> None:
    result = await scan(engine, site.url(page))

    assert rules_of(result) == {"image-alt"}


async def test_the_result_states_what_was_waited_for(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.url("/pages/ticker.html"))

    assert result.waited["load"] == "reached"
    assert "still changing" in result.waited["dom"]


async def test_a_selector_is_waited_for_and_missed_when_it_does_not_come(engine: ScanEngine, site: Site) -> None:
    there = await scan(engine, site.url("/pages/late.html"), wait_for="main > h1")
    missing = await scan(engine, site.url("/pages/clean.html"), wait_for="#never", deadline_s=8)

    assert (there.status, rules_of(there)) == ("scanned", {"image-alt"})
    assert missing.status == "partial"
    assert "'#never' did not appear" in missing.reason
    assert [doubt.kind for doubt in missing.doubts] == ["wait-for"]


async def test_a_doubt_that_the_request_allows_leaves_the_page_scanned(engine: ScanEngine, site: Site) -> None:
    url = site.url("/pages/clean.html")

    result = await scan(engine, url, wait_for="#never", deadline_s=8, allow_partial=("wait-for",))

    assert (result.status, result.reason) == ("scanned", "")
    assert [doubt.kind for doubt in result.doubts] == ["wait-for"]


async def test_a_soft_404_is_flagged(engine: ScanEngine, site: Site) -> None:
    result = await scan(engine, site.url("/pages/soft_404.html"))

    assert result.soft_404 is True
    assert result.status == "scanned"
    assert [(doubt.kind, doubt.certainty) for doubt in result.doubts] == [("soft-404", "likely")]


async def test_a_sign_in_page_is_no_pass_for_the_page_behind_it(engine: ScanEngine, site: Site) -> None:
    form = "<!doctype html><html lang=en><title>Sign in</title><main><h1>Sign in</h1><form><label>Password {}</form>"
    site.add("/login", form.format("<input type=password></label>"))
    site.add("/orders", redirect("/login"))
    site.add("/author", form.format("<input type=password hidden></label>"))
    site.add("/articles", redirect("/author"))

    behind = await scan(engine, site.url("/orders"))
    itself = await scan(engine, site.url("/login"))
    elsewhere = await scan(engine, site.url("/articles"))

    assert behind.status == "unreachable"
    assert f"it led to the sign-in page {site.url('/login')}" in behind.reason
    assert (itself.status, elsewhere.status) == ("scanned", "scanned")


async def test_a_sign_in_form_in_the_place_of_a_page_is_noted(engine: ScanEngine, site: Site) -> None:
    form = "<!doctype html><html lang=en><title>Sign in</title><main><label>Password <input type=password></label>"

    closed = await scan(engine, site.add("/invoices", form))
    wanted = await scan(engine, site.add("/signin", form))

    assert closed.status == "scanned"
    assert closed.model_dump().get("sign_in") is True
    assert [doubt.kind for doubt in closed.doubts] == ["sign-in"]
    assert "sign_in" not in wanted.model_dump()


async def test_a_server_that_is_not_there_is_unreachable_and_named(engine: ScanEngine) -> None:
    port = free_port()

    result = await scan(engine, f"http://127.0.0.1:{port}/")

    assert result.status == "unreachable"
    assert f"127.0.0.1 port {port}: connection refused" in result.reason


async def test_a_certificate_nobody_trusts_is_unreachable(engine: ScanEngine) -> None:
    with Site(tls=True) as secure:
        result = await scan(engine, secure.url("/pages/clean.html"))

    assert result.status == "unreachable"
    assert "certificate is not valid" in result.reason


async def test_the_user_agent_names_sightline(engine: ScanEngine, site: Site) -> None:
    await scan(engine, site.add("/who", GUILTY))

    agent = site.seen("/who")[0].headers["user-agent"]
    assert "Sightline/" in agent
    assert "Headless" not in agent


async def test_a_page_behind_a_login_is_opened_and_nobody_else_gets_the_secrets(engine: ScanEngine, site: Site) -> None:
    with Site() as other:
        other.add("/other.png", reply(b"", content_type="image/png"))
        other.add("/elsewhere", reply("x", content_type="text/plain"))
        site.add("/moved-out", redirect(other.url("/elsewhere", host="127.0.0.2")))
        script = "<script>document.title = localStorage.getItem('token')</script>"
        images = f'<img alt="" src="{other.url("/other.png", host="127.0.0.2")}"><img alt="" src="/moved-out">'
        url = site.add("/account", GUILTY.replace("</main>", f"{images}{script}</main>"))
        secrets = Secrets(
            headers={"Authorization": "Bearer s3cret-t0ken"},
            cookies=({"name": "session", "value": "abc"},),
            storage_state={
                "origins": [{"origin": site.url("").rstrip("/"), "localStorage": [{"name": "token", "value": "t0"}]}]
            },
        )
        audit = await engine.audit(ScanRequest(url=url), secrets=secrets)

        seen = site.seen("/account")[0].headers
        assert (seen["authorization"], seen["cookie"]) == ("Bearer s3cret-t0ken", "session=abc")
        assert audit.result.title == "t0"
        assert "s3cret-t0ken" not in audit.result.model_dump_json()
        for request in (*other.seen("/other.png"), *other.seen("/elsewhere")):
            assert not {"authorization", "cookie"} & set(request.headers)
        assert other.seen("/other.png")
        assert other.seen("/elsewhere")


async def test_a_cookie_that_is_none_is_the_callers_error(engine: ScanEngine, site: Site) -> None:
    secrets = Secrets(cookies=({"name": "session", "value": "se;cret", "domain": "no such domain/"},))

    with pytest.raises(InvalidJob, match="cookies cannot be set") as caught:
        await engine.audit(ScanRequest(url=site.url("/pages/clean.html")), secrets=secrets)

    assert "se;cret" not in str(caught.value)


async def test_a_login_does_not_leak_into_the_next_scan(engine: ScanEngine, site: Site) -> None:
    url = site.add("/private", GUILTY)

    await engine.audit(ScanRequest(url=url), secrets=Secrets(cookies=({"name": "session", "value": "abc"},)))
    await engine.audit(ScanRequest(url=url))

    assert [("cookie" in request.headers) for request in site.seen("/private")] == [True, False]


async def test_progress_is_reported_step_by_step(engine: ScanEngine, site: Site) -> None:
    steps: list[str] = []

    await engine.audit(ScanRequest(url=site.url("/pages/clean.html"), screenshot=True), on_progress=steps.append)

    assert steps == ["loading", "auditing", "picture"]


UNASKED = frozenset({"frame-tested", "hidden-content"})
"""Rules about content that axe-core could not examine: there is nothing to show a model either."""


async def test_every_rule_that_axe_core_may_leave_undecided_has_an_area_to_be_asked_about(engine: ScanEngine) -> None:
    asked = frozenset[str]().union(*AREAS.values())
    known = sorted(UNASKED | asked)
    # A rule can end incomplete if one of its checks has words for it, or if it is only ever a hint.
    tell = f"""
      const {{ rules, data }} = axe._audit, known = {json.dumps(known)};
      const isOpen = (check) => data.checks[check.id ?? check]?.messages?.incomplete;
      const open = rules.filter((rule) => rule.reviewOnFail || [...rule.any, ...rule.all, ...rule.none].some(isOpen));
      const names = open.map((rule) => rule.id);
      const without = names.filter((name) => !known.includes(name));
      const gone = known.filter((name) => !names.includes(name));
      document.title = `${{open.length > 40}} without: ${{without}}; gone: ${{gone}}`;"""
    html = f"<!doctype html><title>?</title><script>{load_axe().text}</script><script>{tell}</script>"

    result = (await engine.audit(ScanRequest(html=html, deadline_s=20))).result

    assert result.title == "true without: ; gone:"
    assert not UNASKED & asked


async def test_cut_text_of_a_page_is_marked(engine: ScanEngine) -> None:
    html = f'<!doctype html><html lang="en"><title>{"t" * 600}</title><main><h1>x</h1><img src="{"s" * 3_000}"></main>'

    result = (await engine.audit(ScanRequest(html=html, deadline_s=20))).result

    (node,) = next(one for one in result.findings if one.rule == "image-alt").nodes
    assert (len(result.title), result.title[-1]) == (500, "…")
    assert node.snippet.endswith('...">')  # axe-core's own mark


async def test_a_page_paused_while_it_is_prepared_is_not_loaded(engine: ScanEngine, site: Site):
    def paused(*_: str) -> None:
        raise Paused("batch:nightly")

    page = ScanRequest(url=site.url("/pages/clean.html?paused"))
    with pytest.raises(Paused):
        await engine.audit(page, before_load=paused)
    with pytest.raises(Paused):
        await engine.try_fixes(page, [], before_load=paused)

    assert not [request for request in site.requests if "paused" in request.target]
