"""The sample shop with a login and a basket, for the journeys of ``sightline.toml`` beside it.

Serves ``pages/`` before ``../site``. Account and basket need a login. ``SHOP_PORT``, ``SHOP_USER`` and
``SHOP_PASSWORD`` come from the environment; each sign-in appends a line to the file named by ``SHOP_LOG``, if it is
set. The standard library is enough.
"""

from __future__ import annotations

import os
import secrets
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

HERE = Path(__file__).resolve().parent
OWN, SHOP = HERE / "pages", HERE.parent / "site"
SIGNED_IN_ONLY = {"/account.html", "/basket.html", "/checkout.html"}
SESSION = secrets.token_urlsafe()


class Shop(SimpleHTTPRequestHandler):
    """Answers GET with a file, and a POST of the login form with a session."""

    def translate_path(self, path: str) -> str:
        """Return the file of an address: one of this folder's pages, or of the shop's."""
        self.directory = str(OWN)
        own = super().translate_path(path)
        if Path(own).is_file():
            return own
        self.directory = str(SHOP)
        return super().translate_path(path)

    def do_GET(self) -> None:
        """Answer with the page, or redirect to the login."""
        if self.path.partition("?")[0] in SIGNED_IN_ONLY and f"session={SESSION}" not in self.headers.get("Cookie", ""):
            self._send_to("/login.html")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Sign in, or show the form again."""
        fields = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        expected = {"user": [os.environ["SHOP_USER"]], "password": [os.environ["SHOP_PASSWORD"]]}
        if fields != expected:
            self._send_to("/login.html")
            return
        if os.environ.get("SHOP_LOG"):
            with Path(os.environ["SHOP_LOG"]).open("a") as log:
                log.write("signed in\n")
        self._send_to("/account.html", f"session={SESSION}; Path=/; HttpOnly; SameSite=Lax")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Log nothing, so that the last lines of output are errors."""

    def _send_to(self, address: str, cookie: str = "") -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("SHOP_PORT", "4173"))), Shop) as server:
        server.serve_forever()
