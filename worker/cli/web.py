"""``sightline web``: opens Redis and the history, and serves the pages of ``producer/web``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from worker.cli.connect import read_settings

if TYPE_CHECKING:
    from producer.web.settings import WebSettings
    from worker.settings import WorkerSettings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8417, show_default=True, help="Port; 0 takes a free one.")
@click.option("--prefix", default="", metavar="PATH", help="Path under which a reverse proxy serves it: /sightline.")
def web(**options: Any) -> None:
    """Serve what scans found as pages: sites, barriers, batches, the queue.

    Works without JavaScript; every address gives JSON with 'Accept: application/json'. Needs the extra 'web'.

    \b
    sightline web
    sightline web --port 8080 --prefix /sightline
    """
    import asyncio

    from producer.web.settings import WebSettings

    settings = WebSettings(**options).checked()
    asyncio.run(_serve(settings, read_settings()))


async def _serve(settings: WebSettings, worker: WorkerSettings) -> None:
    import uvicorn

    from producer.client.client import Client
    from producer.web.app import make_app
    from worker.cli.web_past import WebPast
    from worker.models.routing import open_embedders

    async with Client(worker) as client, open_embedders(worker, client.redis, client.keys, worker="web") as embedder:
        past = WebPast(client.redis, client.keys, embedder)
        app = make_app(settings, client, past, log=_log)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            lifespan="on",
        )
        server = uvicorn.Server(config)
        started = asyncio_task(server)
        await started


async def asyncio_task(server: Any) -> None:
    """Serve until a signal; say the address once it is known."""
    import asyncio

    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.02)
    if server.started:
        for one in server.servers[:1]:
            host, port = one.sockets[0].getsockname()[:2]
            click.echo(f"sightline: pages at http://{f'[{host}]' if ':' in host else host}:{port}/", err=True)
    await serving


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  the access log
