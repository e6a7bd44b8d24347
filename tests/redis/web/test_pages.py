"""The pages and actions of ``sightline web``, without JavaScript, over a real Redis."""

from __future__ import annotations

import asyncio
import codecs
import html
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Impact, QueryResult
from producer.contract.waiver import Waiver
from producer.errors import RedisUnreachable
from producer.keys import Keys
from producer.redis import connection
from producer.stored.schedules import Schedules
from producer.stored.waivers import Waivers
from producer.web.desk import REPORTS
from producer.web.settings import WebSettings
from tests.support.component_scans import Site, component
from tests.support.queue import settings_for, until
from tests.support.scans import finding, scan_result
from tests.support.web_pages import WORST, Browser, app_over, at_port, browser, desk_over, record_shop
from worker.memory.history.history import History

ALL = ("/", "/queue", "/usage", "/compare", "/ask", "/search", "/scan")


@pytest.fixture
async def shop(redis: Redis, keys: Keys, history: History, client: Client) -> Browser:
    await record_shop(redis, keys, history)
    return browser(app_over(client))


async def test_an_empty_environment_shows_the_command_to_run_on_every_page(client: Client) -> None:
    some = browser(app_over(client))

    pages = {path: await some.get(path) for path in ALL}

    assert {path: page.status_code for path, page in pages.items()} == dict.fromkeys(ALL, 200)
    assert "sightline scan https://example.org/" in pages["/"].text
    assert "sightline worker" in pages["/queue"].text
    assert "No model was called" in pages["/usage"].text


async def test_the_worst_component_barrier_leads_from_the_overview_to_its_pages(shop: Browser) -> None:
    overview = await shop.json("/")
    shown = (await shop.get(f"/barriers/{overview['first'][0]['issue_id']}")).text

    assert overview["first"][0]["issue_id"] == WORST
    assert (overview["total"], overview["open"]["critical"], overview["sites"][0]["site"]) == (2, 1, "shop.example")
    assert "4 elements on 2 pages" in shown
    assert "/pages?url=https%3A%2F%2Fshop.example%2Fcart" in shown
    assert "Give the image an alt text" in shown


async def test_a_component_barrier_names_the_same_kind_on_other_sites(shop: Browser, client: Client) -> None:
    kind = WORST.partition("-")[0]
    elsewhere, other_kind = f"{kind}-0000beef", f"{'9' * 16}-0000beef"
    about = {"name": "Header › logo has no text", "rule": "image-alt", "impact": "critical", "site": "0000beef"}
    counts = {
        "host": "blog.example",
        "host_name": "blog.example",
        "first_ms": 1,
        "since_ms": 1,
        "pages": 3,
        "elements": 5,
    }
    redis, keys = cast("Any", client._redis), client.keys
    for one in (elsewhere, other_kind):
        await redis.hset(keys.barrier(one), mapping={**about, **counts, "kind": one.partition("-")[0]})

    shown = (await shop.get(f"/barriers/{WORST}")).text
    as_json = await shop.json(f"/barriers/{WORST}")

    assert "The same kind on other sites" in shown
    assert f"/barriers/{elsewhere}" in shown
    assert "on blog.example: 5 elements on 3 pages" in shown
    assert other_kind not in shown
    assert [one["issue_id"] for one in as_json["alike"]] == [elsewhere]


async def test_a_waived_barrier_leaves_the_count_and_one_taken_back_is_in_it(shop: Browser, client: Client) -> None:
    until = (datetime.now(UTC).date() + timedelta(days=9)).isoformat()

    done = await shop.send(f"/barriers/{WORST}/waive", of=f"/barriers/{WORST}", reason="new shop", until=until)
    waived = await shop.json("/")
    kept = await Waivers(client).all()
    await shop.send(f"/barriers/{WORST}/take-back", of=f"/barriers/{WORST}")

    assert (done.status_code, done.headers["location"]) == (303, f"/barriers/{WORST}?done=waived")
    assert (waived["total"], waived["open"]["critical"], waived["waived"]) == (1, 0, 1)
    assert WORST not in [one["issue_id"] for one in waived["first"]]
    assert [(one.reason, str(one.until)) for one in kept] == [("new shop", until)]
    assert (await shop.json("/"))["total"] == 2


