"""REDIS_URL: what is one, the password it may get from a file, and what of it may be shown."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from producer.errors import SettingsError
from producer.text_file import read_text

REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
UNCLEAR: Final = "…"
"""Shown in place of an address whose parts cannot be told apart."""


def check_redis_url(url: str) -> str:
    """Return ``url``; raise ``ValueError`` unless it is database 0 of a Redis, in RESP2. Never quotes the password."""
    if public_redis_url(url) == UNCLEAR:
        msg = (
            "expected an address such as redis://127.0.0.1:6379/0; "
            "a '/', '#', '?' or '@' in a password is written %2F, %23, %3F, %40"
        )
        raise ValueError(msg)
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in REDIS_SCHEMES or not (host or (parts.scheme == "unix" and parts.path)):
        msg = "expected an address such as redis://127.0.0.1:6379/0, rediss://host:6380/0 or unix:///run/redis.sock"
        raise ValueError(msg)
    path = "" if parts.scheme == "unix" else unquote(parts.path).strip("/")
    database = parse_qs(parts.query).get("db", [path])[-1] or "0"
    if not (database.isdecimal() and int(database) == 0):
        msg = f"database {database!r}, but search works on database 0 only: end the address with /0"
        raise ValueError(msg)
    if parse_qs(parts.query).get("protocol", ["2"])[-1] != "2":
        msg = "protocol=3, but redis-py reads the answers of a search in RESP2 only: leave it out of the address"
        raise ValueError(msg)
    return url


def with_password_of(path: str, url: str) -> str:
    """Return ``url`` with the password in the file ``path``, a final line end left out; raises ``SettingsError``."""
    parts = urlsplit(url)
    if parts.password is not None or "password=" in parts.query:
        msg = "REDIS_PASSWORD_FILE and a password in REDIS_URL contradict each other: take one of them away"
        raise SettingsError(msg)
    try:
        password = read_text(path).rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        msg = (
            f"REDIS_PASSWORD_FILE is {path!r}, which cannot be read ({why}): name a file that holds the password alone"
        )
        raise SettingsError(msg) from None
    if not password:
        msg = f"REDIS_PASSWORD_FILE is {path!r}, which is empty: write the password into it"
        raise SettingsError(msg)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def public_redis_url(url: str) -> str:
    """Return ``url`` without user, password and options, or ``UNCLEAR`` where the password could be anywhere."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return UNCLEAR
    rest = f"{parts.path}?{parts.query}#{parts.fragment}"
    if "@" in rest or not parts.scheme or "://" not in url:
        return UNCLEAR if "@" in url else url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
