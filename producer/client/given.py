"""Validates a caller's arguments before anything is sent; errors name the field, its value and what is expected."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from producer.errors import InputError, InvalidJob

MAX_S: Final = 366 * 86_400.0
"""Longest duration accepted: a year, which in milliseconds is far below any limit of Redis."""
MAX_TRIES: Final = 1_000
EVENT_ID: Final = re.compile(r"\d{1,19}(-\d{1,19})?", re.ASCII)


def check_seconds(name: str, given: object, *, error: type[InputError] = InvalidJob) -> float:
    """Return a number of seconds from 0 to ``MAX_S``; raises ``error``."""
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= MAX_S:  # NaN fails both
        return float(given)
    raise error(f"{name}={_shown(given)}: expected seconds, a number from 0 to {MAX_S:,.0f}")


def check_timeout(given: float | None) -> float | None:
    """Return the timeout in seconds, None for no limit; raises ``InputError``."""
    if given is None or given == math.inf:
        return None
    return check_seconds("timeout_s", given, error=InputError)


def check_tries(given: object) -> int:
    """Return a job's number of attempts, 0 for its kind's default; raises ``InvalidJob``."""
    if given is None:
        return 0
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MAX_TRIES:
        return given
    raise InvalidJob(f"tries={_shown(given)}: expected a whole number from 1 to {MAX_TRIES:,}, or None")


def check_text(name: str, given: object) -> str:
    """Return a string; raises ``InvalidJob`` for anything else."""
    if isinstance(given, str):
        return given
    raise InvalidJob(f"{name}={_shown(given)}: expected a string, not {type(given).__name__}")


def check_event_id(given: object) -> str:
    """Return the id of an event, ``0`` or ``$``; raises ``InputError``."""
    if isinstance(given, str) and (given == "$" or EVENT_ID.fullmatch(given)):
        return given
    what = "expected the id of an event such as 1763862000123-0, or 0 for the oldest kept"
    raise InputError(f"since {_shown(given)}: {what}")


def check_arguments(given: object) -> list[Any]:
    """Return positional arguments as a list; raises ``InvalidJob``."""
    if isinstance(given, list | tuple):
        return list(cast("list[Any]", given))
    raise InvalidJob(f"args={_shown(given)}: expected a list or tuple of arguments, not {type(given).__name__}")


def check_secrets(given: object, expected: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return the secrets of a scan; raises ``InvalidJob``, which never contains a value."""
    if not isinstance(given, dict):
        raise InvalidJob(f"secrets: expected a dict with some of {', '.join(expected)}, not {type(given).__name__}")
    secrets = cast("dict[str, Any]", given)
    unknown = sorted(str(name) for name in secrets if name not in expected)
    if unknown:
        raise InvalidJob(f"secrets {', '.join(unknown)}: expected some of {', '.join(expected)}")
    for name, value in secrets.items():
        kinds = expected[name]
        if value is not None and not isinstance(value, kinds):
            raise InvalidJob(f"secrets {name}: expected a {kinds[0].__name__}, not {type(value).__name__}")
    return secrets


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 100 else f"{text[:100]}…"  # noqa: PLR2004  enough to recognise it
