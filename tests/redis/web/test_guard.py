"""Access control: forged sessions, foreign forms, proxies' headers, readers, hostile text."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.errors import InputError
from producer.keys import Keys
from producer.stored.waivers import Waivers
from producer.web.accounts import _COST, TRIES, Accounts, add_account
from producer.web.sessions import Session, Sessions
from producer.web.settings import WebSettings
from tests.support.component_scans import issue_id
from tests.support.web_pages import Browser, app_over, at_port, browser, record_shop
from worker.memory.history.history import History

PASSWORD = "correct horse battery"  # noqa: S105  of accounts that the tests make


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash a password in 3 ms: 0.1 s, as against guessing, would be most of the time of these tests."""
    monkeypatch.setitem(_COST, "n", 2**10)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = str(tmp_path / "accounts")
    add_account(path, "anna", "operator", PASSWORD)
    add_account(path, "rolf", "reader", PASSWORD)
    return path


@pytest.fixture
def signed(client: Client, file: str) -> Browser:
    return browser(app_over(client, WebSettings(auth=file), accounts=Accounts(file)))


def remove_account(file: str, name: str) -> None:
    lines = Path(file).read_text().splitlines()
    Path(file).write_text("".join(f"{line}\n" for line in lines if not line.startswith(name)))


def break_file(file: str) -> None:
    with Path(file).open("a") as opened:
        opened.write("rolf:operator:scrypt:zz:zz\n")


def remove_file(file: str) -> None:
    Path(file).unlink()


async def sign_in(some: Browser, name: str, password: str = PASSWORD, onward: str = "/") -> int:
    answer = await some.send("/sign-in", of="/sign-in", name=name, password=password, next=onward)
    return answer.status_code


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "sightline.example"])  # noqa: S104
def test_a_host_that_others_reach_is_refused_without_a_sign_in(host: str) -> None:
    with pytest.raises(InputError, match="add --auth FILE"):
        WebSettings(host=host).checked()
    assert WebSettings(host=host, auth="passwords").checked().host == host


def test_two_ways_of_signing_in_are_refused() -> None:
    with pytest.raises(InputError, match="--auth and --proxy-header contradict each other"):
        WebSettings(auth="passwords", proxy_header="X-User").checked()


async def test_a_browser_gets_a_refusal_as_a_page_and_a_program_as_a_line(client: Client, signed: Browser) -> None:
    html = {"Accept": "text/html,*/*"}

    page = await browser(app_over(client)).http.post("/scan", headers=html)
    line = await browser(app_over(client)).http.post("/scan")
    nobody = await signed.http.post("/scan", headers=html)
    foreign = await browser(app_over(client), host="http://evil.example").get("/", headers=html)

    assert (page.status_code, "<title>Not allowed · Sightline</title>" in page.text) == (403, True)
    assert "token is missing" in page.text
    assert (line.status_code, line.text.startswith("the form's token is missing")) == (403, True)
    assert (nobody.status_code, client.keys.environment in nobody.text) == (401, False)
    assert (foreign.status_code, foreign.headers["content-type"][:10]) == (421, "text/plain")


async def test_a_form_needs_the_token_of_its_own_session(client: Client) -> None:
    one, other = browser(app_over(client)), browser(app_over(client))
    foreign = await other.token()
    await one.get("/scan")

    answers = [
        await one.http.post("/scan", data={"urls": "https://a.example/"}),
        await one.http.post("/scan", data={"urls": "https://a.example/", "token": foreign}),
        await one.http.post("/scan", data={"urls": "https://a.example/", "token": "é"}),
    ]
    right = {"urls": "https://a.example/", "token": await one.token()}
    answers.append(await one.http.post("/scan", data=right, headers={"Sec-Fetch-Site": "cross-site"}))
    origins = ("https://evil.example", "http://[", "null")
    answers += [await one.http.post("/scan", data=right, headers={"Origin": origin}) for origin in origins]

    assert [answer.status_code for answer in answers] == [403] * 7
    assert (await client.queue()).lanes["batch"].queued == 0


async def test_another_name_that_leads_to_this_machine_is_refused(client: Client) -> None:
    assert (await browser(app_over(client), host="http://rebound.example").get("/")).status_code == 421
    assert (await browser(app_over(client), host="http://[::1]:8417").get("/scan")).status_code == 200


async def test_before_signing_in_a_browser_is_sent_to_the_form_and_a_program_is_refused(signed: Browser) -> None:
    page, program = await signed.get("/"), await signed.get("/", headers={"Accept": "application/json"})

    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=/")
    assert (await signed.get("/health")).status_code == 200
    assert program.status_code == 401


