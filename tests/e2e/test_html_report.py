"""``sightline scan --screenshot -o report.html``: screenshots of failing elements, and a trend; all parts real."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from producer.cli import report_extras
from producer.cli.outputs import Output
from producer.client.client import Client
from producer.keys import Keys
from producer.reports.page import page_of
from tests.support.command_line import Call
from tests.support.open_page import opened
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite

BUTTON = b"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1><button style='width:90px;height:40px'>"
HTML = (Output("html", None),)


async def test_the_report_shows_the_element_the_trend_and_what_changed(
    start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys, call: Call, tmp_path: Path
) -> None:
    start_worker()
    site.files["/shop"] = BUTTON
    await cast("Any", redis).hset(
        keys.site(site.host), mapping={"2020-02-01:scans": 2, "2020-02-01:critical": 6, "2020-02-01:serious": 1}
    )
    report = tmp_path / "report.html"

    codes = [call("scan", f"{site.url}/shop", "--screenshot", "-o", str(report)).returncode for _ in range(2)]

    async with opened(report.as_uri()) as page:
        await page.until("[...document.images].every((image) => image.complete)")
        pictures = await page.run("[...document.images].map((image) => [image.naturalWidth, image.naturalHeight])")
    text = report.read_text()
    assert codes == [1, 1]
    assert pictures == [[110, 64]], "the button and what is around it; it stands near the left edge"
    assert "<b>1.0 elements per page</b> failed a rule on" in text
    assert ", 3.5 on 1 February 2020" in text
    assert "Since the previous scan of 1 page: 0 new elements, 0 fixed, 1 unchanged." in text


async def test_pictures_are_bounded_and_omissions_are_reported(
    start_worker: StartScanWorker, site: SmallSite, redis: Redis, client: Client, keys: Keys, monkeypatch: Any
) -> None:
    start_worker()
    site.files["/shop"] = BUTTON
    job = await client.submit("scan", {"url": f"{site.url}/shop", "screenshot": True})
    page = page_of(await client.wait(job.job_id, timeout_s=60))

    pictured = await report_extras.read_extras(client, [page], HTML)
    table = await report_extras.read_extras(client, [page], [Output("table", None)])
    monkeypatch.setattr(report_extras, "MAX_PICTURE_BYTES", 100)
    full = await report_extras.read_extras(client, [page], HTML)
    await redis.delete(keys.shot(job.job_id))
    gone = await report_extras.read_extras(client, [page], HTML)

    assert [len(one.pictures) for one in (*pictured.pages, *table.pages, *full.pages, *gone.pages)] == [1, 0, 0, 0]
    assert (pictured.notes, table.notes) == ((), ())
    assert full.notes == ("1 screenshot left out: a report holds 0 MB of them",)
    assert gone.notes == ("the screenshots of 1 page are no longer kept",)
