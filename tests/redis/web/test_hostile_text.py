"""Text of scanned pages, models and people is text on every page, in whatever field it comes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import QueryResult, ScanResult
from producer.contract.assessment import Assessment, Priority, ReviewProposal
from producer.contract.findings import Changes, Doubt
from producer.contract.fixes import TriedFix
from producer.contract.live import Evidence, LivePath, LiveReport, Stop
from producer.keys import Keys
from producer.web.templates import style_name
from tests.support.component_scans import component, issue_id
from tests.support.hostile_text import ALL, CORPUS, Foreign, poisoned
from tests.support.scans import finding, scan_result
from tests.support.web_pages import WORST, app_over, browser
from tests.support.web_routes import fill, path_of, routes_of
from worker.memory.history.history import History

MANY = 5_000_000
ASKED = dict.fromkeys(("q", "before", "after", "thread", "url", "group", "since", "days", "next", "done"), ALL)


def full_result() -> ScanResult:
    """A result in which no list is empty that a page shows."""
    [shown] = component("beef").nodes
    evidence = Evidence(keys=("Tab",), measured={"width": "3 px"}, before="b", after="a")
    found = component("beef").revised(nodes=(shown.revised(evidence=evidence),))
    result = scan_result(found, finding("frame-title", "f1"), url="https://shop.example/cart", scan_id="job-1")
    priority = Priority(fingerprint=found.fingerprint, issue_id=WORST, who="w", why="w", fix="f")
    review = ReviewProposal(
        fingerprint="r1", rule="label", area="a", verdict="barrier", why="w", look_at="l", source="s"
    )
    fix = TriedFix(issue_id=WORST, rule="image-alt", verdict="removes", url="https://shop.example/cart", diff="-a\n+b")
    live = LiveReport(ran=("keyboard",), path=LivePath(stops=(Stop(name="n", selector=("#a",)),), ended="e"))
    return result.revised(
        reason="r",
        incomplete=(finding("label", "r1").revised(outcome="incomplete"),),
        assessment=Assessment(summary="s", priorities=(priority,), reviews=(review,)),
        assessment_source="model",
        changes=Changes(),
        notes=("n",),
        doubts=(Doubt(kind="frame", what="w", where="#a"),),
        fixes=(fix,),
        fixes_state="tried",
        live=live,
    )


async def poison(redis: Redis, keys: Keys, text: str) -> None:
    """Put ``text`` into all that others write and pages show."""

    async def put(name: str, /, **fields: str) -> None:
        await redis.execute_command("HSET", name, *(word for pair in fields.items() for word in pair))

    now = int(time.time() * 1000)
    await redis.set(keys.result("job-1"), poisoned(full_result(), text))
    record = next(iter([name async for name in redis.scan_iter(keys.scan("job-1"))])).decode()
    await put(record, title=text, summary=text, group_name=text, status=text, page_state="")
    await put(keys.barrier(issue_id("cafe")), name=text, rule=text)
    await put(keys.barrier(WORST), name=text, rule=text, groups=json.dumps({text: 2}))
    await put(
        keys.waivers, **{WORST: json.dumps({"fingerprint": WORST, "reason": text[:900], "until": None, "by": text})}
    )
    await redis.execute_command(
        "XADD", keys.dead, "*", *(w for n in ("id", "kind", "error", "reason") for w in (n, text))
    )
    event = {"event": "job.succeeded", "at_ms": now, "job_id": "j1", "kind": "scan", "batch": "web"}
    line = json.dumps({**event, "url": text, "status": text, "barriers": 3})
    await redis.execute_command("XADD", keys.events, "*", "event", line)
    names: Any = dict.fromkeys(("host", "release", "sandbox", "browser", "notices"), text)
    beat = {**names, "name": text, "models": [text], "hosts": [text], "pid": 1, "at_ms": now, "max_jobs": 1, "jobs": []}
    await redis.set(keys.worker("w"), json.dumps(beat))
    await redis.execute_command("XGROUP", "CREATECONSUMER", keys.lane("batch"), "workers", "w")
    await put(keys.controls, **{f"host:{text}": json.dumps({"at_ms": now, "by": text})})
    await put(keys.usage(time.strftime("%Y-%m-%d", time.gmtime())), **{f"chat:calls:{text}": "3"})
    await put(
        keys.job("question-1"), payload=json.dumps({"question": text}), kind="query", progress=text, state="running"
    )
    answer = {"answer": text, "notes": [text], "model": text, "thread_id": text, "sources": ["job-1", text]}
    await redis.set(keys.result("question-1"), json.dumps({**QueryResult().model_dump(mode="json"), **answer}))


@pytest.mark.parametrize("text", [*CORPUS, ALL], ids=[*map(str, range(len(CORPUS))), "all"])
async def test_no_text_becomes_markup_in_any_field_of_any_page(
    redis: Redis, keys: Keys, history: History, client: Client, text: str
) -> None:
    await fill(redis, keys, history, client)
    await poison(redis, keys, text)
    app = app_over(client)
    some = browser(app)
    paths = [path_of(route, style_name()) for route in routes_of(app) if "GET" in (route.methods or {"GET"})]
    pages = {path: await some.get(path) for path in paths if not path.endswith("/events") and "/report/" not in path}
    asked = {name: value.replace(ALL, text) for name, value in ASKED.items()}
    pages |= {
        f"{path} asked": await some.get(path, params=asked)
        for path in ("/", "/search", "/compare", "/ask", "/scan", "/pages")
    }
    found = {
        path: foreign
        for path, page in pages.items()
        if page.headers["content-type"].startswith("text/html")
        if (foreign := Foreign(page.text).found)
    }

    assert found == {}
    assert {path: page.status_code for path, page in pages.items() if page.status_code >= 500} == {}
    for page in pages.values():
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]


async def test_the_poison_is_on_the_pages(redis: Redis, keys: Keys, history: History, client: Client) -> None:
    await fill(redis, keys, history, client)
    await poison(redis, keys, "XSS<b>here</b>")
    some = browser(app_over(client))

    seen = {
        path: (await some.get(path)).text.count("XSS&lt;b&gt;here")
        for path in (
            "/",
            "/queue",
            "/usage",
            "/batches/web",
            "/ask/question-1",
            f"/barriers/{WORST}",
            "/pages?url=https://shop.example/cart",
        )
    }

    assert {path: count for path, count in seen.items() if not count} == {}
    assert seen["/pages?url=https://shop.example/cart"] >= 20
    assert seen[f"/barriers/{WORST}"] >= 8
    assert seen["/queue"] >= 8


async def test_a_title_of_5_megabytes_is_cut_on_every_page(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    await fill(redis, keys, history, client)
    title = "Shop " * (MANY // 5)
    result = full_result().model_copy(update={"title": title})
    await redis.set(keys.result("job-1"), result.model_dump_json())
    await redis.execute_command("HSET", keys.scan("job-1"), "title", title, "group_name", title)
    await redis.execute_command("HSET", keys.barrier(WORST), "name", title)
    some = browser(app_over(client))

    paths = ("/", "/sites/shop.example", f"/barriers/{WORST}", "/pages?url=https://shop.example/cart", "/search?q=shop")
    sizes = {path: len((await some.get(path)).content) for path in paths}

    assert {path: size for path, size in sizes.items() if size > 300_000} == {}
