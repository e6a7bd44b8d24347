"""Lists all routes of ``sightline web`` from its application, each with an address, so that new ones are included."""

from __future__ import annotations

import re
from typing import Any, Final

from redis.asyncio import Redis
from starlette.routing import Route
from starlette.types import ASGIApp

from producer.client.client import Client
from producer.contract import QueryResult
from producer.keys import Keys
from tests.support.web_pages import WORST, record_shop
from worker.memory.history.history import History

NAMES: Final = {
    "site": "shop.example",
    "issue_id": WORST,
    "job_id": "job-1",
    "batch": "web",
    "format": "csv",
    "entry": "1-1",
    "name": "nightly",
}
SPECIAL: Final = {
    "/ask/{job_id}": "/ask/question-1",
    "/shots/{job_id}/{name}": "/shots/job-1/beef-0",
    "/pages": "/pages?url=https://shop.example/cart",
    "/search": "/search?q=menus",
    "/compare": "/compare?before=yesterday&after=now",
}
ANSWERED: Final = {"/compare": 400}
"""GETs that are refused over the shop of ``fill``: its pages were not there yesterday."""


def routes_of(app: ASGIApp) -> list[Route]:
    """Return the routes of an application made by ``make_app``."""
    inner: Any = app
    while not hasattr(inner, "routes"):
        inner = inner._app
    return [route for route in inner.routes if isinstance(route, Route)]


def path_of(route: Route, assets: str = "") -> str:
    """Return an address of a route that exists in the shop of ``fill``; fails for a parameter missing in ``NAMES``."""
    if route.path == "/assets/{name}":
        return f"/assets/{assets}"
    return SPECIAL.get(route.path) or re.sub(r"{(\w+)}", lambda found: NAMES[found[1]], route.path)


async def fill(redis: Redis, keys: Keys, history: History, client: Client) -> None:
    """Record the shop, a batch, a question with its answer, and a screenshot."""
    await record_shop(redis, keys, history)
    await client.submit("scan", {"url": "https://shop.example/cart"}, batch="web")
    await client.seal_batch("web")
    answer = QueryResult.model_validate({"job_id": "question-1", "state": "succeeded", "answer": "The cart."})
    await redis.set(keys.result("question-1"), answer.model_dump_json())
    await redis.execute_command("HSET", keys.shot("job-1"), "beef-0", b"\x89PNG\r\n\x1a\n")


async def contents(redis: Redis, keys: Keys) -> dict[bytes, bytes | None]:
    """Return all data of an environment in Redis."""
    names = sorted([name async for name in redis.scan_iter(f"{keys.prefix}*", count=1000)])
    return {name: await redis.dump(name) for name in names}
