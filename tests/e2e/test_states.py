"""A page in two states from the shell: one report, and no state fixes another's barriers."""

from __future__ import annotations

import json

from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.command_line import Call
from tests.support.scan_worker import StartScanWorker
from tests.support.shown_states import KINDS, page_of
from tests.support.small_site import SmallSite
from worker.memory.history.barriers import Barriers

PARTS = [kind for kind in KINDS if kind.name in {"theme-icon", "search-field"}]


async def test_a_page_in_two_states_is_one_page_in_reports_and_history(
    start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys, call: Call
) -> None:
    start_worker()
    site.files["/"] = page_of(*PARTS).encode()
    both = ("--no-assess", "--color-scheme", "light", "--color-scheme", "dark")

    first = call("scan", f"{site.url}/", *both, "--format", "json")
    light = call("scan", f"{site.url}/", "--no-assess", "--only-new", "--format", "table")
    history = call("history", f"{site.url}/")

    found = {one["rule"]: one for one in json.loads(first.stdout)["component_barriers"]}
    assert (first.returncode, light.returncode) == (1, 0)
    assert {rule: (one["elements"], one.get("only_in_states")) for rule, one in found.items()} == {
        "label": (1, None),
        "image-alt": (1, ["dark"]),
    }
    records = {one["page_state"]: one for one in map(json.loads, history.stdout.splitlines())}
    assert {state: one["times_seen"] for state, one in records.items()} == {"": 2, "dark": 1}
    assert [one["changes"] for one in records.values() if "changes" in one] == [], "no state has fixed the other's"
    kept = await Barriers(redis, keys).get_many(one["issue_id"] for one in found.values())
    assert [(one.pages, one.elements, one.host) for one in kept.values()] == [(1, 1, site.host)] * 2
