"""Opens a page behind a login: cookies, local storage and headers, given to the requested URL's origin only.

Chromium's own extra headers would go to every host that the page calls, including advertisers; so requests are held,
the headers are added for the right origin, and removed if a redirect would carry them elsewhere. Nothing is logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from producer.contract.addresses import origin_of
from producer.errors import InvalidJob
from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject
from worker.scan.page import Page, literal
from worker.scan.settings import Secrets

_COOKIE_FIELDS: Final = ("name", "value", "domain", "path", "url", "secure", "httpOnly", "sameSite", "expires")


async def log_in(page: Page, url: str | None, secrets: Secrets) -> str:
    """Prepare the page before its first navigation; does nothing without secrets.

    Returns the id of the script that fills local storage at the start of every document, '' if there is none. Raises
    ``InvalidJob`` for an invalid storage state and invalid cookies; no message contains a value.
    """
    cookies, source = _read(secrets, url)
    if cookies:
        await _set_cookies(page, cookies)
    filler = ""
    if source:
        made = await page.session.call("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        filler = str(made["identifier"])
    if secrets.headers and url is not None:
        await page.hold_requests(lambda request: headers_for(request, origin=origin_of(url), headers=secrets.headers))
    return filler


def _read(secrets: Secrets, url: str | None) -> tuple[list[JsonObject], str]:
    """Return the cookies in CDP's form, and the script that fills local storage, '' if there is nothing to fill."""
    state = cast("Mapping[str, list[Mapping[str, Any]]]", secrets.storage_state)
    try:
        cookies = [_cookie(cookie, url) for cookie in (*state.get("cookies", ()), *secrets.cookies)]
        origins = state.get("origins", ())
        return cookies, _storage_script(origins) if origins else ""
    except (AttributeError, KeyError, TypeError):
        msg = "the login cannot be read: expected cookies and origins as in a storage state of Playwright"
        raise InvalidJob(msg) from None


async def _set_cookies(page: Page, cookies: list[JsonObject]) -> None:
    try:
        await page.session.call("Network.setCookies", {"cookies": cookies})
    except CallTimedOut:
        raise
    except CallFailed as error:
        msg = f"the login's cookies cannot be set: {error}; each needs a name, a value, and a domain or a url"
        raise InvalidJob(msg) from None


def headers_for(request: JsonObject, *, origin: str, headers: Mapping[str, str]) -> list[JsonObject]:
    """Return the headers for a held request: with the login's for its origin, without them for any other."""
    ours = {name.lower() for name in headers}
    kept = {name: value for name, value in request["headers"].items() if name.lower() not in ours}
    if origin_of(request["url"]) == origin:
        kept.update(headers)
    return [{"name": name, "value": value} for name, value in kept.items()]


def _cookie(cookie: Mapping[str, Any], url: str | None) -> JsonObject:
    """Return the cookie in CDP's form; one without a domain belongs to the page's domain."""
    made: JsonObject = {name: cookie[name] for name in _COOKIE_FIELDS if cookie.get(name) not in (None, "")}
    if cookie.get("value") == "":
        made["value"] = ""  # sites set cookies without a value, and so a kept login has them
    if made.get("expires") == -1:
        del made["expires"]
    if "domain" not in made and "url" not in made and url is not None:
        made["url"] = url
    return made


def _storage_script(origins: Iterable[Mapping[str, Any]]) -> str:
    items = {
        str(entry["origin"]): [[item["name"], item["value"]] for item in entry.get("localStorage", [])]
        for entry in origins
    }
    return f"for (const [name, value] of ({literal(items)})[location.origin] ?? []) localStorage.setItem(name, value);"
