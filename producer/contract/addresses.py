"""Addresses of pages: normalisation, display, and identity of pages. Pure, without pydantic.

Addresses are normalised as in browsers, by the WHATWG's URL standard (``ada-url``, imported only for addresses that are
not normalised already), and further where two spellings are the same page: letters are unescaped, escapes are in
capitals, an empty query and the final dot of a host are dropped. Query parameters keep their order. A fragment that is
a route (``#/pay``, ``#!/pay``) belongs to the page; any other is a position in it and is dropped, except the name of a
state reached by steps (``#:~:state=dialog+open``), written as a fragment directive, which browsers hide from the page.
User info is used for requests, but never stored or shown. Why: ``ops/decisions/0017-one-spelling-of-an-address.md`` and
``0033-a-state-is-an-address.md``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from string import ascii_letters, digits
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit, urlunsplit

_PORT: Final = re.compile(r"\d{1,5}(/|$)", re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNRESERVED: Final = frozenset(ascii_letters + digits + "-._~")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|[0-9a-f:]+")
_BEFORE_QUERY: Final = re.compile(r"[^?#]*")
_MAYBE_USER_INFO: Final = r"(?si)^(\s*(?:[a-z][a-z0-9+.-]*:[/\\]+|[/\\]+|https?:))?.*@"
_ROUTE: Final = ("/", "!/")
_STATE: Final = ":~:state="
"""https://wicg.github.io/scroll-to-text-fragment/#the-fragment-directive: pages do not see the text after ``:~:``."""

_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN: Final = (
    r"(?a)https?://(?![^/]*xn--)"
    rf"(?:(?:[a-z0-9-]{{1,63}}\.){{0,6}}[a-z][a-z0-9-]{{0,62}}|(?:{_BYTE}\.){{3}}{_BYTE})(?::[1-9]\d{{3}})?"
    r"(?:/(?!\.{1,2}(?:[/?#]|$))[A-Za-z0-9._~-]*)+(?:\?[A-Za-z0-9._~/=&+-]+)?(?:#!?/[A-Za-z0-9._~/-]*)?"
)
"""Matches addresses that are already normalised, as most are, and need no parser; compiled on first use."""


def check_url(url: str) -> str:
    """Return ``url`` stripped; raise ``ValueError`` unless it is an absolute http or https URL with a host."""
    url = url.strip()
    if any(unicodedata.category(c) == "Cc" for c in url):
        raise ValueError("the URL contains a control character")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        # The error may quote the password.
        why = "a '/', '?' or '#' in a password is written %2F, %3F, %23" if "@" in url else error
        raise ValueError(f"{hide_user_info(url)!r} is not a URL: {why}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        is_named = parts.scheme and not _PORT.match(parts.path)  # localhost:3000 looks like a scheme
        what = f"has the scheme {parts.scheme!r}" if is_named else "has no scheme"
        raise ValueError(f"{hide_user_info(url)!r} {what}: expected an address that starts with http:// or https://")
    if not host:
        raise ValueError(f"{hide_user_info(url)!r} has no host: expected something like https://example.org/page")
    return url


def normal_url(text: str) -> str:
    """Return the normalised address, including user info; raises ``ValueError`` for an invalid one."""
    if re.fullmatch(_PLAIN, text):
        return text
    import ada_url  # noqa: PLC0415  its library loads slower than a light command runs

    url = check_url(_BEFORE_QUERY.sub(lambda found: found[0].replace("\\", "/"), text, count=1))
    try:
        parts = urlsplit(ada_url.normalize_url(url))
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        parts, host = urlsplit(url), ""
    if not _HOST.fullmatch(host):
        name = (parts.hostname or "")[:100]
        msg = f"{hide_user_info(url)!r} has the host {name!r}, which is not a host name: expected something like https://example.org/"
        raise ValueError(msg)
    user, at, _ = parts.netloc.rpartition("@")
    place = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port is not None else "")
    path, query, route = map(_unescaped, (parts.path, parts.query, _route_of(parts.fragment)))
    return urlunsplit((parts.scheme, user + at + place, path, query, route))


