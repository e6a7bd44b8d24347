"""``sightline web``: opens Redis and the history, and serves the pages of ``producer/web``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from producer.cli.ci import say
from worker.cli.connect import read_settings

if TYPE_CHECKING:
    from producer.web.settings import WebSettings
    from worker.settings import WorkerSettings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8417, show_default=True, help="Port; 0 chooses a free one."
)
@click.option("--prefix", default="", metavar="PATH", help="Path under which a reverse proxy serves it.")
@click.option("--auth", default="", metavar="FILE", help="Require a name and password from this file.")
@click.option("--add", "added", metavar="NAME", help="Add an account to --auth FILE; prompts for its password.")
@click.option(
    "--role",
    type=click.Choice(["reader", "operator"]),
    default="reader",
    show_default=True,
    help="Role of the account that --add adds.",
)
@click.option("--proxy-header", default="", metavar="NAME", help="Header in which a proxy names the user.")
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="NET",
    help="Trust --proxy-header from this network.  [default: loopback]",
)
@click.option(
    "--operator", "operators", multiple=True, metavar="NAME", help="User of --proxy-header who may make changes."
)
@click.option("--secret", "secret_file", metavar="FILE", help="File with the session key, the same for all processes.")
def web(*, added: str | None, role: str, secret_file: str | None, **options: Any) -> None:
    """Serve scan results as web pages: sites, barriers, batches, the queue.

    Works without JavaScript; every address returns JSON with 'Accept: application/json'. Needs the extra 'web'.
    Anyone on this machine may view and change everything. Any other --host needs --auth, or --proxy-header behind a
    proxy that signs users in and removes that header from incoming requests. Readers can only view; operators can also
    waive, scan and cancel.

    \b
    sightline web
    sightline web --auth passwords --add anna --role operator
    sightline web --host 0.0.0.0 --auth passwords --prefix /sightline
    """
    import asyncio

    from producer.errors import InputError
    from producer.web.settings import WebSettings

    proxies = options.pop("proxies") or ("127.0.0.1", "::1")
    settings = WebSettings(**options, proxies=proxies).checked()
    if added is not None:
        if not settings.auth:
            raise InputError("--add needs the file: --auth FILE")
        _add(settings.auth, added, role)
        return
    asyncio.run(_serve(settings, read_settings(), key=_key(secret_file)))


def _add(path: str, name: str, role: str) -> None:
    """Add an account; the password comes from the terminal, or the first line of a pipe."""
    from producer.web.accounts import add_account

    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    add_account(path, name, role, password)
    click.echo(f"{name}: {role}, in {path}")


def _key(path: str | None) -> bytes | None:
    from hashlib import sha256

    from producer.errors import InputError

    if path is None:
        return None
    try:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib is not needed here
            text = file.read(10_000).strip()
    except OSError as error:
        raise InputError(f"cannot read --secret {path!r}: {error.strerror}") from None
    if len(text) < 32:  # noqa: PLR2004  256 bits in hexadecimal have 64
        raise InputError(
            f"--secret {path!r} has {len(text)} characters: expected at least 32, for example from 'openssl rand "
            f"-hex 32'"
        )
    return sha256(text).digest()


async def _serve(settings: WebSettings, worker: WorkerSettings, *, key: bytes | None) -> None:
    import uvicorn

    from producer.client.client import Client
    from producer.web.accounts import Accounts
    from producer.web.app import make_app
    from worker.cli.web_past import WebPast
    from worker.models.routing import open_embedders

    accounts = Accounts(settings.auth, log=_log) if settings.auth else None
    if accounts is not None:
        accounts.check()
    async with Client(worker) as client, open_embedders(worker, client.redis, client.keys, worker="web") as embedder:
        past = WebPast(client.redis, client.keys, embedder)
        app = make_app(settings, client, past, key=key, log=_log, accounts=accounts)
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
        await _until_signal(uvicorn.Server(config), settings)


async def _until_signal(server: Any, settings: WebSettings) -> None:
    """Serve until a signal; print the address once it is known, and who has access."""
    import asyncio
    import gc

    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has a flag and no event
        await asyncio.sleep(0.02)
    if server.started:
        gc.collect()
        gc.freeze()  # what was imported lives as long as the process: a search for cycles in it takes 40 ms
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if settings.proxy_header:
            who = f"users named by {settings.proxy_header} from {', '.join(settings.proxies)}"
        else:
            who = f"the accounts in {settings.auth}" if settings.auth else "anyone on this machine, as operator"
        say(f"pages at http://{shown}:{port}{settings.prefix}/ for {who}")
    await serving


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  the log
