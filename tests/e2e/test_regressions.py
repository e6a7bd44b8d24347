"""A scheduled scan reports a regression once, on the event stream and to subscribers."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from producer.cli.watch import event_line
from producer.client.client import Client
from producer.contract import Event
from producer.keys import Keys
from producer.stored.schedules import Schedule, Schedules
from tests.e2e.conftest import GUILTY
from tests.support.queue import events_of, until
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite

CLEAN = GUILTY.replace(b'<img src="/cup.png">', b"<p>Tea</p>")


async def test_a_scheduled_scan_reports_new_serious_barriers_once(
    client: Client, start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys
) -> None:
    heard: list[dict[str, Any]] = []
    schedules, began = Schedules(client), datetime.now(UTC)
    await schedules.add(Schedule("daily", "0 3 * * *", "scan", ({"url": f"{site.url}/page"},)), now=began)
    start_worker()
    async with redis.pubsub() as listener:
        await listener.subscribe(keys.events_live)
        await listener.get_message(timeout=10)  # that it is subscribed
        for days, body in ((1, CLEAN), (2, GUILTY), (3, GUILTY), (4, CLEAN)):
            site.files["/page"] = body
            [batch] = await schedules.fire_due(now=began + timedelta(days=days))
            await until(lambda batch=batch: redis.hget(keys.batch(batch), "finished_ms"), what=f"{batch} to finish")
        while message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.5):
            heard.append(json.loads(message["data"] or b""))
    events = [json.loads(line) for line in await events_of(redis, keys)]
    [event] = [one for one in events if one["event"] == "scan.regressed"]
    assert re.search(r"scan\.regressed +\S+/page  new: 1 critical  image-alt", event_line(Event.model_validate(event)))
    assert (event["critical"], event["serious"], event["new"], event["rules"]) == (1, 0, 1, ["image-alt"])
    assert event["url"] == f"{site.url}/page"
    assert event["job_id"].startswith("daily-")
    assert [one for one in heard if one["event"] == "scan.regressed"] == [event]
    assert [one["event"] for one in events].count("job.succeeded") == 4
