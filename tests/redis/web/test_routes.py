"""Every route and method of the application: required sign-in, readers' rights, and GETs without writes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from starlette.routing import Route
from starlette.types import ASGIApp

from producer.client.client import Client
from producer.keys import Keys
from producer.settings import ClientSettings
from producer.web.accounts import Accounts, add_account
from producer.web.settings import WebSettings
from producer.web.templates import style_name
from tests.support.redis_server import StartServer, refuse_writes
from tests.support.started_redis import started_redis
from tests.support.web_pages import app_over, browser
from tests.support.web_routes import ANSWERED, contents, fill, path_of, routes_of
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

PASSWORD = "correct horse battery"  # noqa: S105  of an account that the tests make
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
FREE = ("/sign-in", "/health", "/assets/{name}")
FIELDS = {"urls": "https://a.example/", "reason": "x", "name": "n", "cron": "0 3 * * *", "question": "Why?"}
NOT_ASKED = {("POST", "/sign-in"), ("POST", "/sign-out"), ("GET", "/batches/{batch}/events")}
"""What a reader must do, and a stream, to which ``test_live.py`` listens: here it has no end."""
ADMIN, READER = "admin/1", "reader 1"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    path = str(tmp_path / "passwords")
    add_account(path, "rolf", "reader", PASSWORD)
    return Accounts(path)


async def test_a_reader_changes_nothing_by_any_method_on_any_route(
    redis: Redis, keys: Keys, history: History, client: Client, accounts: Accounts
) -> None:
    await fill(redis, keys, history, client)
    app = app_over(client, WebSettings(auth="passwords"), accounts=accounts)
    reader = browser(app)
    assert (await reader.send("/sign-in", of="/sign-in", name="rolf", password=PASSWORD)).status_code == 303
    fields = {"token": await reader.token("/"), **FIELDS}
    before = await contents(redis, keys)

    got: dict[tuple[str, str], httpx.Response] = {}
    for route in routes_of(app):
        path = path_of(route, style_name())
        for method in METHODS:
            if (method, route.path) not in NOT_ASKED:
                got[method, route.path] = await reader.http.request(method, path, data=fields)

    assert await contents(redis, keys) == before
    looks = {route: one.status_code for (method, route), one in got.items() if method in {"GET", "HEAD"}}
    changes = {asked: one for asked, one in got.items() if asked[0] not in {"GET", "HEAD"}}
    assert {one.status_code for one in changes.values()} <= {403, 405}
    assert {route: status for route, status in looks.items() if status >= 500} == {}
    posts = {("POST", route.path) for route in routes_of(app) if "POST" in (route.methods or ())} - NOT_ASKED
    assert len(posts) >= 9
    assert {changes[asked].status_code for asked in posts} == {403}
    assert all("role operator" in changes[asked].text for asked in posts)
    shown = got["GET", "/barriers/{issue_id}"].text
    assert ("role operator" in shown, "Waive</button>" in shown) == (True, False)


async def test_a_visitor_who_has_not_signed_in_sees_only_the_sign_in_page(
    redis: Redis, keys: Keys, history: History, client: Client, accounts: Accounts
) -> None:
    await fill(redis, keys, history, client)
    app = app_over(client, WebSettings(auth="passwords"), accounts=accounts)
    stranger = browser(app)

    got = {
        (method, route.path): await stranger.http.request(method, path_of(route, style_name()), data=FIELDS)
        for route in routes_of(app)
        for method in METHODS
        if route.path not in FREE
    }

    assert {one.status_code for one in got.values()} <= {303, 401}
    assert not any("shop.example/home" in one.text or "beef" in one.text for one in got.values())


async def test_no_get_request_changes_anything_for_any_account(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    await fill(redis, keys, history, client)
    app = app_over(client)
    before = await contents(redis, keys)

    got = {route.path: await looked_at(app, path_of(route, style_name())) for route in routes_of(app) if is_get(route)}

    assert await contents(redis, keys) == before
    assert {path: status for path, status in got.items() if status not in {200, 303}} == ANSWERED


def is_get(route: Route) -> bool:
    return "GET" in (route.methods or {"GET"})


async def looked_at(app: ASGIApp, path: str) -> int:
    """The status of a GET; of a stream, which has no end, that of its head."""
    return (await browser(app).http.request("HEAD" if path.endswith("/events") else "GET", path)).status_code


@pytest.fixture(scope="module")
def server(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A Redis with the users of ``ops/users.acl``; ``redis_url`` sees to it that there is a build to start."""
    assert redis_url
    with started_redis(tmp_path_factory.mktemp("acl"), admin=ADMIN, reader=READER) as started:
        yield started.port


