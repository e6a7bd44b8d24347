"""Gives records of an earlier release the one spelling of their address, so that the page is found under it.

Releases until 5e536ef took the spelling as it came, by ``Client.submit`` or XADD, and made the page's id of it. Such a
record is known by that id, and gets address, host and id as this release writes them, in one step (respell.lua); all
others stay as they are. Why: ``ops/decisions/0017-one-spelling-of-an-address.md``, which also says when this may go.
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
    """Correct all records; yields after each batch how many were. Safe to break off, and to run twice at once."""
    async for names in key_batches(redis, keys.scan_prefix):
        async with redis.pipeline(transaction=False) as pipe:
            for name in names:
                cast("Any", pipe).hmget(name, ["page", "url", "host_name"])
            rows = await pipe.execute(raise_on_error=False)  # what is no hash is no record
        done = 0
        for name, row in zip(names, rows, strict=True):
            page, url, host = ("", "", "") if isinstance(row, Exception) else map(as_text, row)
            fields = respelled(page, url, host)
            if fields:
                args = [page, *(part for field in fields.items() for part in field)]
                done += int(await run_script(redis, RESPELL, [name], args))
        yield done


def respelled(page: str, url: str, host: str = "") -> Mapping[str, str]:
    """Return the fields to correct in a record of ``url`` under the id ``page``; none where they are right.

    Until 11cf9aa a record had its page's host without the port.
    """
    own, *as_given = page_ids(url) if url else ("",)
    site = site_of(url)
    if page == own and site not in {host, without_port(site)}:
        return {"host": site_tags(site), "host_name": site}
    if page not in as_given:
        return {}
    shown = public_url(normal_url(url))
    return {"page": own, "url": shown, "host": site_tags(site_of(shown)), "host_name": site_of(shown)}