def public_url(url: str) -> str:
    """Return ``url`` for logs and storage: without user info, and without a fragment that is not a route.

    An invalid address, as a page may have one, only loses possible user info.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return hide_user_info(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, _route_of(parts.fragment)))


def hide_user_info(text: str) -> str:
    """Return a possibly invalid address without possible user info, so that no message quotes a password."""
    return re.sub(_MAYBE_USER_INFO, lambda found: f"{found[1] or ''}…@", text)


def split_user_info(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without user info, and the name and password in it, if any."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    return urlunsplit((parts.scheme, host, *parts[2:])), (unquote(name), unquote(password))


def join_user_info(url: str, login: tuple[str, str]) -> str:
    """Return ``url``, which has no user info, with that of ``login``."""
    parts = urlsplit(url)
    user = ":".join(quote(part, safe="") for part in login if part)
    return urlunsplit((parts.scheme, f"{user}@{parts.netloc}", *parts[2:]))


def page_id(url: str) -> str:
    """Return the stable id of a page: 24 hex digits of the SHA-256 of its address without user info.

    An invalid address, such as one in another program's record, has the id of its text.
    """
    try:
        shown = public_url(normal_url(url))
    except ValueError:
        shown = url
    return _digest(shown)


def page_ids(url: str) -> tuple[str, ...]:
    """Return the ids under which records of a page are found: its own, and that of the given spelling.

    Releases until 5e536ef did not normalise addresses, only removed user info and fragment; they had no routes.
    """
    own = page_id(url)
    try:
        normal, parts = normal_url(url), urlsplit(check_url(url))
    except ValueError:
        return (own,)
    if urlsplit(normal).fragment:
        return (own,)
    host = parts.netloc.rpartition("@")[2]
    as_given = _digest(urlunsplit((parts.scheme, host, parts.path, parts.query, "")))
    return tuple(dict.fromkeys((own, as_given)))


def host_of(url: str) -> str:
    """Return the host of ``url``, without port and final dot, as in the history; '' if there is none."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
    if host.isascii():
        return host
    import ada_url  # noqa: PLC0415  as above

    return ada_url.idna_to_ascii(host).decode() or host


def site_of(url: str) -> str:
    """Return a page's site in the history: its host, with the port unless that is the scheme's default.

    Two applications on the same ``localhost`` are two sites. In text without a scheme (``//host:port``), the ports 80
    and 443 are dropped. '' if there is no host.
    """
    host = host_of(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return host
    own = {_DEFAULT_PORTS[parts.scheme]} if parts.scheme in _DEFAULT_PORTS else set(_DEFAULT_PORTS.values())
    if not host or port is None or port in own:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def without_port(site: str) -> str:
    """Return the host of a site: ``localhost`` of ``localhost:3000``, ``::1`` of ``[::1]:3000``."""
    if site.startswith("["):
        return site[1:].partition("]")[0]
    return site.partition(":")[0] if site.count(":") == 1 else site


def any_port(site: str) -> str:
    """Return the pattern of all ports of a site's host: ``localhost:*``."""
    return f"{without_port(site)}:*"


def origin_of(url: str) -> str:
    """Return the origin of an http or https address, without the default port; '' for any other (RFC 6454)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")


def site_name(url: str) -> str:
    """Return the host of an http or https address without ``www.``, with its port unless it is the scheme's default."""
    return origin_of(url).partition("://")[2].removeprefix("www.")


def state_url(url: str, state: str) -> str:
    """Return the address of a state of the page: the page's address, with the state's name, if it has one."""
    if not state or not url:
        return url
    place, _, fragment = url.partition("#")
    return f"{place}#{_route_of(fragment)}{_STATE}{quote_plus(state)}"


def state_of(url: str) -> str:
    """Return the name of the state in an address, '' for the page itself."""
    return unquote_plus(url.partition("#")[2].partition(_STATE)[2])


def stateless(url: str) -> str:
    """Return the page's address for the address of a state."""
    place, _, fragment = url.partition("#")
    route = fragment.partition(_STATE)[0]
    return f"{place}#{route}" if route else place


def leads_elsewhere(asked: str, shown: str) -> bool:
    """Return whether another page was shown; ignores scheme, ``www.``, a final slash, spelling and empty addresses.

    Always false for a state that steps lead to.
    """
    if state_of(asked):
        return False
    try:
        return asked != shown and _place(normal_url(asked)) != _place(normal_url(shown))
    except ValueError:
        return False


def _place(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    return site_name(url), parts.path.rstrip("/"), parts.query, parts.fragment.strip("!/")


def path_of(url: str) -> str:
    """Return a page's path, query and route, which are the same on every host. Invalid addresses are unchanged."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    rest = ((sign, part) for sign, part in (("?", parts.query), ("#", _route_of(parts.fragment))) if part)
    return (parts.path or "/") + "".join(sign + part for sign, part in rest)


def relative_uri(url: str) -> str:
    """Return an address as a relative URI reference: host, then path; query and route are kept, percent-encoded."""
    parts = urlsplit(url)
    path = (parts.netloc.replace(":", "_") + parts.path).rstrip("/") + ("/index" if parts.path in {"", "/"} else "")
    rest = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return quote(path, safe="/%._-~") + quote(rest, safe="%=&._-~")


def _route_of(fragment: str) -> str:
    """Return the part of a fragment that belongs to the page: a route, the name of a state, or both."""
    return fragment if fragment.startswith((*_ROUTE, _STATE)) else ""


def _unescaped(text: str) -> str:
    """Return a part of an address with its escapes in capitals, and without unnecessary ones."""
    return _ESCAPE.sub(_one_escape, text)


def _one_escape(found: re.Match[str]) -> str:
    if found[1] is None:
        return "%25"
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else f"%{found[1].upper()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
