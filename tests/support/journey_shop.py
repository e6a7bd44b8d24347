"""A shop for journeys: a login that sets a cookie, an account behind it, and a cart with a dialog and a late banner."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from tests.support.site import PAGES, Request, Site, redirect, reply

USER, PASSWORD = "anna.berg@shop.example", "correct horse battery"
VARIABLES = {"SHOP_USER": USER, "SHOP_PASSWORD": PASSWORD}
LOGIN_STEPS = (
    {"fill": "label=E-mail", "value": "${SHOP_USER}"},
    {"fill": "label=Password", "value": "${SHOP_PASSWORD}"},
    {"click": 'role=button[name="Sign in"]', "name": "sign in"},
)


@dataclass
class Shop:
    """The shop's state and its requests; ``close_sessions`` signs everyone out."""

    site: Site
    sessions: set[str] = field(default_factory=set[str])
    logins: int = 0

    @property
    def login(self) -> dict[str, object]:
        return {"url": self.site.url("/shop/login"), "steps": LOGIN_STEPS}

    def close_sessions(self) -> None:
        self.sessions.clear()

    async def sign_in(self, request: Request, writer: asyncio.StreamWriter) -> None:
        given = (request.headers.get("x-user"), request.headers.get("x-password"))
        if given != (USER, PASSWORD):
            await reply("", status="403 Forbidden")(request, writer)
            return
        self.logins += 1
        session = f"session-{self.logins}"
        self.sessions.add(session)
        await reply("", headers={"Set-Cookie": f"session={session}; Path=/; HttpOnly"})(request, writer)

    async def account(self, request: Request, writer: asyncio.StreamWriter) -> None:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get("session")
        if cookie is None or cookie.value not in self.sessions:
            await redirect("/shop/login")(request, writer)
            return
        body = f"<p>Signed in as {USER}</p><input aria-label=Name value='{USER}'><p><img src=/pixel.png></p>"
        page = f"<!doctype html><html lang=en><title>Account</title><main><h1>Account</h1>{body}</main>"
        await reply(page)(request, writer)


def open_shop(site: Site) -> Shop:
    """Add the shop to a site, under ``/shop/``."""
    shop = Shop(site)
    for name in ("login", "cart"):
        site.add(f"/shop/{name}", (PAGES / f"shop_{name}.html").read_text("utf-8"))
    site.add("/shop/session", shop.sign_in)
    site.add("/shop/account", shop.account)
    return shop
