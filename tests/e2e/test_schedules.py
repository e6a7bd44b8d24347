"""A schedule with a sitemap, as a worker runs it, and its report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producer.client.client import Client
from producer.stored.schedules import Schedules
from tests.support.command_line import Call
from tests.support.scan_worker import StartScanWorker
from tests.support.site import AUTHORITY, VOUCHED, Site, reply
from tests.support.small_site import SmallSite, urlset

BARRIER = b"<!doctype html><html lang=en><title>T</title><main><h1>T</h1><img src=a.png></main></html>"


async def test_a_worker_finds_the_pages_of_a_run_and_its_report_has_the_schedules_gate(
    client: Client, start_worker: StartScanWorker, site: SmallSite, call: Call
) -> None:
    site.files["/sitemap.xml"] = f"<urlset><url><loc>{site.url}/tea</loc></url></urlset>".encode()
    site.files["/tea"] = BARRIER
    added = call("schedule", "add", "shop", "0 3 * * *", "--sitemap", f"{site.url}/sitemap.xml", "--no-assess")
    assert added.returncode == 0, added.stderr
    [batch] = await Schedules(client).fire_due(now=datetime.now(UTC) + timedelta(days=1))
    start_worker()

    await client.wait(f"{batch}.pages", timeout_s=60)
    report = call("schedule", "report", "shop", "--wait", "--timeout", "60", "--format", "table")

    assert report.returncode == 1, report.stderr
    assert (f"run {batch}" in report.stderr, "image-alt" in report.stdout) == (True, True), report.stdout


@pytest.mark.parametrize("trusted", [("--ca", str(AUTHORITY)), ("--insecure",)], ids=["ca", "insecure"])
async def test_a_schedule_trusts_a_staging_server_for_its_sitemap_and_its_pages(
    client: Client, start_worker: StartScanWorker, call: Call, trusted: tuple[str, ...]
) -> None:
    with Site(tls=VOUCHED) as staging:
        staging.add("/tea", BARRIER.decode())
        sitemap = staging.add("/s.xml", reply(urlset(staging.url("/tea")), content_type="application/xml"))
        added = call("schedule", "add", "shop", "0 3 * * *", "--sitemap", sitemap, "--no-assess", *trusted)
        assert added.returncode == 0, added.stderr
        [batch] = await Schedules(client).fire_due(now=datetime.now(UTC) + timedelta(days=1))
        start_worker()

        await client.wait(f"{batch}.pages", timeout_s=60)
        report = call("schedule", "report", "shop", "--wait", "--timeout", "60", "--format", "table")

    assert report.returncode == 1, report.stderr
    assert "image-alt" in report.stdout, report.stdout
