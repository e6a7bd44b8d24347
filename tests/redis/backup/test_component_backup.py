"""Component barriers after a restore: found by their index, and counted from the pages' earlier state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from producer.keys import Keys
from tests.redis.backup.test_backup import run
from tests.support.component_scans import Site, component, issue_id, names
from tests.support.queue import until
from tests.support.redis_server import StartServer
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

LOGO, CARD = component("1090"), component("ca4d", rule="label", elements=2)


@asynccontextmanager
async def shop(url: str, *, first: int = 0) -> AsyncGenerator[Site]:
    keys = Keys("dev")
    async with Redis.from_url(url, protocol=2) as redis:
        history = History(Embeddings(redis, keys, BuiltinEmbedder()))
        await history.ensure_index()
        yield Site(redis, keys, history, first=first)


def test_component_barriers_are_restored_with_their_index_and_counted_on(
    redis_server: StartServer, tmp_path: Path
) -> None:
    server, target = redis_server(), redis_server()

    async def scan_first() -> None:
        async with shop(server.url) as site:
            for path in ("/a", "/b"):
                await site.scan(LOGO, CARD, path=path, group="shop")

    async def scan_on() -> tuple[dict[str, int], dict[str, int], list[list[str]]]:
        async with shop(target.url, first=10) as site:
            for index in (site.history.barriers.find, site.history.find):
                await until(index, what="the restored index: Redis fills it beside the calls that ask it")
            before = {one.issue_id: one.pages for one in await site.history.barriers.find()}
            result = await site.scan(CARD, component("1e57"), path="/a", group="shop")
            after = {one.issue_id: one.pages for one in await site.history.barriers.find()}
            assert result.changes is not None
            return before, after, [names(result.changes.new_components), names(result.changes.mended_components)]

    asyncio.run(scan_first())
    made = run(server, "backup", str(tmp_path / "b"))
    restored = run(target, "restore", str(tmp_path / "b"))
    before, after, changes = asyncio.run(scan_on())

    logo, card, new = (issue_id(name) for name in ("1090", "ca4d", "1e57"))
    assert made.returncode == restored.returncode == 0, made.stderr + restored.stderr
    assert before == {logo: 2, card: 2}
    assert after == {logo: 1, card: 2, new: 1}
    assert changes == [["1e57"], ["1090"]]
