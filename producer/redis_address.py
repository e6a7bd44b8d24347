"""Parses REDIS_URL, reads its password from a file, and makes it safe to show.

``redis://``, ``rediss://`` (TLS), ``unix://``, and both over Sentinel: ``redis+sentinel://host:port,host:port/service``.
``producer/redis/dial.py`` connects to the address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from producer.errors import SettingsError
from producer.text_file import read_text

UNCLEAR: Final = "…"
"""Shown in place of an address whose parts cannot be identified."""
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MAX_LABEL: Final = 63
"""Characters of a part of a host name (RFC 1035)."""
LEAST_SOCKET_TIMEOUT_S: Final = 15.0
"""A worker's claim and a durable submit wait for Redis for up to 10 s."""
LEAST_CONNECTIONS: Final = 32
"""A worker keeps a connection per lane, script pipe and subscription, and one per job that works on its memory."""

Value = Callable[[str], Any]
"""Returns the value of an option's text; raises ``ValueError`` with what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """A parsed address; ``options`` are arguments of redis-py's connections, ``sentinel_options`` the Sentinels'.

    ``hosts`` are the server's, or the Sentinels' if ``service`` is set; empty if ``path`` is a socket.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    is_tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


def check_redis_url(url: str) -> str:
    """Return ``url``; raise ``ValueError`` unless it is database 0 of a Redis, in RESP2. Never quotes the password."""
    parse_address(url)
    return url


def parse_address(url: str) -> RedisAddress:
    """Return the parsed ``url``; raises ``ValueError`` as ``check_redis_url`` does."""
    if public_redis_url(url) == UNCLEAR or urlsplit(url).fragment:
        msg = (
            "expected an address such as redis://127.0.0.1:6379/0; "
            "a '/', '#', '?' or '@' in a password is written %2F, %23, %3F, %40"
        )
        raise ValueError(msg)
    parts = urlsplit(url)
    scheme, _, through = parts.scheme.partition("+")
    is_socket, is_sentinel = parts.scheme == "unix", through == "sentinel"
    if is_socket and parts.netloc.rpartition("@")[2]:
        raise ValueError("a socket has no host: expected three slashes, as in unix:///run/redis.sock")
    hosts = () if is_socket else _hosts(parts.netloc.rpartition("@")[2], SENTINEL_PORT if is_sentinel else REDIS_PORT)
    is_known = scheme in {"redis", "rediss"} if not through or is_sentinel else False
    if not (parts.path if is_socket else hosts and is_known) or (len(hosts) > 1 and not is_sentinel):
        msg = (
            "expected an address such as redis://127.0.0.1:6379/0, rediss://host:6380/0, unix:///run/redis.sock or "
            "redis+sentinel://host:26379,host:26379/service"
        )
        raise ValueError(msg)
    segments = [] if is_socket else [unquote(part) for part in parts.path.strip("/").split("/") if part]
    service = segments.pop(0) if is_sentinel and segments else ""
    if is_sentinel and not service:
        raise ValueError("expected the name of the service behind the Sentinels: redis+sentinel://host:26379/service")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    _zero(given.pop("db", "/".join(segments)) or "0")
    options, sentinel_options = _options(given, is_tls=scheme == "rediss", is_sentinel=is_sentinel)
    user, has_password, password = parts.netloc.rpartition("@")[0].partition(":")
    if user:
        options["username"] = unquote(user)
    if has_password:
        options["password"] = unquote(password)
    return RedisAddress(
        hosts=hosts,
        path=unquote(parts.path) if is_socket else "",
        service=service,
        is_tls=scheme == "rediss",
        options=options,
        sentinel_options=sentinel_options,
    )


def _hosts(netloc: str, port: int) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports; () if one of them has no name."""
    found: list[tuple[str, int]] = []
    for one in netloc.split(","):
        parts = urlsplit(f"//{one}")
        if not parts.hostname:
            return ()
        # Python's resolver raises no OSError for such names.
        if not all(map(_is_label, parts.hostname.removesuffix(".").split("."))):
            raise ValueError(
                f"{parts.hostname!r} is not a host name: expected 1 to {MAX_LABEL} characters between dots"
            )
        if parts.port == 0:
            raise ValueError("port 0: expected 1 to 65535")
        found.append((parts.hostname, parts.port or port))
    return tuple(found)


def _is_label(text: str) -> bool:
    try:
        return 1 <= len(text if text.isascii() else text.encode("idna")) <= MAX_LABEL
    except UnicodeError:
        return False


def _options(given: Mapping[str, str], *, is_tls: bool, is_sentinel: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the checked options, and those of the Sentinels."""
    known = {**_OPTIONS, **(_OF_SENTINELS if is_sentinel else {})}
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            raise ValueError(_unknown(name, known))
        if name.startswith("ssl_") and not is_tls:
            raise ValueError(f"the option {name!r} is for TLS, but the address is not rediss://")
        if not text:
            raise ValueError(f"the option {name!r} is empty: give it a value, or remove it")
        try:
            options[name] = known[name](text)
        except ValueError as error:
            shown = UNCLEAR if name.endswith("password") else text
            raise ValueError(f"the option {name}={shown}: {error}") from None
    ours = {name.removeprefix("sentinel_"): options.pop(name) for name in _OF_SENTINELS if name in options}
    return options, ours


