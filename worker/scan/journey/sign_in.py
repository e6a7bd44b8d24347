"""Logs in by a request's steps before its page is opened: once per batch, and again if the login was lost.

The keeper stores a login for others (``worker/limits/batch_login.py``); a scan without a batch has none and logs in
itself. A failed login ends the scan as ``unreachable``: a page scanned without login must not pass. A kept login is a
storage state as in Playwright: cookies, and the local storage of the page where the login ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from producer.contract import ScanRequest, public_url
from producer.contract.addresses import path_of
from producer.contract.steps import Login
from worker.scan.cdp import CallFailed
from worker.scan.deadline import Deadline
from worker.scan.downtime import Downtime
from worker.scan.journey.conceal import conceal_text, forms_of
from worker.scan.journey.elements import Elements
from worker.scan.journey.journey import Journey
from worker.scan.journey.kept_login import LoginFailed, NoKeeper
from worker.scan.load import Load
from worker.scan.login import log_in
from worker.scan.page import Page, ScriptFailed
from worker.scan.proxy import ScanProxy
from worker.scan.settings import ScanSettings, Secrets
from worker.scan.verdict import Unread, judge_sign_in

_LIMIT_S: Final = 5.0
_STORAGE: Final = "({ origin: location.origin, entries: Object.entries(localStorage) })"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A visit's means to load pages and perform steps."""

    page: Page = field(kw_only=False)
    proxy: ScanProxy
    settings: ScanSettings
    deadline: Deadline
    downtime: Downtime
    secrets: Secrets

    def of(self, request: ScanRequest) -> tuple[Load, Journey]:
        """Return the load and the journey of a request."""
        page, settings, deadline = self.page, self.settings, self.deadline
        load = Load(request, page=page, proxy=self.proxy, settings=settings, deadline=deadline, downtime=self.downtime)
        return load, Journey(
            request,
            page=page,
            load=load,
            faults=self.proxy.faults,
            settings=settings,
            deadline=deadline,
            variables=self.secrets.variables,
        )


class SignIn:
    """The login of one visit; may be none."""

    def __init__(self, request: ScanRequest, *, load: Load, way: Way) -> None:
        self._request = request
        self._page = way.page
        self._load = load
        self._variables = way.secrets.variables
        self._keeper = way.secrets.keeper or NoKeeper()
        self._way = way
        self._filler = ""
        """The script that fills local storage with the kept login."""

    async def arrive(self, go: Callable[[], Awaitable[None]]) -> None:
        """Log in if requested, then ``go`` to the page; log in again if the page shows that the login is lost.

        Raises ``Unread``, and ``Busy`` while another scan of the batch logs in.
        """
        login = self._request.login
        if login is None:
            await go()
            return
        generation = await self._open(login, lost=0)
        try:
            await go()
        except Unread as end:
            if not end.asks_to_sign_in:
                raise
            await self._open(login, lost=generation)
            await go()

    async def _open(self, login: Login, *, lost: int) -> int:
        """Open the login's session in the page's context; returns its generation."""
        try:
            await self._drop_filler()
            kept = await self._keeper.take(lost=lost)
            if kept is None:
                return await self._log_in(login)
            self._filler = await log_in(self._page, self._request.url, Secrets(storage_state=kept.state))
            await self._start_over()
        except LoginFailed as error:
            raise Unread("unreachable", f"the login failed: {error}") from None
        return kept.generation

    async def _drop_filler(self) -> None:
        """Let local storage keep what the page writes: a lost login would replace the next one in each document."""
        if self._filler:
            script, self._filler = {"identifier": self._filler}, ""
            await self._page.session.call("Page.removeScriptToEvaluateOnNewDocument", script)

    async def _log_in(self, login: Login) -> int:
        is_open = True
        try:
            await self._do(login)
            generation = await self._keeper.keep(await self._state())
            is_open = False
        except LoginFailed as error:
            is_open = False
            await self._keeper.fail(str(error))
            raise
        finally:
            if is_open:
                await self._keeper.release()
        await self._start_over()
        return generation

    async def _do(self, login: Login) -> None:
        """Perform the login's steps; raises ``LoginFailed`` if they fail or the page still asks for a sign-in."""
        of_login = {"url": login.url, "steps": login.steps, "login": None, "wait_for": None}
        asked = ScanRequest.model_validate({**dict(self._request), **of_login})
        load, journey = self._way.of(asked)
        self._page.watch.restart()
        try:
            await load.navigate()
            await load.settle()
        except Unread as end:
            raise Unread(end.status, f"the login's page was not read: {end.reason}", doubt=end.doubt) from None
        try:
            await journey.run()
        except Unread as end:
            raise LoginFailed(end.reason) from None
        reason = await self._why_not(load, login.url)
        if reason:
            raise LoginFailed(conceal_text(reason, forms_of(self._variables)))

    async def _why_not(self, load: Load, url: str) -> str:
        """Return how the page shows that the login failed after the steps, or ''."""
        facts = load.facts
        if facts is None or not facts.asks_who:
            return ""
        seen = await Elements(self._page).ask("signInSeen()")
        is_same = bool(seen["password"]) and path_of(facts.href) == path_of(url)
        if not is_same and judge_sign_in(asked="", shown=facts.href) is None:
            return ""
        says = f"; it says {seen['alert']!r}" if seen["alert"] else ""
        where = f"{facts.title[:100]!r}, {public_url(facts.href).partition('?')[0][:300]}"
        return f"after its steps the page still asks for a sign-in: {where}{says}"

    async def _state(self) -> dict[str, Any]:
        cookies = (await self._page.session.call("Network.getAllCookies", timeout_s=_LIMIT_S))["cookies"]
        origins: list[dict[str, Any]] = []
        try:
            world = await self._page.world(self._page.session, self._page.watch.frame_id, timeout_s=_LIMIT_S)
            found = await self._page.evaluate(self._page.session, world, _STORAGE, timeout_s=_LIMIT_S)
            items = [{"name": name, "value": value} for name, value in cast("list[list[str]]", found["entries"])]
            origins = [{"origin": found["origin"], "localStorage": items}] if items else []
        except (CallFailed, ScriptFailed):
            pass  # a page may forbid it: then the login is only the cookies
        return {"cookies": cookies, "origins": origins}

    async def _start_over(self) -> None:
        """Let the page's own load start as on a blank page."""
        await self._page.keep_to(None)
        self._page.watch.restart()
        self._load.doubts.clear()
        self._load.begin_again(asked=None if self._request.steps else self._request.url)
