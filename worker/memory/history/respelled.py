"""Normalises the addresses in records of an earlier release, so that pages are found.

Releases until 5e536ef kept addresses as given to ``Client.submit`` or XADD, and derived the page's id from them.
Records with such an id get address, host and id in today's form, atomically (respell.lua); others stay unchanged.
Reasons, and when this can be removed: ``ops/decisions/0017-one-spelling-of-an-address.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer.contract.addresses import normal_url, page_ids, public_url, site_of, without_port
from producer.keys import Keys
from producer.redis.scripts import as_text, load_script, run_script
from worker.memory.history.scan_record import site_tags
from worker.memory.vectors.documents import key_batches

RESPELL: Final = load_script("worker.memory.history", "respell")


async def respell(redis: Redis, keys: Keys) -> AsyncIterator[int]:
    """Correct all records; yields the number corrected in each batch. Safe to interrupt and to run concurrently."""
    async for names in key_batches(redis, keys.scan_prefix):
        async with redis.pipeline(transaction=False) as pipe:
            for name in names:
                cast("Any", pipe).hmget(name, ["page", "url", "host_name"])
            rows = await pipe.execute(raise_on_error=False)  # anything but a hash is not a record
        done = 0
        for name, row in zip(names, rows, strict=True):
            page, url, host = ("", "", "") if isinstance(row, Exception) else map(as_text, row)
            fields = respelled(page, url, host)
            if fields:
                args = [page, *(part for field in fields.items() for part in field)]
                done += int(await run_script(redis, RESPELL, [name], args))
        yield done


def respelled(page: str, url: str, host: str = "") -> Mapping[str, str]:
    """Return the fields to correct in a record of ``url`` with the id ``page``; none if they are right.

    Until 11cf9aa records had the host without the port.
    """
    own, *as_given = page_ids(url) if url else ("",)
    site = site_of(url)
    if page == own and site not in {host, without_port(site)}:
        return {"host": site_tags(site), "host_name": site}
    if page not in as_given:
        return {}
    shown = public_url(normal_url(url))
    return {"page": own, "url": shown, "host": site_tags(site_of(shown)), "host_name": site_of(shown)}