def _unknown(name: str, known: Mapping[str, Value]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  needed only after a typing error

    if near := get_close_matches(name.lower(), known, n=1):
        return f"the option {name!r} is unknown: did you mean {near[0]!r}?"
    return f"the option {name!r} is unknown; known are {', '.join(sorted(known))}"


# ---------------------------------------------------------------------------------------------- values of options


def _zero(text: str) -> None:
    if not (text.isdecimal() and int(text) == 0):
        raise ValueError(f"database {text!r}, but search works on database 0 only: end the address with /0")


def _only(*values: str, why: str) -> Value:
    def read(text: str) -> str:
        if text.lower() not in values:
            raise ValueError(why)
        return text.lower()

    return read


def _number(kind: type[int | float], least: float, why: str) -> Value:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError("expected a whole number" if kind is int else "expected seconds") from None
        if not least <= value < float("inf"):
            raise ValueError(f"expected at least {least:g}: {why}")
        return value

    return read


def _file(text: str) -> str:
    try:
        Path(text).open("rb").close()
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from None
    return text


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0", "yes", "no"}:
        raise ValueError("expected true or false")
    return text.lower() in {"true", "1", "yes"}


def _tls_version(text: str) -> Any:
    import ssl  # noqa: PLC0415  only if requested

    versions = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
    if text not in versions:
        raise ValueError("expected TLSv1.2 or TLSv1.3")
    return versions[text]


_NO_DECODING: Final = "replies are always read as bytes: remove it from the address"
_OPTIONS: Final[dict[str, Value]] = {
    "db": _zero,
    "username": str,
    "password": str,
    "client_name": str,
    "protocol": _only("2", why="redis-py can read search replies only in RESP2: remove it from the address"),
    "decode_responses": _only("false", "0", "no", why=_NO_DECODING),
    "encoding": _only("utf-8", "utf8", why="keys and payloads are UTF-8: remove it from the address"),
    "encoding_errors": _only("strict", why="text that is not UTF-8 must not be written: remove it from the address"),
    "socket_timeout": _number(
        float, LEAST_SOCKET_TIMEOUT_S, "workers and durable submits wait for Redis for up to 10 s"
    ),
    "socket_connect_timeout": _number(float, 0.1, "connecting to a nearby server takes that long"),
    "socket_keepalive": _flag,
    "retry_on_timeout": _flag,
    "health_check_interval": _number(int, 0, "0 means never"),
    "max_connections": _number(int, LEAST_CONNECTIONS, "a worker keeps about ten, and one more for each of its jobs"),
    "ssl_keyfile": _file,
    "ssl_certfile": _file,
    "ssl_ca_certs": _file,
    "ssl_ca_data": str,
    "ssl_cert_reqs": _only("required", "optional", "none", why="expected required, optional or none"),
    "ssl_check_hostname": _flag,
    "ssl_min_version": _tls_version,
    "ssl_ciphers": str,
}
_OF_SENTINELS: Final[dict[str, Value]] = {"sentinel_username": str, "sentinel_password": str}
_OURS: Final = ("protocol", "decode_responses", "encoding", "encoding_errors", "retry_on_timeout")
"""Options that are accepted because they state the default."""


def connection_options(address: RedisAddress) -> dict[str, Any]:
    """Return the options that are passed to redis-py's connections."""
    return {name: value for name, value in address.options.items() if name not in _OURS}


# ---------------------------------------------------------------------------------------------- passwords


def with_password_of(path: str, url: str) -> str:
    """Return ``url`` with the password in the file ``path``; raises ``SettingsError``."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # ``check_redis_url`` refuses it
    if ":" in parts.netloc.rpartition("@")[0] or "password=" in parts.query.replace("sentinel_password=", ""):
        msg = "REDIS_PASSWORD_FILE and a password in REDIS_URL contradict each other: remove one of them"
        raise SettingsError(msg)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password_in(path), safe='')}@{host}"))


def password_in(path: str) -> str:
    """Return the password in the file ``path``, without a final line end; raises ``SettingsError``."""
    try:
        password = read_text(path).rstrip("\r\n")
    except OSError as error:
        why = f"which cannot be read ({error.strerror})"
        msg = f"REDIS_PASSWORD_FILE is {path!r}, {why}: expected a file with the password only"
        raise SettingsError(msg) from None
    if not password:
        msg = f"REDIS_PASSWORD_FILE is {path!r}, which is empty: write the password into it"
        raise SettingsError(msg)
    return password


def public_redis_url(url: str) -> str:
    """Return ``url`` without user, password and options, or ``UNCLEAR`` if the password could be anywhere."""
    try:
        parts = urlsplit(url)
        for one in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{one}").port
    except ValueError:
        return UNCLEAR
    rest = f"{parts.path}?{parts.query}#{parts.fragment}"
    if "@" in rest or not parts.scheme or "://" not in url:
        return UNCLEAR if "@" in url or "?" in url else url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
