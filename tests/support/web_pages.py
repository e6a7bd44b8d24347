"""Serves the pages of ``sightline web`` for a test's environment: in this process, or on a port for a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import uvicorn
from redis.asyncio import Redis
from starlette.types import ASGIApp

from producer.client.client import Client
from producer.contract import Impact, ScanResult
from producer.keys import Keys
from producer.web.accounts import Accounts
from producer.web.app import make_app
from producer.web.desk import Desk
from producer.web.settings import WebSettings
from tests.support.component_scans import Site, component, issue_id
from worker.cli.web_past import WebPast
from worker.memory.history.history import History

HOST: Final = "http://localhost"
WORST: Final = issue_id("beef")
_TOKEN: Final = re.compile(r'name="token" value="([0-9a-f]{64})"')


def app_over(
    client: Client,
    settings: WebSettings | None = None,
    *,
    accounts: Accounts | None = None,
    log: Callable[[str], object] | None = None,
) -> ASGIApp:
    past = WebPast(client.redis, client.keys)
    return make_app((settings or WebSettings()).checked(), client, past, accounts=accounts, log=log)


def desk_over(app: ASGIApp) -> Desk:
    """Return the desk of an application made by ``app_over``."""
    inner: Any = app
    while not hasattr(inner, "state"):
        inner = inner._app
    return inner.state.desk


@dataclass(frozen=True, slots=True)
class Browser:
    """A client with a cookie jar and without JavaScript."""

    http: httpx.AsyncClient

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(path, **options)

    async def json(self, path: str) -> Any:
        answer = await self.http.get(path, headers={"Accept": "application/json"})
        assert answer.headers["content-type"] == "application/json", answer.text
        return answer.json()

    async def token(self, path: str = "/scan") -> str:
        """Return the token of a page's forms."""
        found = _TOKEN.search((await self.http.get(path)).text)
        return found[1] if found else ""

    async def send(self, path: str, *, of: str = "/scan", **fields: str) -> httpx.Response:
        """Send a form with the token of a page."""
        return await self.http.post(path, data={"token": await self.token(of), **fields})


def browser(app: ASGIApp, *, address: str = "127.0.0.1", host: str = HOST, **headers: str) -> Browser:
    transport = httpx.ASGITransport(app, client=(address, 5555))
    return Browser(httpx.AsyncClient(transport=transport, base_url=host, headers=headers))


@asynccontextmanager
async def at_port(app: ASGIApp) -> AsyncGenerator[int]:
    """Serve on a free port of loopback."""
    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has a flag, no event
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def record_shop(redis: Redis, keys: Keys, history: History) -> list[str]:
    """Record three pages: a critical barrier on two of them, a serious one on one; return their addresses."""
    site = Site(redis, keys, history)
    worst = component("beef", elements=2)
    other = component("cafe", rule="link-name", impact=Impact.SERIOUS)
    for path, findings in (("/cart", (worst, other)), ("/home", (worst,)), ("/about", ())):
        commit = await site.recall(*findings, path=path, group="shop")
        result = ScanResult.model_validate({**_result(commit.result), "title": "Cart"})
        await site.commit(commit)
        await redis.set(keys.result(result.scan_id), result.model_dump_json())
    return [f"https://shop.example{path}" for path in ("/cart", "/home", "/about")]


def _result(result: Any) -> dict[str, Any]:
    return dict(result.model_dump(mode="json"))
