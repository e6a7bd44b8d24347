"""Steps before a scan: real input, named states, and failures that describe what was found instead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from producer.contract import PAGE_SHOT, ScanRequest, ScanResult
from tests.support.journey_shop import LOGIN_STEPS, PASSWORD, USER, VARIABLES, Shop, open_shop
from tests.support.site import Request, Site, reply
from worker.scan.engine import ScanEngine, Secrets
from worker.scan.journey.kept_login import KeptLogin, NoKeeper


@pytest.fixture(scope="module")
def shop(site: Site) -> Shop:
    return open_shop(site)


async def take(
    engine: ScanEngine,
    shop: Shop,
    path: str,
    *steps: Mapping[str, Any],
    login: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] = VARIABLES,
) -> ScanResult:
    fields = {"url": shop.site.url(path), "steps": steps, "login": login, "deadline_s": 40}
    request = ScanRequest.model_validate(fields)
    return (await engine.audit(request, secrets=Secrets(variables=variables))).result


async def test_steps_lead_to_a_state_that_is_scanned_under_its_name(engine: ScanEngine, shop: Shop) -> None:
    result = await take(
        engine,
        shop,
        "/shop/cart",
        {"select": "label=Size", "value": "Large"},
        {"check": "label=Gift wrap"},
        {"fill": "[name=coupon]", "value": "TEA"},
        {"press": "Enter", "on": "[name=coupon]"},
        {"hover": "text=Cart"},
        {"click": 'role=button[name="Open details"]'},
        {"wait_for": {"selector": 'text="Details"'}},
        {"scan": "details open"},
    )

    assert (result.status, result.reason) == ("scanned", "")
    assert result.url == shop.site.url("/shop/cart") + "#:~:state=details+open"
    assert result.final_url == shop.site.url("/shop/cart")
    assert [finding.rule for finding in result.findings] == ["image-alt"]
    assert result.reached_by == 'step 7 (wait_for text="Details")'


async def test_what_steps_do_is_input_as_people_give_it(engine: ScanEngine, shop: Shop, site: Site) -> None:
    page = (
        "<!doctype html><html lang=en><title>Keys</title><main><h1>Keys</h1><button>Press</button>"
        "<label>Name <input></label><p id=log></p></main><script>for (const kind of ['click', 'input', 'keydown'])"
        "document.addEventListener(kind, (e) => { document.title += ` ${kind}:${e.isTrusted}`; });</script>"
    )
    site.add("/trusted", page)

    steps = ({"click": "text=Press"}, {"fill": "label=Name", "value": "x"}, {"press": "Tab"})
    result = await take(engine, shop, "/trusted", *steps)

    assert result.title == "Keys click:true input:true keydown:true"


async def test_a_step_whose_element_is_gone_says_what_is_there_and_the_page_does_not_pass(
    engine: ScanEngine, shop: Shop
) -> None:
    missing = {"click": 'role=button[name="Save"]', "name": "save it", "timeout_s": 0.3}
    result = await take(engine, shop, "/shop/cart", {"scroll": "bottom"}, {"hover": "text=Cart"}, missing)

    assert (result.status, result.findings, result.reached_by) == ("unreachable", (), "")
    assert result.reason.startswith("""step 3 'save it' (click role=button[name="Save"]) failed: nothing matches""")
    assert "3 buttons: 'Open details', 'Cancel', 'Pay now'" in result.reason
    assert result.reason.endswith(f"; the page is 'Cart', {shop.site.url('/shop/cart')}")


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"click": "text=Pay now"}, "button 'Pay now' is disabled"),
        ({"select": "label=Size", "value": "Huge"}, "it has no option 'Huge': 'Small', 'Large'"),
        ({"fill": "text=Cancel", "value": "x"}, "button 'Cancel' is no field for text"),
        ({"wait_for": {"address": "/shop/paid*"}}, "the address did not become '/shop/paid*'"),
        ({"click": "dialog button"}, "one element matches, but none is visible (button 'Close')"),
        ({"goto": "http://elsewhere.example/"}, "it leads to http://elsewhere.example: a journey must stay on"),
        ({"click": "text=Partner"}, "it leads to http://elsewhere.example: a journey must stay on"),
        ({"goto": "/shop/gone"}, "404 Not Found"),
    ],
)
async def test_a_step_that_cannot_be_done_says_why(
    engine: ScanEngine, shop: Shop, step: dict[str, Any], says: str
) -> None:
    limit = {} if "goto" in step or step.get("click") == "text=Partner" else {"timeout_s": 0.3}
    result = await take(engine, shop, "/shop/cart", {**step, **limit})

    assert result.status == "unreachable"
    assert says in result.reason


async def test_a_date_is_filled_in_by_the_text_of_its_label(engine: ScanEngine, shop: Shop, site: Site) -> None:
    log = "<script>onchange = (event) => { document.title = event.target.value }</script>"
    site.add(
        "/arrival",
        f"<!doctype html><html lang=en><title>T</title><main><label>Arrival <input type=date></label>{log}</main>",
    )

    result = await take(engine, shop, "/arrival", {"fill": "text=Arrival", "value": "2026-11-30"})

    assert (result.status, result.title) == ("scanned", "2026-11-30"), result.reason


async def test_a_consent_banner_that_comes_late_is_accepted_and_covers_nothing(engine: ScanEngine, shop: Shop) -> None:
    steps = ({"consent": True, "timeout_s": 20}, {"click": "#open"}, {"wait_for": "dialog"}, {"scan": "open"})
    result = await take(engine, shop, "/shop/cart?banner", *steps)

    assert (result.status, result.notes) == ("scanned", ())


async def test_the_element_that_covers_another_is_named(engine: ScanEngine, shop: Shop) -> None:
    steps = ({"wait_for": "#late", "timeout_s": 20}, {"click": "#open", "timeout_s": 0.3})
    result = await take(engine, shop, "/shop/cart?banner", *steps)

    assert "button#open 'Open details' is covered by div#late" in result.reason


async def test_a_link_to_a_page_that_answers_late_is_followed_before_the_audit(
    engine: ScanEngine, shop: Shop, site: Site
) -> None:
    async def late(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.7)
        await reply("<!doctype html><html lang=en><title>Late</title><main><h1>Late</h1></main>")(request, writer)

    site.add("/late-answer", late)
    site.add("/leads", "<!doctype html><html lang=en><title>Leads</title><main><a href=/late-answer>Go on</a></main>")

    result = await take(engine, shop, "/leads", {"click": "text=Go on"})

    assert (result.status, result.title) == ("scanned", "Late")


async def test_a_page_that_asks_before_it_is_left_is_left(engine: ScanEngine, shop: Shop, site: Site) -> None:
    asks = "<script>addEventListener('beforeunload', (event) => event.preventDefault())</script>"
    form = "<!doctype html><html lang=en><title>Form</title><main><label>Name <input></label></main>"
    site.add("/asks-before", form + asks)

    steps = ({"fill": "label=Name", "value": "x"}, {"press": "Tab"}, {"goto": "/shop/cart"})
    result = await take(engine, shop, "/asks-before", *steps)

    assert (result.status, result.title) == ("scanned", "Cart")
    assert result.dialogs_dismissed == 0


async def test_a_step_to_an_address_without_a_page_fails(engine: ScanEngine, shop: Shop, site: Site) -> None:
    site.add("/no-content", reply("", status="204 No Content"))

    result = await take(engine, shop, "/shop/cart", {"goto": "/no-content"})

    assert result.status == "unreachable"
    assert f"{site.url('/no-content')} has no page (ERR_ABORTED): the previous one is still shown" in result.reason


async def test_a_page_that_does_not_answer_is_not_called_busy(engine: ScanEngine, shop: Shop, site: Site) -> None:
    async def silent(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)
        writer.close()

    site.add("/silent", silent)

    result = await take(engine, shop, "/shop/cart", {"goto": "/silent", "timeout_s": 0.5})

    assert "failed: the page that it leads to did not load in time, after 0.5 s" in result.reason


async def test_an_address_to_wait_for_may_have_brackets(engine: ScanEngine, shop: Shop) -> None:
    steps = ({"goto": "/shop/cart?size[0]=L"}, {"wait_for": {"address": "/shop/cart?size[0]=*"}, "timeout_s": 2})
    result = await take(engine, shop, "/shop/cart", *steps)

    assert (result.status, result.reason) == ("scanned", "")


async def test_half_a_character_in_a_name_is_in_no_reason(engine: ScanEngine, shop: Shop, site: Site) -> None:
    named = "<script>document.querySelector('button').ariaLabel = 'Go \\ud83c'</script>"
    site.add("/half", f"<!doctype html><html lang=en><title>Half</title><main><button></button></main>{named}")

    result = await take(engine, shop, "/half", {"click": 'role=button[name="Save"]', "timeout_s": 0.3})

    assert "found instead: 1 button: 'Go ?'" in result.reason


async def test_a_kept_login_may_have_cookies_without_a_value_and_of_one_host(engine: ScanEngine, site: Site) -> None:
    site.add("/with-cookies", "<!doctype html><html lang=en><title>x</title><main><h1>x</h1></main>")
    shared = {"domain": "127.0.0.1", "path": "/", "expires": -1}
    state = {
        "cookies": [
            {"name": "empty", "value": "", "secure": False, **shared},
            {"name": "session", "value": "s1", "secure": False, **shared},
            {"name": "__Host-token", "value": "t1", "secure": True, **shared, "domain": "shop.example"},
        ]
    }

    audit = await engine.audit(ScanRequest(url=site.url("/with-cookies")), secrets=Secrets(storage_state=state))

    assert audit.result.status == "scanned"
    assert site.seen("/with-cookies")[0].headers["cookie"] == "empty=; session=s1"


@pytest.mark.parametrize("headers", [{"Host": "staging.example"}, {"X Y": "1"}])
async def test_headers_that_a_browser_does_not_send_are_named(
    engine: ScanEngine, site: Site, headers: dict[str, str]
) -> None:
    audit = await engine.audit(ScanRequest(url=site.url("/pages/clean.html")), secrets=Secrets(headers=headers))

    assert audit.result.status == "unreachable"
    assert "the browser refuses to send one of the given headers" in audit.result.reason


async def test_a_login_opens_the_page_and_its_secrets_are_nowhere(engine: ScanEngine, shop: Shop) -> None:
    logins = shop.logins
    request = ScanRequest.model_validate(
        {"url": shop.site.url("/shop/account"), "login": shop.login, "screenshot": True, "deadline_s": 40}
    )

    audit = await engine.audit(request, secrets=Secrets(variables=VARIABLES))

    result = audit.result
    assert (result.status, result.title, shop.logins) == ("scanned", "Account", logins + 1)
    assert "image-alt" in {finding.rule for finding in result.findings}
    text = result.model_dump_json()
    assert USER not in text
    assert PASSWORD not in text
    assert PAGE_SHOT in audit.shots


async def test_a_login_that_fails_passes_no_page(engine: ScanEngine, shop: Shop) -> None:
    wrong = {**VARIABLES, "SHOP_PASSWORD": "wrong password"}
    result = await take(engine, shop, "/shop/cart", login=shop.login, variables=wrong)

    assert (result.status, result.findings) == ("unreachable", ())
    assert result.reason.startswith("the login failed: after its steps the page still asks for a sign-in: 'Sign in'")
    assert result.reason.endswith("it says 'Wrong e-mail or password'")


async def test_a_login_that_is_lost_is_done_once_more(engine: ScanEngine, shop: Shop, site: Site) -> None:
    logins, lost = shop.logins, []

    async def account(request: Request, writer: asyncio.StreamWriter) -> None:
        if not lost:
            lost.append(True)
            shop.close_sessions()
        await shop.account(request, writer)

    url = site.add("/shop/once", account)

    result = await take(engine, shop, "/shop/once", login=shop.login)

    assert (url, result.status, shop.logins) == (result.url, "scanned", logins + 2)


class _Stale(NoKeeper):
    """Has the login of another scan, which is lost by now."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self._state = state

    async def take(self, *, lost: int) -> KeptLogin | None:
        return KeptLogin(1, self._state) if not lost else None


