"""Settings: read once from the environment, validated, frozen, passed down.

A settings class is a frozen dataclass; the field ``backlog_limit`` is the variable ``BACKLOG_LIMIT``. The client's are
here; a worker's extend them (``worker/settings.py``). A field's type defines the values of its variable; ``Annotated``
adds checks, which raise ``ValueError`` with what was expected. An empty variable counts as unset, because Compose and
CI systems pass unset variables that way. No message and no repr shows a password. Nothing else reads ``os.environ``.
Plain Python: every command reads settings, and pydantic would be a third of a short one's time
(``ops/decisions/0015-settings-without-pydantic.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, get_args, get_origin, get_type_hints

from producer.contract.nearest import nearest
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
"""REDIS_URI and CHAT_MODELS are closer than this to a setting's name; PATH, REDISCLI_AUTH and the like are not."""
DAY_S: Final = 86_400
LARGEST: Final = 10**12
"""Of every number. Redis refuses a time to live beyond 9e15 s, in the middle of a commit; ``inf`` is no number of s."""

Check = Callable[[Any], object]

_YES: Final = frozenset({"1", "true", "yes", "on", "y", "t"})
_NO: Final = frozenset({"0", "false", "no", "off", "n", "f"})


class Within(NamedTuple):
    """A check of a number's bounds, which NaN never passes."""

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


class Variable(NamedTuple):
    """One field of a settings class: its type, its checks, its default."""

    name: str
    kind: Any
    checks: tuple[Check, ...]
    default: object

    def value(self, text: str) -> Any:
        """Return the checked value of ``text``; raises ``SettingsError`` with the full message."""
        try:
            value = _parsed(self.kind, text)
        except ValueError as error:
            raise self._complaint(text, error) from None
        self.check(value, shown=text)
        return value

    def check(self, value: Any, *, shown: str | None = None) -> None:
        """Raise ``SettingsError`` if a check refuses the value."""
        for check in self.checks:
            try:
                check(value)
            except ValueError as error:
                raise self._complaint(str(value) if shown is None else shown, error) from None

    def _complaint(self, shown: str, error: ValueError) -> SettingsError:
        """Return a one-line message that contains no password and no key."""
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
        assert one.default is not MISSING, one.name  # noqa: S101  every setting has a default
        hint = hints[one.name]
        checks = getattr(hint, "__metadata__", ())
        kind = hint.__origin__ if checks else hint
        largest = (Within(le=LARGEST),) if kind in {int, float} else ()
        found.append(Variable(one.name, kind, (*checks, *largest), one.default))
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
    """The settings of a client; ``ClientSettings.from_env(os.environ)`` reads it."""

    redis_url: Annotated[str, check_redis_url] = field(default="redis://127.0.0.1:6379/0", repr=False)
    """Address of Redis: redis://, rediss:// (TLS), unix:// or redis+sentinel://, database 0 only.

    With a wrong host, every call fails with RedisUnreachable after the connection timeout. Contains the password, if
    any: show ``public_redis_url`` instead.
    """

    redis_password_file: str = ""
    """File with the password of Redis, in any characters, such as a secret of Compose or Kubernetes.

    Read again for each connection, so that the password can be changed without a restart.

    If REDIS_URL contains one too, the start is refused, since one of them would be ignored.
    """

    environment: Annotated[str, Keys] = "dev"
    """Name in every key; clients and workers must use the same one.

    1 to 32 characters of a-z, 0-9, ``_`` and ``-``. If they differ, jobs wait forever.
    """

    backlog_limit: Annotated[int, Within(ge=1)] = 1_000_000
    """Maximum number of jobs waiting in a lane; beyond it, a submit is refused with QueueFull.

    If too high, Redis fills its memory first; if too low, large batches are refused.
    """

    result_ttl_s: Annotated[int, Within(ge=60)] = 7 * DAY_S
    """Seconds for which a job, its result and its batch are kept after the end.

    If too short, a slow caller finds no result; if too long, results (up to 4 MB each) fill the memory.
    """

    fallback_price_in: Annotated[float, Within(ge=0)] = 0.0
    """The cloud's price per million prompt tokens, in any currency; 0 if not set.

    Only used by ``sightline usage``, whose sums depend on it.
    """

    fallback_price_out: Annotated[float, Within(ge=0)] = 0.0
    """The cloud's price per million output tokens; 0 if not set."""

    memory_limit_share: ClassVar[float] = 0.85
    """Share of Redis's maxmemory above which a submit is refused; the rest is reserved for running jobs to commit."""

    def __post_init__(self) -> None:
        for variable in variables_of(type(self)):
            variable.check(getattr(self, variable.name))

    @property
    def address(self) -> RedisAddress:
        """``redis_url``, parsed."""
        return parse_address(self.redis_url)

    @property
    def public_redis_url(self) -> str:
        """``redis_url`` without user, password and options, safe to show and log."""
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
    """Return a line for each name in ``environ`` that is not in ``known`` but similar to one, suggesting that one.

    Warnings, not errors: the environment also has other programs' variables.
    """
    names = sorted(set(known))
    lines: list[str] = []
    for given in sorted(set(environ).difference(names)):
        may_be = [name for name in names if _may_be(given.upper(), name)]
        if meant := may_be and nearest(given.upper(), may_be, cutoff=NEAR_MISS_RATIO):
            lines.append(f"the environment sets {given!r}, which is not a setting: did you mean {meant!r}?")
    return tuple(lines)


def _may_be(given: str, name: str) -> bool:
    """Return whether two names share enough letters to be similar; ``difflib`` takes 4 ms for an environment."""
    both = len(given) + len(name)
    if 2 * min(len(given), len(name)) < NEAR_MISS_RATIO * both:
        return False
    return 2 * (Counter(given) & Counter(name)).total() >= NEAR_MISS_RATIO * both
