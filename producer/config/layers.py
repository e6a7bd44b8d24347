"""The options of a page: those of ``[scan]``, then of its ``[[site]]``, then of each matching ``[[page]]``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from producer.config.lines import Path
from producer.config.options import given
from producer.config.reading import Config
from producer.contract.addresses import normal_url
from producer.sitemaps.sitemap import fits


@dataclass(frozen=True, slots=True)
class Layer:
    """Options of one table, by their names in ``ScanOptions``, and the table's path."""

    path: Path
    options: dict[str, Any]


def layers(config: Config, url: str, site: int | None) -> Iterator[Layer]:
    """Yield the layers of options for a page, lowest precedence first; ``site`` is the number of its site."""
    document = config.document
    yield Layer(("scan",), given(document.scan))
    if site is not None:
        yield Layer(("site", site), given(document.site[site]))
    for number, rule in enumerate(document.page):
        if any(fits(url, pattern) for pattern in rule.match):
            yield Layer(("page", number), given(rule))


def page_options(config: Config, url: str, site: int | None) -> dict[str, Any]:
    """Return the options of a page."""
    merged: dict[str, Any] = {}
    for layer in layers(config, url, site):
        merged |= layer.options
    return merged


def site_of(config: Config, url: str) -> int | None:
    """Return the number of the site that lists the page, else that of the first whose ``url`` contains it."""
    url = normal_url(url)
    sites = config.document.site
    named = (number for number, site in enumerate(sites) if url in site.addresses)
    below = (number for number, site in enumerate(sites) if site.url and url.startswith(site.url.rstrip("/") + "/"))
    return next(named, next(below, None))