async def test_an_operator_may_until_the_account_goes(signed: Browser, client: Client, file: str) -> None:
    assert await sign_in(signed, "anna") == 303
    assert (await signed.send("/scan", urls="https://a.example/", batch="one")).status_code == 303

    remove_account(file, "anna")

    assert (await signed.get("/scan")).status_code == 303
    assert (await client.batch("one")).total == 1


async def test_live_updates_end_when_the_account_goes(
    client: Client, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.web.live.ALIVE_S", 0.1)
    app = app_over(client, WebSettings(auth=file), accounts=Accounts(file))
    some = browser(app)
    assert await sign_in(some, "rolf") == 303
    await client.submit("scan", {"url": "https://a.example/"}, batch="live")

    cookie = "; ".join(f"{name}={value}" for name, value in some.http.cookies.items())
    async with at_port(app) as port, httpx.AsyncClient(headers={"Cookie": cookie}, timeout=60) as http:
        address = f"http://127.0.0.1:{port}/batches/live/events"
        async with http.stream("GET", address) as answer, asyncio.timeout(30):
            lines = answer.aiter_lines()
            while await anext(lines) != ": alive":
                pass
            remove_account(file, "rolf")
            async for _ in lines:
                pass
        refused = await http.get(address)

    assert refused.status_code == 303


async def test_a_session_ends_when_its_password_is_changed(signed: Browser, file: str) -> None:
    assert await sign_in(signed, "anna") == 303
    assert (await signed.get("/scan")).status_code == 200

    remove_account(file, "anna")
    add_account(file, "anna", "operator", f"{PASSWORD} of today")

    assert (await signed.get("/scan")).status_code == 303
    assert await sign_in(signed, "anna", f"{PASSWORD} of today") == 303
    assert (await signed.get("/scan")).status_code == 200


async def test_what_a_cache_may_keep_for_all_visitors_has_no_visitors_cookie(client: Client) -> None:
    app = app_over(client)
    page = (await browser(app).get("/scan")).text
    shared = ["/health", *re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)]

    answers = [await browser(app).get(path) for path in shared]

    assert len(shared) > 1
    assert [(answer.status_code, "set-cookie" in answer.headers) for answer in answers] == [(200, False)] * len(shared)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_password_file_may_have_a_byte_order_mark(file: str, encoding: str) -> None:
    text = Path(file).read_text()
    Path(file).write_text(text, encoding=encoding)
    anna = Accounts(file).signed_in("anna", PASSWORD)

    add_account(file, "ines", "reader", PASSWORD)

    assert anna is not None
    assert anna.role == "operator"
    assert Path(file).read_text().startswith(text)


