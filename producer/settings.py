"""Settings: read once from the environment, validated, frozen, passed down.

A settings class is a frozen dataclass; the field ``backlog_limit`` is the variable ``BACKLOG_LIMIT``. The client's are
here; a worker's extend them (``worker/settings.py``) and are read by the same ``read_env``. An empty variable counts as
unset, because that is how Compose and CI systems pass one that nobody set. No message and no repr shows a password.
Nothing else reads ``os.environ``. How a text becomes a value is in ``variables.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from producer.errors import SettingsError
from producer.keys import Keys
from producer.redis_address import check_redis_url, public_redis_url, with_password_of
from producer.variables import Within, variables_of

NEAR_MISS_RATIO: Final = 0.85
"""REDIS_URI and CHAT_MODELS are nearer than this to a setting's name; PATH, REDISCLI_AUTH and such are not."""
DAY_S: Final = 86_400

SettingsT = TypeVar("SettingsT", bound="ClientSettings")


@dataclass(frozen=True, kw_only=True, repr=False)
class ClientSettings:
    """What a client needs to know; ``ClientSettings.from_env(os.environ)`` reads it."""

    redis_url: Annotated[str, check_redis_url] = field(default="redis://127.0.0.1:6379/0", repr=False)
    """Where Redis answers: redis://, rediss:// (TLS) or unix://, database 0 only.

    A wrong host ends every call with RedisUnreachable after the connection timeout. Holds the password, if any:
    show ``public_redis_url`` instead.
    """

    redis_password_file: str = ""
    """File that holds Redis' password, in any characters, such as a secret of Compose or Kubernetes.

    Where REDIS_URL holds one too, the start is refused: one of them would be wrong unseen.
    """

    environment: Annotated[str, Keys] = "dev"
    """Name in every key; producers and workers meet only in the same one.

    1 to 32 characters of a-z, 0-9, ``_`` and ``-``. Where they differ, jobs wait for ever.
    """

    backlog_limit: Annotated[int, Within(ge=1)] = 1_000_000
    """Jobs that may wait in one lane before a submit is refused with QueueFull.

    Too high, and Redis fills its memory first; too low, and large batches are refused.
    """

    result_ttl_s: Annotated[int, Within(ge=60)] = 7 * DAY_S
    """Seconds a job, its result and its batch are kept after the end.

    Too short, and a slow caller finds no result; too long, and results (up to 4 MB each) fill the memory.
    """

    fallback_price_in: Annotated[float, Within(ge=0)] = 0.0
    """What the cloud takes for a million tokens of prompt, in a currency of yours; 0 where nobody has said.

    Only ``sightline usage`` reads it; wrong, and its sums are wrong.
    """

    fallback_price_out: Annotated[float, Within(ge=0)] = 0.0
    """What the cloud takes for a million tokens of answer; 0 where nobody has said."""

    memory_limit_share: ClassVar[float] = 0.85
    """Share of Redis' maxmemory over which a submit is refused: the rest is for running jobs to commit."""

    def __post_init__(self) -> None:
        for variable in variables_of(type(self)):
            variable.check(getattr(self, variable.name))

    @property
    def public_redis_url(self) -> str:
        """``redis_url`` without user, password and options: what may be shown and logged."""
        return public_redis_url(self.redis_url)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from ``environ``; raises ``SettingsError`` naming every bad variable."""
        return read_env(cls, environ)

    def __repr__(self) -> str:
        fields = {variable.name: getattr(self, variable.name) for variable in variables_of(type(self))}
        fields["redis_url"] = self.public_redis_url
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

    __str__ = __repr__


def read_env(settings_cls: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Return ``settings_cls`` filled from the variables of its fields' names in upper case.

    Unset and empty variables leave the default. Raises ``SettingsError``, one line, naming every bad value, what
    was expected and the default.
    """
    variables = {variable.name: variable for variable in variables_of(settings_cls)}
    given = {name: text for name in variables if (text := environ.get(name.upper(), "").strip())}
    if path := given.get("redis_password_file"):
        given["redis_url"] = with_password_of(path, given.get("redis_url", str(variables["redis_url"].default)))
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for name, text in given.items():
        try:
            values[name] = variables[name].value(text)
        except SettingsError as error:
            complaints.append(str(error))
    if complaints:
        raise SettingsError("; ".join(complaints))
    return settings_cls(**values)


def setting_names(settings_cls: type[ClientSettings]) -> frozenset[str]:
    """Return the names of the variables that ``settings_cls`` reads."""
    return frozenset(variable.name.upper() for variable in variables_of(settings_cls))


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
