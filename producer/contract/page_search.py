"""The job that finds the pages of a batch when it is due, and submits their scans."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from producer.contract.message import Message
from producer.contract.terms import JsonObject

FIND_TIMEOUT_S: Final = 3_600
"""More time than a crawl and the reading of sitemaps may take."""


class PageSearch(Message):
    """The search, and the request for each page found and each of ``urls``.

    ``forms`` are the fields of a ``ScanRequest`` besides ``url``: one set for each state in which a page is scanned.
    ``groups`` are pairs of pattern and name; the first pattern that matches a page names its group, '' matches all.
    ``replaced`` has pairs of texts to replace in addresses of sitemaps. ``insecure`` and ``ca`` are those of the scans.
    """

    batch: Annotated[str, Field(max_length=128)] = ""
    urls: tuple[str, ...] = ()
    sitemaps: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    crawl: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()
    ignore_robots: bool = False
    max_pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    per_pattern: Annotated[int, Field(ge=1, le=10_000)] = 20
    insecure: bool = False
    ca: str = ""
    groups: tuple[tuple[str, str], ...] = ()
    forms: Annotated[tuple[JsonObject, ...], Field(min_length=1)] = ({},)
