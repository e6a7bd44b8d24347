"""Finds the recorded pages at an address or a path, such as ``/cart`` or ``shop.example/cart``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from producer.contract.addresses import normal_url, page_ids, path_of, site_of
from producer.errors import InvalidJob
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import MAX_PAGES, one_a_page

_NAMED: Final = 3


async def pages_at(history: History, place: str, *, site: str | None) -> tuple[str, ...]:
    """Return the ids of the pages at ``place``, of one ``site`` if given.

    Raises ``InvalidJob`` for a path without a recorded page; full addresses need not be recorded.
    """
    place = place.strip()
    if "://" in place:
        return page_ids(place)
    if not place.startswith("/"):
        host, path = site_of(f"//{place}"), path_of(normal_path(f"http://{place}"))
    else:
        host, path = "", path_of(normal_path(f"http://any.example{place}"))
    if host and site and host != site:
        raise InvalidJob(f"the question is limited to the site {site!r}, and {host[:100]!r} is another")
    pages = await history.newest_of_pages(ScanFilter(host=host or site))
    urls = [page.url for page in pages if _is_at(page.url, path)]
    if not urls:
        of = f" of the {MAX_PAGES:,} seen last" if len(pages) >= MAX_PAGES else ""
        where = f" on the site {(host or site or '')[:100]!r}" if host or site else ""
        raise InvalidJob(f"no recorded page{of}{where} has the path {path[:200]!r}: search_scans finds pages by words")
    return tuple(dict.fromkeys(name for url in urls for name in page_ids(url)))


async def page_at(history: History, place: str, *, site: str | None) -> tuple[str, ...]:
    """Return the ids of the only page at ``place``; raises ``InvalidJob`` also if several sites have one."""
    found = await pages_at(history, place, site=site)
    if "://" in place:
        return found
    pages = one_a_page(await history.newest_of_pages(ScanFilter(page=found, host=site)))
    if len(pages) > 1:
        raise InvalidJob(
            f"several pages have the path {place[:200]!r}: {_listed([page.url for page in pages])}: name one"
        )
    return found


def normal_path(url: str) -> str:
    """Return the normalised address; raises ``InvalidJob`` for an invalid one."""
    try:
        return normal_url(url)
    except ValueError:
        shown = url.partition("://")[2].removeprefix("any.example")[:200]
        raise InvalidJob(f"{shown!r} is neither an address nor a path: expected one such as /cart") from None


def _is_at(url: str, path: str) -> bool:
    """Return whether the page has that path and query; a final slash is ignored."""
    return path_of(url).rstrip("/") == path.rstrip("/")


def _listed(urls: Sequence[str]) -> str:
    shown = ", ".join(url[:200] for url in urls[:_NAMED])
    return f"{shown} and more" if len(urls) > _NAMED else shown