async def test_the_redis_user_reader_suffices_for_every_page_and_may_write_nothing(server: int) -> None:
    keys = Keys("prod")
    admin_url, reader_url = (
        f"redis://{name}:{quote(password, safe='')}@127.0.0.1:{server}"
        for name, password in (("", ADMIN), ("reader", READER))
    )
    async with (
        Redis.from_url(admin_url, protocol=2) as redis,
        Client(ClientSettings(redis_url=admin_url, environment="prod")) as owner,
        Client(ClientSettings(redis_url=reader_url, environment="prod")) as client,
    ):
        history = History(Embeddings(redis, keys, BuiltinEmbedder()))
        await history.ensure_index()
        await fill(redis, keys, history, owner)
        app, whole = app_over(client), app_over(owner)
        before = await contents(redis, keys)

        gets = [path_of(route, style_name()) for route in routes_of(app) if is_get(route)]
        got = {path: await looked_at(app, path) for path in gets}
        wanted = {path: await looked_at(whole, path) for path in gets}
        stream = client.events(since="0")
        heard = await anext(stream)
        some = browser(app)
        changed = {
            route.path: (await some.send(path_of(route), **FIELDS)).status_code
            for route in routes_of(app)
            if "POST" in (route.methods or ())
        }

        assert got == wanted
        assert heard.event
        assert await contents(redis, keys) == before
        assert {route for route, status in changed.items() if status < 400} == set()


@pytest.mark.parametrize(
    "command",
    [
        ("HGETALL", Keys("prod").secret("j")),
        ("HGETALL", Keys("dev").job("j")),
        ("SET", Keys("prod").result("j"), "forged"),
        ("HSET", Keys("prod").waivers, "f", "{}"),
        ("XADD", Keys("prod").events, "*", "event", "{}"),
        ("DEL", Keys("prod").job("j")),
        ("EXPIRE", Keys("prod").job("j"), "1"),
        ("EVAL", "return 1", "0"),
        ("FT.DROPINDEX", "sightline:prod:scans"),
        ("FT.CREATE", "x", "SCHEMA", "a", "TAG"),
        ("FT.CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("FLUSHALL",),
    ],
    ids=lambda command: " ".join(command[:2])[:50],
)
def test_the_redis_user_reader_reaches_nothing_else(server: int, command: tuple[str, ...]) -> None:
    url = f"redis://reader:{quote(READER, safe='')}@127.0.0.1:{server}"
    refused = pytest.raises(ResponseError, match=r"[Nn]o permissions")
    with BlockingRedis.from_url(url) as reader, refused:
        reader.execute_command(*command)


async def test_a_redis_that_refuses_writes_is_read(redis_server: StartServer, tmp_path: Path) -> None:
    """A probe of /health must not take the board away when people look for what is wrong."""
    server = redis_server(data_dir=tmp_path / "data")
    async with Client(ClientSettings(redis_url=server.url)) as client:
        await refuse_writes(client.redis, tmp_path / "data")
        some = browser(app_over(client))

        assert [(await some.get(path)).status_code for path in ("/health", "/queue")] == [200, 200]