def test_a_password_file_keeps_its_mode_when_an_account_is_added(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    add_account(str(path), "anna", "operator", PASSWORD)
    first = path.stat().st_mode & 0o777
    path.chmod(0o644)  # for a board that another user serves

    add_account(str(path), "ines", "reader", PASSWORD)

    assert (first, path.stat().st_mode & 0o777) == (0o600, 0o644)


async def test_another_programs_cookies_on_the_host_end_no_session(signed: Browser) -> None:
    for name, value in (("filter", '{"a": "b c"}'), ("list[0]", "1"), ("path", "/"), ("quote", '"')):
        signed.http.cookies.set(name, value)

    assert await sign_in(signed, "anna") == 303
    assert (await signed.get("/scan")).status_code == 200


async def test_boards_on_one_host_do_not_end_each_others_sessions(client: Client, file: str, tmp_path: Path) -> None:
    other = str(tmp_path / "others")
    add_account(other, "ines", "operator", PASSWORD)
    jar: dict[str, str] = {}

    async def visited(path: str, name: str) -> int:
        """Sign in at the board of a password file if necessary, with the cookies of all boards."""
        some = browser(app_over(client, WebSettings(auth=path), accounts=Accounts(path)))
        some.http.cookies.update(jar)
        status = (await some.get("/scan")).status_code
        if status != 200:
            await sign_in(some, name)
        jar.update(some.http.cookies.items())
        return status

    assert [await visited(file, "anna"), await visited(other, "ines")] == [303, 303]
    assert [await visited(file, "anna"), await visited(other, "ines")] == [200, 200]


async def test_a_board_without_a_key_of_its_own_names_its_cookie_by_its_port(client: Client) -> None:
    names = [
        next(iter((await some.get("/scan")).cookies))
        for port in (8417, 8417, 8418)
        for some in [browser(app_over(client, WebSettings(port=port)))]
    ]

    assert names == ["sightline-8417", "sightline-8417", "sightline-8418"]


async def test_a_password_file_that_is_gone_or_broken_is_logged_and_shown_to_nobody(client: Client, file: str) -> None:
    said: list[str] = []
    app = app_over(client, WebSettings(auth=file), accounts=Accounts(file, log=said.append))
    pages: list[tuple[int, str]] = []
    for change in (break_file, remove_file):
        change(file)
        some = browser(app)
        await some.get("/scan")
        fields = {"name": "anna", "password": PASSWORD}
        answer = await some.send("/sign-in", of="/sign-in", **fields)
        pages.append((answer.status_code, answer.text))

    assert [status for status, _ in pages] == [303] * 2
    assert not any(file in text or "--auth" in text for _, text in pages)
    assert [one for one in map(json.loads, said) if one["event"] != "web.accounts_unreadable"] == []
    assert ["is not an account" in said[0], "No such file" in said[1], len(said)] == [True, True, 2]


async def test_a_form_that_does_not_arrive_leaves_no_traceback_and_is_not_waited_for(
    client: Client, file: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("producer.web.guard.FORM_S", 0.2)
    head = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken="
    answers: list[bytes] = []
    async with at_port(app_over(client, WebSettings(auth=file), accounts=Accounts(file))) as port:
        for is_closed in (True, False):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            await writer.drain()
            if is_closed:
                writer.close()
            else:
                async with asyncio.timeout(20):
                    answers.append(await reader.readline())
                writer.close()

    assert b"408" in answers[0]
    assert "Traceback" not in capfd.readouterr().err


async def test_who_has_not_signed_in_may_send_a_short_form_only(signed: Browser) -> None:
    fields = {"token": await signed.token("/sign-in"), "name": "anna", "password": PASSWORD}

    assert (await signed.http.post("/sign-in", data={**fields, "next": "/" * 70_000})).status_code == 413
    assert (await signed.http.post("/sign-in", data={**fields, "next": "/" * 7_000})).status_code == 303
    assert (await signed.send("/scan", urls="https://a.example/\n" * 7_000)).status_code == 303


async def test_a_forged_or_old_session_is_none(client: Client, file: str) -> None:
    accounts = Accounts(file)
    app = app_over(client, WebSettings(auth=file), accounts=accounts)
    ours, theirs = Sessions(accounts.key), Sessions(b"guess" * 8)
    now_s = int(time.time())
    proofs = {name: getattr(accounts.signed_in(name, PASSWORD), "proof", "") for name in ("anna", "rolf")}
    right = ours.sign(Session("a" * 32, "anna", "operator", now_s + 60, proofs["anna"]))
    reader = ours.sign(Session("a" * 32, "rolf", "reader", now_s + 60, proofs["rolf"]))
    forged = [
        theirs.sign(Session("a" * 32, "anna", "operator", now_s + 60, proofs["anna"])),
        ours.sign(Session("a" * 32, "anna", "operator", now_s - 1, proofs["anna"])),
        ours.sign(Session("a" * 32, "anna", "operator", now_s + 60, proofs["rolf"])),
        ours.sign(Session("a" * 32, "anna", "operator", now_s + 60)),
        ours.sign(Session("a" * 32, "mallory", "operator", now_s + 60, proofs["anna"])),
        right[:-1] + ("0" if right[-1] != "0" else "1"),
        reader.replace(".reader.", ".operator."),
        "....",
        "",
        "x" * 5_000,
    ]

    async def status(cookie: str) -> int:
        return (await browser(app, Cookie=f"{ours.cookie}={cookie}").get("/scan")).status_code

    assert await status(right) == 200
    assert [await status(cookie) for cookie in forged] == [303] * len(forged)


async def test_a_token_from_before_signing_in_is_worth_nothing_after_it(signed: Browser) -> None:
    before = await signed.token("/sign-in")
    await sign_in(signed, "anna")

    answer = await signed.http.post("/scan", data={"token": before, "urls": "https://a.example/"})

    assert answer.status_code == 403


async def test_guessing_a_password_is_slowed_and_reveals_nothing(signed: Browser) -> None:
    unknown = await signed.send("/sign-in", of="/sign-in", name="nobody", password="wrong")  # noqa: S106
    wrong = await signed.send("/sign-in", of="/sign-in", name="anna", password="wrong")  # noqa: S106
    for _ in range(TRIES - 2):
        await sign_in(signed, "anna", "wrong")

    assert unknown.status_code == wrong.status_code == 401
    assert "The name or password is wrong." in unknown.text
    assert "The name or password is wrong." in wrong.text
    assert await sign_in(signed, "anna") == 429


async def test_attempts_made_at_the_same_time_are_counted(signed: Browser) -> None:
    token = await signed.token("/sign-in")
    fields = {"token": token, "name": "anna", "password": "wrong"}

    answers = await asyncio.gather(*(signed.http.post("/sign-in", data=fields) for _ in range(2 * TRIES)))

    assert sorted(answer.status_code for answer in answers) == [401] * TRIES + [429] * TRIES


async def test_no_forwarded_header_is_trusted_by_default(client: Client, file: str) -> None:
    accounts = Accounts(file)
    app = app_over(client, WebSettings(auth=file), accounts=accounts)
    claims = {"X-Forwarded-User": "anna", "X-Remote-User": "anna", "Remote-User": "anna", "X-Forwarded-Prefix": "/evil"}
    claims |= {"X-Forwarded-Host": "evil.example", "Forwarded": "for=127.0.0.1;host=evil.example", "X-Role": "operator"}

    answer = await browser(app, **claims).get("/")
    statuses: list[int] = []
    for number in range(TRIES + 1):
        some = browser(app, **{"X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.0.0.{number}"})
        fields = {"name": f"guess-{number}", "password": "wrong"}
        statuses.append((await some.send("/sign-in", of="/sign-in", **fields)).status_code)

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/")
    assert statuses == [401] * TRIES + [429]


@pytest.mark.parametrize(("sent", "is_secure"), [({"X-Forwarded-Proto": "https"}, True), ({}, False)])
async def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_alone(
    client: Client, file: str, sent: dict[str, str], is_secure: bool
) -> None:
    app = app_over(client, WebSettings(auth=file), accounts=Accounts(file))

    answer = await browser(app, **sent).get("/sign-in")

    assert answer.headers["set-cookie"].endswith("; Secure") is is_secure


async def test_signing_in_goes_on_to_pages_of_ours_alone(signed: Browser) -> None:
    where: list[str] = []
    for onward in ("/usage?days=7", "//evil.example", "https://evil.example", "/\\evil.example", "/\n/evil"):
        fields = {"name": "anna", "password": PASSWORD, "next": onward}
        where.append((await signed.send("/sign-in", of="/sign-in", **fields)).headers["location"])
        await signed.send("/sign-out", of="/scan")

    assert where == ["/usage?days=7", "/", "/", "/", "/"]


async def test_a_proxys_header_is_trusted_only_if_configured_and_from_the_proxy(client: Client) -> None:
    settings = WebSettings(host="0.0.0.0", proxy_header="X-User", proxies=("10.0.0.0/8",), operators=("anna",))  # noqa: S104
    app = app_over(client, settings)

    async def scan(app_: object, address: str, name: str) -> int:
        some = browser(app_, address=address, **{"X-User": name})  # pyright: ignore[reportArgumentType]
        return (await some.send("/scan", urls="https://a.example/", batch=f"b-{name}")).status_code

    assert await scan(app, "10.1.2.3", "anna") == 303
    assert await scan(app, "10.1.2.3", "rolf") == 403
    assert (await browser(app, address="10.1.2.3").get("/")).status_code == 401
    assert (await browser(app, address="11.1.2.3", **{"X-User": "anna"}).get("/")).status_code == 401
    twice = [("X-User", "anna"), ("X-User", "rolf")]  # the visitor's own before the proxy's
    assert (await browser(app, address="10.1.2.3").get("/", headers=twice)).status_code == 401
    assert "Signed in" not in (await browser(app_over(client), **{"X-User": "anna"}).get("/")).text


async def test_everything_works_under_a_path_prefix(client: Client) -> None:
    app = app_over(client, WebSettings(prefix="/a/sight-line"))
    kept, stripped = browser(app), browser(app)

    page = (await kept.get("/a/sight-line/scan")).text
    done = await kept.send("/a/sight-line/scan", of="/a/sight-line/scan", urls="https://a.example/", batch="web")
    targets = set(re.findall(r'(?:href|action|src)="([^"#]*)"', page))

    assert all(target.startswith("/a/sight-line/") for target in targets), targets
    assert done.headers["location"] == "/a/sight-line/batches/web"
    assert (await stripped.get("/batches/web")).status_code == 200
    assert "Path=/a/sight-line;" in (await browser(app).get("/scan")).headers["set-cookie"]
    style = next(target for target in targets if target.endswith(".css"))
    assert (await kept.get(style)).headers["content-type"].startswith("text/css")


async def test_a_form_of_many_megabytes_is_refused(client: Client) -> None:
    some = browser(app_over(client))
    answer = await some.send("/scan", urls="https://a.example/\n" * 300_000)

    assert answer.status_code == 413


async def test_waivers_are_not_lost_when_two_write(redis: Redis, keys: Keys, history: History, client: Client) -> None:
    await record_shop(redis, keys, history)
    waived = {issue_id("beef"), issue_id("cafe")}

    await asyncio.gather(
        *(browser(app_over(client)).send(f"/barriers/{one}/waive", of=f"/barriers/{one}", reason="x") for one in waived)
    )

    assert {one.fingerprint for one in await Waivers(client).all()} == waived
