"""The application: routes, errors, start and shutdown. Next: ``desk.py``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from producer.client.client import Client
from producer.contract import Event
from producer.errors import InputError, RedisUnreachable, ResultExpired, ServiceError, SightlineError, UnknownJob
from producer.redis.raw_connection import replied
from producer.web import (
    ask,
    barrier,
    batch,
    compare,
    download,
    overview,
    page,
    queue,
    search,
    site,
    submit,
    templates,
    usage,
)
from producer.web.accounts import Accounts
from producer.web.desk import PATIENCE_S, Desk, Shown, View, desk_of, respond, served
from producer.web.edge import Edge
from producer.web.guard import Guard
from producer.web.live import Live
from producer.web.past import History
from producer.web.sessions import Sessions
from producer.web.settings import WebSettings
from producer.web.sign_in import SignIn

_ASSETS: Final[dict[str, tuple[Callable[[], str], Callable[[], str], str]]] = {
    "style": (templates.style_name, templates.style, "text/css"),
    "live": (templates.script_name, partial(templates.source, "live.js"), "text/javascript"),
}


def get(path: str, view: View) -> Route:
    """Return the route of a page."""
    return Route(path, served(view), methods=["GET"])


def post(path: str, view: View) -> Route:
    """Return the route of an action."""
    return Route(path, served(view), methods=["POST"])


ROUTES: Final = (
    get("/", overview.overview),
    get("/sites/{site}", site.site),
    get("/barriers/{issue_id}", barrier.barrier),
    post("/barriers/{issue_id}/waive", barrier.waive),
    post("/barriers/{issue_id}/take-back", barrier.take_back),
    get("/pages", page.page),
    get("/shots/{job_id}/{name}", page.shot),
    get("/batches/{batch}", batch.batch),
    get("/batches/{batch}/events", batch.stream),
    get("/batches/{batch}/report/{format}", download.report),
    post("/batches/{batch}/cancel", batch.cancel),
    get("/queue", queue.queue),
    post("/dead/{entry}/replay", queue.replay),
    post("/dead/{entry}/drop", queue.drop),
    get("/scan", submit.form),
    post("/scan", submit.scan),
    post("/schedules", submit.add_schedule),
    post("/schedules/{name}/remove", submit.remove_schedule),
    get("/usage", usage.usage),
    get("/compare", compare.compare),
    get("/ask", ask.ask),
    post("/ask", ask.submit),
    get("/ask/{job_id}", ask.answer),
    get("/search", search.search),
)


def make_app(
    settings: WebSettings,
    client: Client,
    history: History,
    *,
    key: bytes | None = None,
    log: Callable[[str], object] | None = None,
    accounts: Accounts | None = None,
) -> ASGIApp:
    """Return the application over an open client. ``key`` signs sessions; by default, a random one."""
    made: list[Desk] = []

    async def render(name: str, events: Sequence[Event]) -> dict[str, str]:
        facts = await batch.facts_of(made[0], name, events)
        parts = {"progress": made[0].templates.part("progress.html.jinja", {**facts, "link": made[0].link})}
        rows = made[0].templates.part("rows.html.jinja", {"rows": facts["rows"], "link": made[0].link})
        return {**parts, "rows": rows, "ended": "1" if facts["batch"].finished_ms else ""}

    live = Live(client, render)
    desk = Desk(settings, client, history, templates.templates_at(settings.prefix), live, log=log)
    made.append(desk)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncGenerator[None]:
        desk.templates.compile()
        yield
        if desk.submissions:
            await asyncio.wait(desk.submissions, timeout=PATIENCE_S)
        await live.close()

    errors: dict[Any, Any] = {SightlineError: _failed, HTTPException: _refused, TimeoutError: _failed}
    inner = Starlette(routes=[*ROUTES, *_signing(accounts), *_plain()], exception_handlers=errors, lifespan=life)
    inner.state.desk = desk
    key = key or (accounts.key if accounts else None)
    # A cookie named by a random key would be left in the browser by each start.
    cookie = f"sightline-{settings.port}" if settings.port and not key else ""
    sessions = Sessions(key or os.urandom(32), cookie=cookie)
    role_of = accounts.role_of if accounts else _no_role
    guarded = Guard(inner, settings=settings, sessions=sessions, role_of=role_of, say=partial(_said, desk))
    return Edge(guarded, prefix=settings.prefix, log=log)


def _no_role(name: str, proof: str) -> str:
    del name, proof
    return ""


def _signing(accounts: Accounts | None) -> list[Route]:
    if accounts is None:
        return []
    views = SignIn(accounts)
    path = "/sign-in"
    return [get(path, views.form), post(path, views.sign_in), post("/sign-out", views.sign_out)]


def _plain() -> list[Route]:
    return [Route("/assets/{name}", _asset), Route("/health", _health)]


async def _asset(request: Request) -> Response:
    name = str(request.path_params["name"])
    for named, text, kind in _ASSETS.values():
        if name == named():
            headers = {"Cache-Control": "public, max-age=31536000, immutable"}
            return Response(text(), media_type=kind, headers=headers)
    raise HTTPException(404)


async def _health(request: Request) -> Response:
    desk = desk_of(request)
    try:
        async with asyncio.timeout(3):
            # PING is refused like a write if the disk is full.
            await replied(desk.client.redis.xlen(desk.client.keys.dead))
    except (OSError, TimeoutError, Exception) as error:  # noqa: BLE001  a probe gets any error as its answer
        return PlainTextResponse(f"Redis: {type(error).__name__}\n", status_code=503)
    return PlainTextResponse("ok\n")


def status_of(error: Exception) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, UnknownJob):
        return 404
    if isinstance(error, InputError):
        return 400
    if isinstance(error, ResultExpired):
        return 410
    return 503 if isinstance(error, ServiceError | TimeoutError) else 500


async def _failed(request: Request, error: Exception) -> Response:
    """Return the error as a page or as JSON."""
    status = status_of(error)
    is_away = isinstance(error, RedisUnreachable | TimeoutError)
    why = str(error) or "Redis did not answer in time"
    title = {404: "Not found", 400: "The request cannot be carried out"}.get(
        status, "The request cannot be carried out now"
    )
    title = "Redis does not answer" if is_away else title
    headers = {"Retry-After": "5"} if status == 503 else {}  # noqa: PLR2004  service unavailable
    facts = {"error": why, "is_away": is_away, "is_form": request.method == "POST"}
    shown = Shown("error.html.jinja", title, facts, ("error",), status, headers=headers)
    return respond(request, desk_of(request), shown)


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    why = "There is no such page." if status == 404 else f"{request.method} is not allowed here."  # noqa: PLR2004  not found
    return _said(desk_of(request), request, status, why)


def _said(desk: Desk, request: Request, status: int, why: str) -> Response:
    """Return a refusal as a page or as JSON."""
    title = {401: "Sign in", 404: "Not found"}.get(status, "Not allowed")
    shown = Shown("error.html.jinja", title, {"error": why, "is_away": False}, ("error",), status)
    return respond(request, desk, shown)
