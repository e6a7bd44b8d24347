"""From the text of a variable to the value of a field, and what is wrong with it in words. Reads no environment.

A field's type says what its variable may hold; ``Annotated`` adds checks, which raise ``ValueError`` with what was
expected. Plain Python: every command reads settings, and pydantic would be a third of a short one's time
(``ops/decisions/0015-settings-without-pydantic.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from producer.errors import SettingsError
from producer.redis_address import UNCLEAR, public_redis_url

Check = Callable[[Any], object]

_YES: Final = frozenset({"1", "true", "yes", "on", "y", "t"})
_NO: Final = frozenset({"0", "false", "no", "off", "n", "f"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A check of a number; NaN is within no bounds."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __call__(self, value: float) -> None:
        """Raise ``ValueError`` for a number out of bounds."""
        if self.ge is not None and not value >= self.ge:
            raise ValueError(f"expected at least {self.ge}")
        if self.gt is not None and not value > self.gt:
            raise ValueError(f"expected more than {self.gt}")
        if self.le is not None and not value <= self.le:
            raise ValueError(f"expected at most {self.le}")
        if self.lt is not None and not value < self.lt:
            raise ValueError(f"expected less than {self.lt}")


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
            value = parsed(self.kind, text)
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
        elif "key" in self.name.split("_"):
            shown = UNCLEAR
        return SettingsError(f"{self.name.upper()} is {shown!r}: {error} (default: {self.default!r})")


@cache
def variables_of(settings: type) -> tuple[Variable, ...]:
    """Return the fields of a settings class, a dataclass whose fields all have defaults."""
    hints = get_type_hints(settings, include_extras=True)
    found: list[Variable] = []
    for field in fields(settings):
        assert field.default is not MISSING, field.name  # noqa: S101  a setting that must be given is a mistake of ours
        hint = hints[field.name]
        checks = getattr(hint, "__metadata__", ())
        found.append(Variable(field.name, hint.__origin__ if checks else hint, checks, field.default))
    return tuple(found)


def parsed(kind: Any, text: str) -> Any:
    """Return ``text`` as a ``kind``; raises ``ValueError`` with what was expected."""
    if kind is bool:
        return _truth(text.lower())
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


def _truth(text: str) -> bool:
    if text not in _YES | _NO:
        raise ValueError("expected 1 or 0")
    return text in _YES
