"""The arguments and return values of views, and their conversion to a page or JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from producer.client.client import Client
from producer.redis.connection import redis_errors
from producer.web.past import History
from producer.web.settings import Role, WebSettings

if TYPE_CHECKING:
    from producer.web.live import Live
    from producer.web.templates import Templates

PATIENCE_S: Final = 20.0
"""A view that takes longer reports that Redis does not answer."""
FAILURES_KEPT: Final = 100
REPORTS: Final = 2
"""Maximum number of reports written at a time, each by a process of some 80 MB; others wait."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The visitor: name ('' without sign-in), role, and the token in their forms."""

    name: str
    role: Role
    token: str

    @property
    def may_act(self) -> bool:
        """Whether the visitor may change anything."""
        return self.role == "operator"


@dataclass(frozen=True, slots=True)
class Desk:
    """The clients and settings that views use, one instance per process."""

    settings: WebSettings
    client: Client
    history: History
    templates: Templates
    live: Live
    reports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REPORTS))
    submissions: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])
    """Running submissions, which may outlast their requests; each is named by its batch."""
    failures: dict[str, str] = field(default_factory=dict[str, str])
    """Why a submission failed after its request had been answered, by batch; the newest ``FAILURES_KEPT``."""
    log: Callable[[str], object] | None = None

    def is_submitting(self, batch: str) -> bool:
        """Return whether pages of ``batch`` are being submitted."""
        return any(task.get_name() == batch for task in self.submissions)

    def note_failure(self, batch: str, why: str) -> None:
        """Show on the batch's page, and log, that its submission failed: its request has been answered."""
        self.failures.pop(batch, None)
        self.failures[batch] = why
        for oldest in list(self.failures)[:-FAILURES_KEPT]:
            del self.failures[oldest]
        self.live.refresh(batch)
        if self.log is not None:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.log(json.dumps({"event": "web.submission_failed", "at": at, "batch": batch, "error": why}))

    def link(self, path: str, **query: object) -> str:
        """Return the address of a page of this application, under the path prefix."""
        given = {name: value for name, value in query.items() if value not in {None, ""}}
        return f"{self.settings.prefix}{path}{'?' + urlencode(given) if given else ''}"


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: its template and facts. The facts named in ``document`` are its JSON."""

    template: str
    title: str
    facts: Mapping[str, Any]
    document: Sequence[str] = ()
    status: int = 200
    about: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A redirect after a change, so that a reload does not repeat it."""

    path: str
    query: Mapping[str, object] = field(default_factory=dict[str, object])


View = Callable[[Desk, Request], Awaitable[Shown | Elsewhere | Response]]


def served(view: View) -> Callable[[Request], Awaitable[Response]]:
    """Return ``view`` as a Starlette endpoint."""

    async def endpoint(request: Request) -> Response:
        desk = desk_of(request)
        with redis_errors(desk.client.settings, None):
            async with asyncio.timeout(PATIENCE_S):
                shown = await view(desk, request)
        return respond(request, desk, shown)

    endpoint.__name__ = view.__name__
    return endpoint


def desk_of(request: Request) -> Desk:
    """Return the process's desk."""
    return cast("Desk", request.app.state.desk)


def visitor_of(request: Request) -> Visitor:
    """Return the visitor that ``guard.py`` identified."""
    return cast("Visitor", request.state.visitor)


def respond(request: Request, desk: Desk, shown: Shown | Elsewhere | Response) -> Response:
    """Return the response in the requested form."""
    if isinstance(shown, Response):
        return shown
    if isinstance(shown, Elsewhere):
        where = desk.link(shown.path, **shown.query)
        if wants_json(request):
            return JSONResponse({"v": 1, "location": where})
        return RedirectResponse(where, status_code=303)
    if wants_json(request):
        document = {"v": 1, **{name: plain(shown.facts[name]) for name in shown.document}}
        return JSONResponse(document, status_code=shown.status, headers=dict(shown.headers))
    html = desk.templates.page(request, desk, shown)
    return HTMLResponse(html, status_code=shown.status, headers=dict(shown.headers))


def wants_json(request: Request) -> bool:
    """Return whether JSON is requested and HTML is not."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def plain(value: Any) -> Any:
    """Return ``value`` as JSON values: dataclasses and models as objects, enumerations and dates as text."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value) if one.repr}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in cast("Sequence[Any]", value)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
