"""One spelling for each web address, so that a page given twice is scanned once. Pure.

As browsers spell them: scheme and host in lower case, names of other scripts as Punycode, no default port, percent
escapes where they are needed and only there. User info, query and fragment stay: a fragment may be a route.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_letters, digits
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from producer.contract import check_url

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNRESERVED: Final = frozenset(ascii_letters + digits + "-._~")
_KEPT: Final = "%!#$&'()*+,/:;=?@[]\\^|~"
"""Besides letters, digits and ``-._~``: what browsers send as it is."""
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_HOST: Final = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]+(%[\w.-]+)?")

_PLAIN: Final = re.compile(r"https?://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,6}(:[1-9]\d{3})?/[A-Za-z0-9._~/-]*")
"""Most addresses are spelled so already; 100,000 of them are told in a tenth of a second."""


def normal_url(text: str) -> str:
    """Return the address in its one spelling; raises ``ValueError`` for what is no absolute http or https URL."""
    if _PLAIN.fullmatch(text):
        return text
    url = check_url(text)
    parts = urlsplit(url)
    host = ascii_host(parts.hostname or "")
    if not _HOST.fullmatch(host):
        msg = (
            f"{url!r} has the host {host[:100]!r}, which is no host name: expected something like https://example.org/"
        )
        raise ValueError(msg)
    place = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _DEFAULT_PORTS[parts.scheme]:
        place += f":{parts.port}"
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(
        (parts.scheme, user + at + place, escaped(parts.path) or "/", escaped(parts.query), escaped(parts.fragment))
    )


def ascii_host(host: str) -> str:
    """Return the host name in ASCII: labels of other scripts as Punycode, as browsers do (UTS 46, non-transitional).

    The standard library's ``idna`` codec is of 2003 and turns ``straße`` into another site's name, ``strasse``.
    """
    plain = unicodedata.normalize("NFKC", host).lower().replace("\u3002", ".")
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in plain.split(".")
    )


def escaped(text: str) -> str:
    """Return a part of an address with the escapes it needs, in capitals, and no others."""
    return _ESCAPE.sub(_one_escape, quote(text, safe=_KEPT))


def _one_escape(found: re.Match[str]) -> str:
    if found[1] is None:
        return "%25"
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else f"%{found[1].upper()}"
