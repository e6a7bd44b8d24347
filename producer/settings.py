"""Settings: read once from the environment, validated, frozen, passed down.

A settings class is a frozen dataclass; the field ``backlog_limit`` is the variable ``BACKLOG_LIMIT``. The client's are
here; a worker's extend them (``worker/settings.py``). A field's type says what its variable may hold; ``Annotated``
adds checks, which raise ``ValueError`` with what was expected. An empty variable counts as unset, because that is how
Compose and CI systems pass one that nobody set. No message and no repr shows a password. Nothing else reads
``os.environ``. Plain Python: every command reads settings, and pydantic would be a third of a short one's time
(``ops/decisions/0015-settings-without-pydantic.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal, Self, get_args, get_origin, get_type_hints

from producer.errors import SettingsError
from producer.keys import Keys
from producer.redis_address import (
    UNCLEAR,
    RedisAddress,
    check_redis_url,
    parse_address,
    public_redis_url,
    with_password_of,
)

NEAR_MISS_RATIO: Final = 0.85
"""REDIS_URI and CHAT_MODELS are nearer than this to a setting's name; PATH, REDISCLI_AUTH and such are not."""
DAY_S: Final = 86_400

Check = Callable[[Any], object]

_YES: Final = frozenset({"1", "true", "yes", "on", "y", "t"})
_NO: Final = frozenset({"0", "false", "no", "off", "n", "f"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A check of a number; NaN is within no bounds."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None

    def __call__(self, value: float) -> None:
        """Raise ``ValueError`` for a number out of bounds."""
        if self.ge is not None and not value >= self.ge:
            raise ValueError(f"expected at least {self.ge}")
        if self.gt is not None and not value > self.gt:
            raise ValueError(f"expected more than {self.gt}")
        if self.le is not None and not value <= self.le:
            raise ValueError(f"expected at most {self.le}")


@dataclass(frozen=True, slots=True)
class Variable:
    """One field of a settings class: its type, its checks, its default."""

    name: str
    kind: Any
    checks: tuple[Check, ...]
    default: object

    def value(self, text: str) -> Any:
        """Return what ``text`` says, checked; raises ``SettingsError`` with the whole complaint."""
        try:
            value = _parsed(self.kind, text)
        except ValueError as error:
            raise self._complaint(text, error) from None
        self.check(value, shown=text)
        return value

    def check(self, value: Any, *, shown: str | None = None) -> None:
        """Raise ``SettingsError`` for a value that a check refuses."""
        for check in self.checks:
            try:
                check(value)
            except ValueError as error:
                raise self._complaint(str(value) if shown is None else shown, error) from None

    def _complaint(self, shown: str, error: ValueError) -> SettingsError:
        """Say what is wrong, in one line that holds no password and no key."""
        if self.name.endswith("_url"):
            shown = public_redis_url(shown)
        elif {"key", "secret", "password", "webhooks"} & set(self.name.split("_")):
            shown = UNCLEAR
        return SettingsError(f"{self.name.upper()} is {shown!r}: {error} (default: {self.default!r})")


@cache
def variables_of(settings: type) -> tuple[Variable, ...]:
    """Return the fields of a settings class, a dataclass whose fields all have defaults."""
    hints = get_type_hints(settings, include_extras=True)
    found: list[Variable] = []
    for one in fields(settings):
        assert one.default is not MISSING, one.name  # noqa: S101  a setting that must be given is a mistake of ours
        hint = hints[one.name]
        checks = getattr(hint, "__metadata__", ())
        found.append(Variable(one.name, hint.__origin__ if checks else hint, checks, one.default))
    return tuple(found)


def _parsed(kind: Any, text: str) -> Any:
    if kind is bool:
        if text.lower() not in _YES | _NO:
            raise ValueError("expected 1 or 0")
        return text.lower() in _YES
    if kind is int or kind is float:
        try:
            return kind(text)
        except ValueError:
            raise ValueError("expected a whole number" if kind is int else "expected a number") from None
    if get_origin(kind) is Literal:
        *others, last = map(repr, get_args(kind))
        if text not in get_args(kind):
            raise ValueError(f"expected {', '.join(others)} or {last}")
        return text
    return kind(text)


@dataclass(frozen=True, kw_only=True, repr=False)
class ClientSettings:
    """What a client needs to know; ``ClientSettings.from_env(os.environ)`` reads it."""

    redis_url: Annotated[str, check_redis_url] = field(default="redis://127.0.0.1:6379/0", repr=False)
    """Where Redis answers: redis://, rediss:// (TLS), unix:// or redis+sentinel://, database 0 only.

    A wrong host ends every call with RedisUnreachable after the connection timeout. Holds the password, if any:
    show ``public_redis_url`` instead.
    """

    redis_password_file: str = ""
    """File that holds Redis' password, in any characters, such as a secret of Compose or Kubernetes.

    Read again at each connection, so that a password may be changed without a restart.

    If REDIS_URL contains one too, the start is refused, since one of them would be ignored.
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
    def address(self) -> RedisAddress:
        """``redis_url``, parsed."""
        return parse_address(self.redis_url)

    @property
    def public_redis_url(self) -> str:
        """``redis_url`` without user, password and options: what may be shown and logged."""
        return public_redis_url(self.redis_url)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from ``environ``.

        Unset and empty variables leave the default. Raises ``SettingsError``, one line, naming every bad value, what
        was expected and the default.
        """
        variables = {variable.name: variable for variable in variables_of(cls)}
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
        return cls(**values)

    def __repr__(self) -> str:
        shown = {variable.name: getattr(self, variable.name) for variable in variables_of(type(self))}
        shown["redis_url"] = self.public_redis_url
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    __str__ = __repr__


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
