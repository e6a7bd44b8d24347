"""Settings: read once from the environment, validated, frozen, passed down.

A settings class is a frozen pydantic model; the field ``backlog_limit`` is the variable ``BACKLOG_LIMIT``. The
client's are here; a worker's extend them (``worker/settings.py``) and are read by the same ``read_env``. An empty
variable counts as unset, because that is how Compose and CI systems pass one that nobody set. No message and no
repr shows a password. Nothing else reads ``os.environ``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from producer.errors import SettingsError
from producer.keys import Keys

REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
NEAR_MISS_RATIO: Final = 0.85
"""REDIS_URI and CHAT_MODELS are nearer than this to a setting's name; PATH, REDISCLI_AUTH and such are not."""
DAY_S: Final = 86_400
UNCLEAR: Final = "…"
"""Shown in place of an address whose parts cannot be told apart."""

SettingsT = TypeVar("SettingsT", bound="ClientSettings")


class ClientSettings(BaseModel):
    """What a client needs to know; ``ClientSettings.from_env(os.environ)`` reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Where Redis answers: redis://, rediss:// (TLS) or unix://, database 0 only.

    A wrong host ends every call with RedisUnreachable after the connection timeout. Holds the password, if any:
    show ``public_redis_url`` instead.
    """

    redis_password_file: str = ""
    """File that holds Redis' password, in any characters, such as a secret of Compose or Kubernetes.

    Where REDIS_URL holds one too, the start is refused: one of them would be wrong unseen.
    """

    environment: str = "dev"
    """Name in every key; producers and workers meet only in the same one.

    1 to 32 characters of a-z, 0-9, ``_`` and ``-``. Where they differ, jobs wait for ever.
    """

    backlog_limit: Annotated[int, Field(ge=1)] = 1_000_000
    """Jobs that may wait in one lane before a submit is refused with QueueFull.

    Too high, and Redis fills its memory first; too low, and large batches are refused.
    """

    result_ttl_s: Annotated[int, Field(ge=60)] = 7 * DAY_S
    """Seconds a job, its result and its batch are kept after the end.

    Too short, and a slow caller finds no result; too long, and results (up to 4 MB each) fill the memory.
    """

    fallback_price_in: Annotated[float, Field(ge=0)] = 0.0
    """What the cloud takes for a million tokens of prompt, in a currency of yours; 0 where nobody has said.

    Only ``sightline usage`` reads it; wrong, and its sums are wrong.
    """

    fallback_price_out: Annotated[float, Field(ge=0)] = 0.0
    """What the cloud takes for a million tokens of answer; 0 where nobody has said."""

    memory_limit_share: ClassVar[float] = 0.85
    """Share of Redis' maxmemory over which a submit is refused: the rest is for running jobs to commit."""

    @field_validator("redis_url")
    @classmethod
    def _redis_url_is_usable(cls, url: str) -> str:
        return check_redis_url(url)

    @field_validator("environment")
    @classmethod
    def _environment_is_a_key_part(cls, environment: str) -> str:
        return Keys(environment).environment

    @property
    def public_redis_url(self) -> str:
        """``redis_url`` without user, password and options: what may be shown and logged."""
        return public_redis_url(self.redis_url)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from ``environ``; raises ``SettingsError`` naming every bad variable."""
        return read_env(cls, environ)

    def __repr__(self) -> str:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields["redis_url"] = self.public_redis_url
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

    __str__ = __repr__


def read_env(model_cls: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Return ``model_cls`` filled from the variables of its fields' names in upper case.

    Unset and empty variables leave the default. Raises ``SettingsError``, one line, naming every bad value, what
    was expected and the default.
    """
    given = {name: environ.get(name.upper(), "").strip() for name in model_cls.model_fields}
    values = {name: value for name, value in given.items() if value}
    if path := values.get("redis_password_file"):
        default: str = model_cls.model_fields["redis_url"].default
        values["redis_url"] = with_password_of(path, values.get("redis_url", default))
    try:
        return model_cls.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_describe(error, model_cls, values)) from None


def setting_names(model_cls: type[ClientSettings]) -> frozenset[str]:
    """Return the names of the variables that ``model_cls`` reads."""
    return frozenset(name.upper() for name in model_cls.model_fields)


def misspelt(environ: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return a line for each name in ``environ`` that is none of ``known`` but nearly one, suggesting it.

    Warnings, not errors: the environment holds other programs' variables too.
    """
    names = sorted(set(known))
    lines: list[str] = []
    for given in sorted(set(environ).difference(names)):
        nearest = get_close_matches(given.upper(), names, n=1, cutoff=NEAR_MISS_RATIO)
        if nearest:
            lines.append(f"the environment sets {given!r}, which is not a setting: did you mean {nearest[0]!r}?")
    return tuple(lines)


def check_redis_url(url: str) -> str:
    """Return ``url``; raise ``ValueError`` unless it is a Redis URL of database 0. Never quotes the password."""
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
    return url


def with_password_of(path: str, url: str) -> str:
    """Return ``url`` with the password in the file ``path``, a final line end left out; raises ``SettingsError``."""
    parts = urlsplit(url)
    if parts.password is not None or "password=" in parts.query:
        msg = "REDIS_PASSWORD_FILE and a password in REDIS_URL contradict each other: take one of them away"
        raise SettingsError(msg)
    try:
        password = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
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


_EXPECTED: Final = {
    "int_parsing": "expected a whole number",
    "float_parsing": "expected a number",
    "bool_parsing": "expected 1 or 0",
    "greater_than_equal": "expected at least {ge}",
    "greater_than": "expected more than {gt}",
    "less_than_equal": "expected at most {le}",
    "less_than": "expected less than {lt}",
}


def _describe(error: ValidationError, model_cls: type[ClientSettings], values: Mapping[str, str]) -> str:
    lines: list[str] = []
    for item in error.errors(include_url=False, include_input=False):
        plain = item["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
        context: dict[str, Any] = item.get("ctx", {})
        message = _EXPECTED[item["type"]].format(**context) if item["type"] in _EXPECTED else plain
        if not item["loc"]:
            lines.append(message)
            continue
        name = str(item["loc"][0])
        shown = values.get(name, "")
        if name.endswith("_url"):
            shown = public_redis_url(shown)
        elif "key" in name.split("_"):
            shown = UNCLEAR
        default = model_cls.model_fields[name].default
        lines.append(f"{name.upper()} is {shown!r}: {message} (default: {default!r})")
    return "; ".join(lines)