async def test_a_kept_login_that_is_lost_does_not_undo_the_next_one(engine: ScanEngine, site: Site) -> None:
    top = "<!doctype html><html lang=en><title>In</title><main><h1>Account</h1></main>"
    url = site.add("/token", f"{top}<script>if (localStorage.token !== 'fresh') location = '/token/login'</script>")
    form = "<input type=password aria-label=Password><button>Go</button>"
    go = "document.querySelector('button').onclick = () => { localStorage.token = 'fresh'; location = '/token'; }"
    site.add("/token/login", f"{top}{form}<script>{go}</script>")
    kept = [{"name": "token", "value": "stale"}]
    state = {"cookies": [], "origins": [{"origin": site.url("").rstrip("/"), "localStorage": kept}]}
    login = {"url": site.url("/token/login"), "steps": [{"click": "text=Go"}]}
    request = ScanRequest.model_validate({"url": url, "login": login, "deadline_s": 40})

    audit = await engine.audit(request, secrets=Secrets(keeper=_Stale(state)))

    assert (audit.result.status, audit.result.reason) == ("scanned", "")
    assert audit.result.final_url == url


async def test_steps_may_sign_in_where_the_page_itself_leads_to(engine: ScanEngine, shop: Shop) -> None:
    result = await take(engine, shop, "/shop/account", *LOGIN_STEPS, {"scan": "signed in"})

    assert (result.status, result.title) == ("scanned", "Account")
