"""Reads the credentials of pages behind a login from files and the environment.

Never reads them from the command line, which other users of the machine can see. No message quotes a value. The
credentials go to ``submit(…, secrets=…)`` and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from producer.contract import JsonObject
from producer.contract.addresses import origin_of
from producer.errors import InputError
from producer.text_file import read_text

HEADERS_VARIABLE: Final = "SIGHTLINE_HEADERS"
_NETSCAPE_FIELDS: Final = 7
_HTTP_ONLY: Final = "#HttpOnly_"
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def read_secrets(
    *, header_file: str | None, cookie_file: str | None, storage_state: str | None, headers_variable: str
) -> JsonObject:
    """Return the given secrets, ready for ``submit``; raises ``InputError``.

    A header in the file replaces the one of the same name in the variable.
    """
    variable = headers_variable.strip().removeprefix("\ufeff").strip()
    headers = _headers_of_json(variable, HEADERS_VARIABLE) if variable else {}
    if header_file:
        given = read_headers(header_file)
        names = {name.lower() for name in given}
        headers = {name: value for name, value in headers.items() if name.lower() not in names} | given
    secrets: JsonObject = {"headers": headers} if headers else {}
    if cookie_file:
        secrets["cookies"] = read_cookies(cookie_file)
    if storage_state:
        secrets["storage_state"] = _storage_state(storage_state)
    return secrets


def check_one_site(urls: Sequence[str], secrets: JsonObject) -> None:
    """Raise ``InputError`` if headers, or cookies without a domain, would go to several sites."""
    cookies = cast("list[JsonObject]", secrets.get("cookies", []))
    if not secrets.get("headers") and all(cookie.get("domain") or cookie.get("url") for cookie in cookies):
        return
    sites = sorted(set(map(origin_of, urls)))
    if len(sites) > 1:
        msg = (
            f"headers and cookies without a domain are for one site, but the pages are on {len(sites)}: "
            f"{sites[0]!r}, {sites[1]!r}{' and more' if sites[2:] else ''}; scan each site separately"
        )
        raise InputError(msg)


def read_headers(file: str) -> dict[str, str]:
    """Return the headers of a file: a JSON object, or lines of ``Name: value``; '#' begins a comment."""
    text = _read(file)
    if text.lstrip().startswith("{"):
        return _headers_of_json(text, repr(file))
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        (name, colon, value), where = line.partition(":"), f"{file!r}, line {number}"
        if not colon:
            raise InputError(f"{where}: expected 'Name: value'")
        headers[_header_name(name.strip(), where)] = _header_value(value.strip(), where)
    if not headers:
        raise InputError(f"{file!r} has no headers: expected lines of 'Name: value', or a JSON object")
    return headers


def read_cookies(file: str) -> list[JsonObject]:
    """Return the cookies of a file: JSON (a list, or an object with ``cookies``), or Netscape's as curl writes it."""
    text = _read(file)
    cookies = _cookies_of_json(text, file) if text.lstrip().startswith(("[", "{")) else _netscape(text, file)
    if not cookies:
        msg = f"{file!r} has no cookies: expected JSON, or Netscape's format as curl and browsers' add-ons write it"
        raise InputError(msg)
    return cookies


def _cookies_of_json(text: str, file: str) -> list[JsonObject]:
    value = _json(text, repr(file))
    listed: object = cast("JsonObject", value).get("cookies") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise InputError(f"{file!r}: expected a JSON list of cookies, or an object with one")
    cookies = cast("list[Any]", listed)
    for number, cookie in enumerate(cookies, 1):
        fields = cast("JsonObject", cookie) if isinstance(cookie, dict) else {}
        if not (isinstance(fields.get("name"), str) and isinstance(fields.get("value"), str)):
            raise InputError(f"{file!r}, cookie {number}: expected an object with name and value, and a domain")
    return cookies


def _netscape(text: str, file: str) -> list[JsonObject]:
    cookies: list[JsonObject] = []
    for number, line in enumerate(text.splitlines(), 1):
        is_http_only = line.startswith(_HTTP_ONLY)
        if not line.strip() or (line.startswith("#") and not is_http_only):
            continue
        fields = line.removeprefix(_HTTP_ONLY).split("\t")
        if len(fields) != _NETSCAPE_FIELDS or not fields[4].strip().isdecimal():
            msg = f"{file!r}, line {number}: expected the seven fields of Netscape's cookie format, tabs between them"
            raise InputError(msg)
        domain, _, path, secure, expires, name, value = fields
        cookie = {"name": name, "value": value, "domain": domain, "path": path, "secure": secure.upper() == "TRUE"}
        expiry = {"expires": int(expires)} if int(expires) else {}  # 0 is a session cookie
        cookies.append({**cookie, "httpOnly": is_http_only, **expiry})
    return cookies


def _storage_state(file: str) -> JsonObject:
    text = _read(file)
    value = _json(text, repr(file))
    if isinstance(value, list):  # a list of cookies, as other tools save a login
        return {"cookies": _cookies_of_json(text, file)}
    state = cast("JsonObject", value) if isinstance(value, dict) else {}
    lists = [state.get("cookies", []), state.get("origins", [])]
    if not (state.keys() & {"cookies", "origins"}) or not all(isinstance(item, list) for item in lists):
        msg = f"{file!r} is not a storage state: expected lists of cookies and origins, as Playwright saves them"
        raise InputError(msg)
    return state


def _headers_of_json(text: str, where: str) -> dict[str, str]:
    value = _json(text, where)
    headers = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if not headers or not all(isinstance(item, str) for item in headers.values()):
        raise InputError(f'{where}: expected a JSON object of headers, such as {{"Authorization": "…"}}')
    return {_header_name(name, where): _header_value(item, where) for name, item in headers.items()}


def _header_name(name: str, where: str) -> str:
    if not name or not set(name.lower()) <= _TOKEN:
        raise InputError(f"{where}: the text before the colon is not a header name")
    return name


def _header_value(value: str, where: str) -> str:
    if not value.isprintable():
        raise InputError(f"{where}: a header's value contains a line break or another control character")
    return value.strip()


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is not JSON") from None


def _read(file: str) -> str:
    try:
        return read_text(file)
    except OSError as error:
        raise InputError(f"cannot read {file!r}: {error.strerror}") from None
