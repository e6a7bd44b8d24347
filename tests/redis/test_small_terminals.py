"""The command line in forty columns and without colour: what is laid out fits, nothing is coloured."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from producer.client.client import Client
from producer.contract import ScanResult
from producer.keys import Keys
from tests.support.command_line import drawn_by_sightline
from tests.support.queue import running_worker, settings_for, until
from tests.support.scan_worker import environment_for
from tests.support.scans import finding, scan_result
from worker.queue.outcome import Commit
from worker.queue.worker import func

PAGES = [f"https://shop.example/collections/spring/{number}/a-rather-long-name" for number in range(6)]
COLUMNS = 40
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


async def scan(ctx: dict[Any, Any], **payload: Any) -> Commit:
    del ctx
    found = scan_result(finding("image-alt", "a", "b"), url=payload["url"])
    return Commit(result=ScanResult.model_validate(found.model_dump()), event={"url": payload["url"]})


@pytest.mark.parametrize(
    ("arguments", "wanted", "is_folded"),
    [
        (("scan", *PAGES, "--wait"), "12 critical", True),
        (("scan", *PAGES, "--batch", "b"), "Queued 6 pages as batch b", False),
        (("top", "--once"), "1 worker", True),
        (("status",), "1 worker", False),
    ],
)
async def test_forty_columns_without_colour(
    arguments: tuple[str, ...], wanted: str, is_folded: bool, redis_url: str, keys: Keys
) -> None:
    environment = environment_for(redis_url, keys, TERM="xterm-256color", NO_COLOR="1")
    async with (
        Client(settings_for(redis_url, keys)) as client,
        running_worker(redis_url, keys, [func(scan, name="scan")]),
    ):

        async def is_known() -> bool:
            return bool((await client.queue()).workers)

        await until(is_known, what="a worker that has read a lane")
        _, shown = await asyncio.to_thread(drawn_by_sightline, environment, *arguments, columns=COLUMNS)

    lines = [_ESCAPE.sub("", frame) for frame in re.split(r"[\r\n]|\x1b\[2K|\x1b\[1A", shown)]
    wide = [line for line in lines if len(line) > COLUMNS]
    assert wanted in " ".join(shown.split())
    assert "Traceback" not in shown
    assert not [code for code in _COLOUR.findall(shown) if re.search(r"\b(3[0-7]|4[0-7]|9[0-7]|38|48)\b", code)]
    assert [line for line in wide if is_folded or line.startswith(("Scanning", "Queueing"))] == []
