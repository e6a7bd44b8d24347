"""Variables in the values of steps: ``${SHOP_USER}``. Their values are secrets of the job, not in its payload.

Pure, needs no pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from producer.errors import InvalidJob

VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,99})\}")
MAX_VALUE_CHARS: Final = 10_000


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of the variables in a text, each once."""
    return tuple(dict.fromkeys(VARIABLE.findall(text)))


def names_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the variables in the steps and the login of a request's fields."""
    return tuple(dict.fromkeys(name for step in _steps(fields) for name in names_in(str(step.get("value") or ""))))


def check_variables(fields: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ``InvalidJob`` if a variable of the request's steps has no value; values are not quoted."""
    missing = [name for name in names_of(fields) if not given.get(name)]
    if missing:
        names = ", ".join(f"${{{name}}}" for name in missing)
        raise InvalidJob(f"the steps need {names}: pass secrets={{'variables': {{'{missing[0]}': …}}}}")
    wrong = [name for name, value in given.items() if not isinstance(value, str) or len(value) > MAX_VALUE_CHARS]
    if wrong:
        raise InvalidJob(f"variable {wrong[0]!r}: expected a text of up to {MAX_VALUE_CHARS:,} characters")


def _steps(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    login = cast("Mapping[str, Any]", fields.get("login") or {})
    for steps in (fields.get("steps") or (), login.get("steps") or ()):
        yield from cast("list[Mapping[str, Any]]", steps)