async def test_an_expired_waiver_counts_and_says_so(shop: Browser, client: Client) -> None:
    await Waivers(client).add(Waiver(WORST, "was fine", datetime(2026, 1, 1, tzinfo=UTC).date()))

    assert (await shop.json("/"))["total"] == 2
    assert "The waiver expired on 2026-01-01: was fine" in (await shop.get(f"/barriers/{WORST}")).text


async def test_a_waiver_without_a_reason_or_of_the_past_is_refused(shop: Browser, client: Client) -> None:
    empty = await shop.send(f"/barriers/{WORST}/waive", of=f"/barriers/{WORST}", reason=" ")
    past = await shop.send(f"/barriers/{WORST}/waive", of=f"/barriers/{WORST}", reason="x", until="2020-01-01")

    assert (empty.status_code, past.status_code) == (400, 400)
    assert "expected 1 to 1000" in empty.text
    assert "expected today or later" in past.text
    assert await Waivers(client).all() == []


async def test_a_site_lists_groups_barriers_and_worst_pages(shop: Browser) -> None:
    site = await shop.json("/sites/shop.example")
    serious = await shop.json("/sites/shop.example?impact=serious")

    assert [group["name"] for group in site["groups"]] == ["shop"]
    assert [one["rule"] for one in site["barriers"]] == ["image-alt", "link-name"]
    assert [one["url"].rpartition("/")[2] for one in site["pages"]] == ["cart", "home", "about"]
    assert [one["rule"] for one in serious["barriers"]] == ["link-name"]


async def test_a_page_shows_its_findings_and_its_history(shop: Browser) -> None:
    shown = (await shop.get("/pages", params={"url": "https://shop.example/cart"})).text

    assert "2 findings" in shown
    assert f"/barriers/{WORST}" in shown
    assert "seen 1 time" in shown


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/sites/nowhere.example", 404, "sightline scan https://nowhere.example/"),
        ("/barriers/0000000000000000-00000000", 404, "may have been pruned"),
        ("/barriers/nonsense", 400, "16 and 8 hex digits"),
        ("/pages", 400, "/pages?url="),
        ("/pages?url=nonsense", 400, "has no scheme"),
        ("/batches/nobody", 404, "no batch"),
        ("/usage?days=0", 400, "expected 1 to 400"),
        ("/?since=soon", 400, "expected a day"),
        ("/nothing", 404, "no such page"),
    ],
)
async def test_a_wrong_address_gets_a_clear_page(client: Client, path: str, status: int, word: str) -> None:
    answer = await browser(app_over(client)).get(path)

    assert answer.status_code == status
    assert word in answer.text.replace("&#39;", "'")


async def test_two_times_without_a_page_in_common_are_not_called_the_same(shop: Browser) -> None:
    answer = await shop.get("/compare", params={"before": "yesterday", "after": "now"})

    assert answer.status_code == 400
    assert "No page was scanned both at" in answer.text
    assert "3 pages were first scanned later" in answer.text


async def test_what_is_submitted_is_a_batch_with_its_options(client: Client) -> None:
    some = browser(app_over(client))

    done = await some.send("/scan", urls="https://a.example/\nhttps://b.example/", batch="web", group="g", live="1")
    info = await client.batch("web")

    assert (done.headers["location"], info.total, info.sealed) == ("/batches/web", 2, True)
    assert "of 2 jobs" in (await some.get("/batches/web")).text


async def test_an_invalid_address_line_submits_nothing(client: Client) -> None:
    answer = await browser(app_over(client)).send("/scan", urls="https://a.example/\nnonsense", batch="web")

    assert answer.status_code == 400
    assert "nothing was submitted" in answer.text
    assert (await client.queue()).lanes["batch"].queued == 0


