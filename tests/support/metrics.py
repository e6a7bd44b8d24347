"""Reads a worker's metrics."""

from __future__ import annotations

import asyncio
from http.client import HTTPConnection

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Samples:
    """Return all samples, by name and labels; empty while the port does not answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except ConnectionError:
        return {}
    finally:
        connection.close()
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


async def scraped(port: int) -> Samples:
    return await asyncio.to_thread(scrape, port)


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of ``name`` with at least these labels; -1 if there are none."""
    found = [value for (own, has), value in samples.items() if own == name and labels.items() <= dict(has).items()]
    return sum(found) if found else -1.0
