"""Addresses of pages: what is one, what of it may be shown, and the id made of it. Needs no pydantic."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_PORT: Final = re.compile(r"\d{1,5}(/|$)", re.ASCII)


def check_url(url: str) -> str:
    """Return ``url`` stripped; raise ``ValueError`` unless it is an absolute http or https URL with a host."""
    url = url.strip()
    if any(unicodedata.category(c) == "Cc" for c in url):
        msg = "the URL contains a control character"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        msg = f"{url!r} is not a URL: {error}"
        raise ValueError(msg) from None
    if parts.scheme not in {"http", "https"}:
        is_named = parts.scheme and not _PORT.match(parts.path)  # localhost:3000 has the form of a scheme
        what = f"has the scheme {parts.scheme!r}" if is_named else "has no scheme"
        msg = f"{url!r} {what}: expected an address that starts with http:// or https://"
        raise ValueError(msg)
    if not host:
        msg = f"{url!r} names no host: expected something like https://example.org/page"
        raise ValueError(msg)
    return url


def public_url(url: str) -> str:
    """Return ``url`` without user name, password and fragment: what may be logged and stored."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def page_id(url: str) -> str:
    """Return the stable id of a page: 24 hex digits of the SHA-256 of its URL without user info and fragment."""
    return hashlib.sha256(public_url(url).encode()).hexdigest()[:24]