async def test_a_schedule_is_added_listed_and_removed(client: Client) -> None:
    some = browser(app_over(client))

    await some.send("/schedules", name="nightly", cron="0 3 * * *", urls="https://a.example/")
    [added] = await Schedules(client).all()
    listed = (await some.get("/queue")).text
    await some.send("/schedules/nightly/remove")

    assert (added.cron, added.payloads[0]["url"]) == ("0 3 * * *", "https://a.example/")
    assert "/schedules/nightly/remove" in listed
    assert await Schedules(client).all() == []


async def test_a_redis_that_is_away_is_a_page_and_so_is_its_return(
    redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ATTEMPTS", 1)
    async with Client(settings_for("redis://127.0.0.1:9", keys)) as away, Client(settings_for(redis_url, keys)) as back:
        gone = await browser(app_over(away)).get("/queue")
        there = await browser(app_over(back)).get("/queue")

    assert (gone.status_code, gone.headers["retry-after"], there.status_code) == (503, "5", 200)
    assert "Redis does not answer" in gone.text


async def test_a_form_that_met_an_outage_is_not_said_to_be_safe(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise RedisUnreachable("gone")

    monkeypatch.setattr(Client, "submit", away)

    answer = await browser(app_over(client)).send("/ask", question="Which?")

    assert answer.status_code == 503
    assert "Nothing is lost" not in answer.text
    assert "send the form again" in answer.text


async def test_a_page_about_a_redis_that_is_away_links_to_itself_under_the_prefix(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ATTEMPTS", 1)
    async with Client(settings_for("redis://127.0.0.1:9", keys)) as away:
        gone = await browser(app_over(away, WebSettings(prefix="/a"))).get("/a/queue")

    assert '<a href="/a/queue">Reload this page</a>' in gone.text


async def test_a_batch_is_reported_in_every_format(shop: Browser, redis: Redis, keys: Keys) -> None:
    await shop.send("/scan", urls="https://shop.example/cart", batch="web")
    kept = json.loads(await redis.get(keys.result("job-1")) or b"")
    [job] = [name.decode().rpartition(":")[2] async for name in redis.scan_iter(keys.job("web-*"))]
    await redis.set(keys.result(job), json.dumps({**kept, "job_id": job}))
    await redis.execute_command("HSET", keys.job(job), "state", "succeeded")

    answers = {name: await shop.get(f"/batches/web/report/{name}") for name in ("html", "csv", "junit", "sarif")}

    assert {answer.status_code for answer in answers.values()} == {200}, answers["csv"].text
    assert all("image-alt" in answer.text for answer in answers.values())
    assert answers["csv"].headers["content-disposition"] == 'attachment; filename="web-report.csv"'
    assert answers["csv"].content.startswith(codecs.BOM_UTF8), "for Excel"
    assert (await shop.get("/batches/web/report/pdf")).status_code == 400


async def test_a_report_is_written_whatever_is_in_the_current_folder(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis", "producer", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the current folder was imported')\n")
    some = browser(app_over(client))
    await some.send("/scan", urls="https://a.example/", batch="web")
    monkeypatch.chdir(tmp_path)

    answer = await some.get("/batches/web/report/csv")

    assert answer.status_code == 200, answer.text


async def test_a_report_whose_reader_stops_reading_lets_the_next_one_begin(
    client: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("producer.web.download._PROGRAM", "print('x' * 50_000_000)")
    monkeypatch.setattr("producer.web.download.SEND_S", 0.3)
    app = app_over(client)
    await browser(app).send("/scan", urls="https://a.example/", batch="web")
    reports = desk_over(app).reports

    async with at_port(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(b"GET /batches/web/report/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: reports._value < REPORTS, what="a report that has begun")
        await until(lambda: reports._value == REPORTS, what="a free slot", timeout_s=20)
        rest = await reader.read()
        writer.close()

    assert not rest.endswith(b"\r\n0\r\n\r\n")
    assert "Traceback" not in capfd.readouterr().err


async def test_a_report_that_says_nothing_and_does_not_end_lets_the_next_one_begin(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.web.download._PROGRAM", "import os, time; os.close(1); time.sleep(600)")
    monkeypatch.setattr("producer.web.desk.PATIENCE_S", 1.0)
    app = app_over(client)
    await browser(app).send("/scan", urls="https://a.example/", batch="web")

    answer = await browser(app).get("/batches/web/report/csv")
    is_free = desk_over(app).reports._value == REPORTS
    monkeypatch.undo()
    after = await browser(app).get("/batches/web/report/csv")

    assert (answer.status_code, is_free, after.status_code) == (503, True, 200)


async def test_pages_in_a_state_are_linked_as_such_from_their_batch_and_from_answers(client: Client) -> None:
    some = browser(app_over(client))
    await some.send("/scan", urls="https://a.example/", batch="web")
    about = {"v": 1, "event": "job.succeeded", "kind": "scan", "job_id": "j", "batch": "web", "status": "scanned"}
    line = json.dumps({**about, "url": "https://a.example/", "page_state": "dark", "barriers": 0})
    await client.redis.xadd(client.keys.events, {"event": line})
    answer = {"job_id": "q", "kind": "query", "state": "succeeded", "answer": "This one.", "sources": ["scan-1"]}
    await client.redis.set(client.keys.result("q"), QueryResult.model_validate(answer).model_dump_json())
    record = ("HSET", client.keys.scan("scan-1"), "url", "https://a.example/", "page_state", "dark")
    await client.redis.execute_command(*record)

    shown = [(await some.get(path)).text for path in ("/batches/web", "/ask/q")]

    assert ["/pages?url=https%3A%2F%2Fa.example%2F+%5Bdark%5D" in text for text in shown] == [True, True]


async def test_without_workers_no_time_left_is_estimated(client: Client) -> None:
    some = browser(app_over(client))
    await some.send("/scan", urls="https://a.example/", batch="web")
    for number in range(20):
        line = json.dumps({"v": 1, "event": "job.succeeded", "kind": "scan", "job_id": f"j{number}", "batch": "b"})
        await client.redis.xadd(client.keys.events, {"event": line})

    text = (await some.get("/batches/web")).text

    assert "no worker is alive" in text
    assert "a minute" not in text


async def test_an_empty_question_is_refused_in_words(client: Client) -> None:
    answer = await browser(app_over(client)).send("/ask", question=" ")

    assert answer.status_code == 400
    assert "the question is empty" in answer.text


async def test_a_report_that_cannot_be_made_says_why_and_lets_the_next_begin(
    client: Client, redis: Redis, keys: Keys
) -> None:
    some = browser(app_over(client))
    await redis.execute_command("HSET", keys.batch("gone"), "total", 3, "done", 3, "sealed", 1, "finished_ms", 1)

    answers = [await some.get("/batches/gone/report/csv") for _ in range(3)]

    assert {answer.status_code for answer in answers} == {503}
    assert "had 3 jobs, no longer kept" in answers[2].text


@pytest.mark.parametrize(
    ("counts", "chip", "scanned"),
    [
        ({"succeeded": 3, "pages:unreachable": 3}, "3 not scanned", 0),
        ({"succeeded": 3, "pages:scanned": 1, "pages:partial": 2}, "2 not complete", 1),
        ({"succeeded": 1, "pages:scanned": 1, "cancelled": 2}, "2 not complete", 1),
        ({"succeeded": 3, "pages:scanned": 3}, "ended", 3),
    ],
)
async def test_only_a_batch_whose_pages_were_all_scanned_is_shown_as_a_pass(
    client: Client, redis: Redis, keys: Keys, counts: dict[str, int], chip: str, scanned: int
) -> None:
    done = {"total": 3, "done": 3, "sealed": 1, "created_ms": 1, "finished_ms": 1_795_000_000_000, **counts}
    await redis.hset(keys.batch("then"), mapping=done)  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType, reportArgumentType]
    await redis.zadd(keys.batches, {"then": 1})
    some = browser(app_over(client))

    listed, shown = (await some.get("/queue")).text, (await some.get("/batches/then")).text

    assert f">{chip}</span>" in listed
    assert f"<dt>scanned</dt><dd>{scanned}</dd>" in shown
    assert ('class="verdict good"' in shown) is (chip == "ended")


async def test_the_queue_says_how_each_of_the_newest_batches_ended(client: Client, redis: Redis, keys: Keys) -> None:
    some = browser(app_over(client))
    await some.send("/scan", urls="https://a.example/", batch="now")
    done = {"total": 3, "done": 3, "sealed": 1, "dead": 1, "finished_ms": 1_795_000_000_000}
    await redis.hset(keys.batch("then"), mapping=done)  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]
    await redis.zadd(keys.batches, {"then": 1})

    shown = (await some.get("/queue")).text

    assert (await some.json("/queue"))["batches"][0]["batch_id"] == "now"
    assert "0 of 1 job" in shown
    assert "3 of 3 jobs" in shown
    assert "ended 18 Nov 2026" in shown


async def test_a_report_waits_for_others_and_is_refused_before_redis_is_blamed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.web.download.WAIT_S", 0.01)
    app = app_over(client)
    await browser(app).send("/scan", urls="https://a.example/", batch="web")
    reports = desk_over(app).reports
    for _ in range(REPORTS):
        await reports.acquire()

    refused = await browser(app).get("/batches/web/report/csv")
    reports.release()
    made = await browser(app).get("/batches/web/report/csv")

    assert (refused.status_code, made.status_code) == (503, 200)
    assert "reports are being written now" in refused.text


@pytest.mark.parametrize("line", ["[" * 200_000, "[1]", "no JSON", '{"event": 7}'])
async def test_an_event_written_by_hand_breaks_no_page(client: Client, line: str) -> None:
    some = browser(app_over(client))
    await some.send("/scan", urls="https://a.example/", batch="web")
    await client.redis.xadd(client.keys.events, {"event": line})

    pages = [await some.get(path) for path in ("/batches/web", "/queue", "/")]

    assert [page.status_code for page in pages] == [200, 200, 200]


async def test_a_report_that_breaks_off_is_no_shorter_report(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    half = "import os; print('x' * 100_000, flush=True); os._exit({})"
    app = app_over(client)
    await browser(app).send("/scan", urls="https://a.example/", batch="web")

    async def ends(code: int) -> bool:
        """Return whether a client is told that it has the whole report of a process that ends with ``code``."""
        monkeypatch.setattr("producer.web.download._PROGRAM", half.format(code))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /batches/web/report/csv HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.endswith(b"\r\n0\r\n\r\n")

    async with at_port(app) as port:
        assert [await ends(code) for code in (1, 70, 74)] == [True, False, False]


async def test_a_report_that_fails_at_its_last_page_is_no_shorter_report(
    shop: Browser, redis: Redis, keys: Keys
) -> None:
    await shop.send("/scan", urls="https://shop.example/cart\nhttps://shop.example/home", batch="web")
    kept = json.loads(await redis.get(keys.result("job-1")) or b"")
    jobs = sorted([name.decode().rpartition(":")[2] async for name in redis.scan_iter(keys.job("web-*"))])
    for job in jobs:
        await redis.set(keys.result(job), json.dumps({**kept, "job_id": job}))
        await redis.execute_command("HSET", keys.job(job), "state", "succeeded")
    whole = await shop.get("/batches/web/report/jsonl")

    codes: list[int] = []
    for job in jobs:  # whichever is read last
        before = await redis.getset(keys.result(job), "no JSON")
        codes.append((await shop.get("/batches/web/report/jsonl")).status_code)
        await redis.set(keys.result(job), before)  # pyright: ignore[reportArgumentType]  it was there

    assert (whole.status_code, len(whole.text.splitlines())) == (200, 2)
    assert codes == [503, 503]


async def test_a_report_whose_reader_leaves_lets_the_next_one_begin(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = "import time; time.sleep({}); print('x' * 100_000, flush=True); time.sleep(600)"
    monkeypatch.setattr("producer.web.download.FIRST_S", 0.1)
    app = app_over(client)
    await browser(app).send("/scan", urls="https://a.example/", batch="web")
    reports = desk_over(app).reports

    async with at_port(app) as port:
        for late_s, read in ((600, 0), (0, 1)):  # before its first byte, and after
            monkeypatch.setattr("producer.web.download._PROGRAM", begin.format(late_s))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /batches/web/report/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: reports._value < REPORTS, what="a report that has begun")
            await reader.read(read)
            writer.close()
            await until(lambda: reports._value == REPORTS, what="a free slot", timeout_s=20)


async def test_a_sitemap_is_read_by_a_worker_and_its_batch_shows_the_progress(client: Client) -> None:
    some = browser(app_over(client))

    done = await some.send("/scan", sitemaps="https://a.example/", batch="map", max_pages="250", group="shop")
    looking = await some.get("/batches/map")
    job = await client.job("map.pages")

    assert (done.status_code, done.headers["location"]) == (303, "/batches/map")
    assert "Its pages are being looked for" in looking.text
    assert job.kind == "find_pages"
    payload = json.loads(await client.redis.hget(client.keys.job("map.pages"), "payload") or b"")  # pyright: ignore[reportGeneralTypeIssues]
    assert (payload["sitemaps"], payload["max_pages"]) == (["https://a.example/"], 250)
    assert (payload["batch"], payload["forms"][0]["group"]) == ("map", "shop")


async def test_a_schedule_keeps_its_time_zone_sitemaps_and_gate(client: Client) -> None:
    some = browser(app_over(client))
    asked = {"name": "nightly", "cron": "0 3 * * *", "time_zone": "Europe/Berlin", "fail_on": "critical", "strict": "1"}

    await some.send("/schedules", **asked, sitemaps="https://a.example/sitemap.xml")
    [kept] = await Schedules(client).all()
    shown = (await some.get("/queue")).text

    assert (kept.time_zone, kept.gate, kept.kind) == (
        "Europe/Berlin",
        {"fail_on": "critical", "strict": True},
        "find_pages",
    )
    assert kept.payloads[0]["sitemaps"] == ["https://a.example/sitemap.xml"]
    assert "Europe/Berlin · pages found at each run · gate critical, strict" in shown


@pytest.mark.parametrize(("gate", "shown"), [({"fail_on": "minor"}, "minor"), ({"strict": "1"}, "serious, strict")])
async def test_a_schedule_may_have_a_half_of_a_gate(client: Client, gate: dict[str, str], shown: str) -> None:
    some = browser(app_over(client))

    await some.send("/schedules", name="n", cron="0 3 * * *", urls="https://a.example/", **gate)
    page = await some.get("/queue")

    assert (page.status_code, f"gate {shown}<" in page.text or f"gate {shown} " in page.text) == (200, True)


@pytest.mark.parametrize(
    ("path", "fields", "word"),
    [
        ("/scan", {}, "no address is given"),
        ("/scan", {"sitemaps": "nonsense"}, "has no scheme"),
        ("/scan", {"sitemaps": "https://u:p@a.example/"}, "--header-file"),
        ("/scan", {"sitemaps": "https://a.example/", "max_pages": "0"}, "expected 1 to 10,000"),
        ("/scan", {"sitemaps": "https://a.example/", "batch": "a b"}, "batch 'a b'"),
        ("/scan", {"urls": "https://a.example/", "standard": "wcag3"}, "expected one of"),
        (
            "/schedules",
            {"name": "n", "cron": "0 3 * * *", "urls": "https://a.example/", "time_zone": "Mars"},
            "not known",
        ),
        (
            "/schedules",
            {"name": "n", "cron": "0 3 * * *", "urls": "https://a.example/", "fail_on": "x"},
            "expected one of",
        ),
        ("/schedules", {"name": "n", "cron": "soon", "urls": "https://a.example/"}, "expected five fields"),
    ],
)
async def test_missing_fields_of_a_form_are_named_and_nothing_is_stored(
    client: Client, path: str, fields: dict[str, str], word: str
) -> None:
    answer = await browser(app_over(client)).send(path, **fields)

    assert answer.status_code == 400
    assert word in html.unescape(answer.text)
    assert await Schedules(client).all() == []
    assert (await client.queue()).lanes["batch"].queued == 0


async def test_a_component_is_found_by_words_of_its_name(shop: Browser) -> None:
    found = await shop.json("/search?q=BEEF+header")

    assert [one["issue_id"] for one in found["named"]] == [WORST]
    assert (await shop.json('/search?q=beef"+\\'))["named"] != []
    assert (await shop.json("/search?q=beef+footer"))["named"] == []


async def test_the_page_shows_who_waived_a_barrier(redis: Redis, keys: Keys, history: History, client: Client) -> None:
    await record_shop(redis, keys, history)
    proxied = WebSettings(proxy_header="X-User", operators=("anna",))
    anna = browser(app_over(client, proxied), **{"X-User": "anna"})

    await anna.send(f"/barriers/{WORST}/waive", of=f"/barriers/{WORST}", reason="new shop")

    assert "waived: new shop (anna). It does not count." in (await anna.get(f"/barriers/{WORST}")).text
    assert [one.by for one in await Waivers(client).all()] == ["anna"]


async def test_a_page_scanned_again_unchanged_shows_the_elements_of_its_last_scan(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    site = Site(redis, keys, history)
    first = await site.scan(component("beef"), path="/cart")
    again = await site.recall(component("beef"), path="/cart")
    await site.commit(again)
    last = (await history.find())[0].last_job
    assert (first.scan_id, last) == ("job-1", "job-3")
    await redis.set(keys.result(last), again.result.model_dump_json() if again.result else "")
    some = browser(app_over(client))

    page = (await some.get("/pages", params={"url": "https://shop.example/cart"})).text
    barrier = (await some.get(f"/barriers/{WORST}")).text

    assert ("1 finding" in page, "no longer kept" in page) == (True, False)
    assert ("&lt;img id=beef-0&gt;" in page, "&lt;img id=beef-0&gt;" in barrier) == (True, True)


async def test_a_page_whose_result_is_gone_shows_what_its_record_has(shop: Browser, redis: Redis, keys: Keys) -> None:
    await redis.delete(*[name async for name in redis.scan_iter(f"{keys.result('')}*")])

    shown = html.unescape((await shop.get("/pages", params={"url": "https://shop.example/cart"})).text)
    barrier = (await shop.get(f"/barriers/{WORST}")).text

    assert "Its elements are no longer kept (RESULT_TTL_S)" in shown
    assert "sightline scan https://shop.example/cart" in shown
    assert "Rules that it failed" in shown
    assert "image-alt" in shown
    assert f"/barriers/{WORST}" in shown
    assert "Its elements are no longer kept (RESULT_TTL_S)" in barrier


async def test_of_5000_findings_the_worst_are_shown_and_the_rest_counted(
    shop: Browser, redis: Redis, keys: Keys
) -> None:
    many = tuple(finding(f"rule-{number}", f"n{number}", impact=Impact.MINOR) for number in range(4_999))
    worst = finding("zz-worst", "w", impact=Impact.CRITICAL)
    large = scan_result(*many, worst, url="https://shop.example/cart", scan_id="job-1")
    await redis.set(keys.result("job-1"), large.model_dump_json())

    answer = await shop.get("/pages", params={"url": "https://shop.example/cart"})

    assert "5,000 findings" in answer.text
    assert "and 4,940 more findings, none of them worse" in answer.text
    assert answer.text.index("Help of zz-worst") < answer.text.index("Help of rule-")
    assert len(answer.content) < 300_000
