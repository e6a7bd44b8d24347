"""What the HTML report shows beside results, read from Redis after the last of them: the trends of sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from producer.cli.outputs import Output
from producer.client import Client
from producer.connection import redis_errors
from producer.reports.page import Page
from producer.site_days import Day, site_trend

MAX_HOSTS: Final = 4
"""Trends drawn in one report; more sites than that are a list to compare, not a chart."""


@dataclass(frozen=True, slots=True)
class Extras:
    """``trends`` has the days of each host."""

    trends: dict[str, Sequence[Day]] = field(default_factory=dict[str, Sequence[Day]])


async def read_extras(client: Client, pages: Iterable[Page], outputs: Iterable[Output]) -> Extras:
    """Return what the outputs show beside ``pages``; nothing is read for formats that show nothing of it."""
    if not any(output.format == "html" for output in outputs):
        return Extras()
    hosts = sorted({urlsplit(page.result.url).hostname or "" for page in pages if page.result} - {""})
    if len(hosts) > MAX_HOSTS:
        return Extras()
    with redis_errors(client.settings):
        return Extras({host: await site_trend(client.redis, client.keys, host) for host in hosts})
