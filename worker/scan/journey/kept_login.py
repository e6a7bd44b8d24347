"""A batch's login for one scan: already stored by another scan, or to be done by this one. Plain records, no I/O.

``worker/limits/batch_login.py`` stores it; ``sign_in.py`` logs in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class LoginFailed(Exception):
    """The login of a batch failed, or was lost too often; the message says why."""


@dataclass(frozen=True, slots=True)
class KeptLogin:
    """A login done by a scan of the batch; ``generation`` counts the batch's logins."""

    generation: int
    state: Mapping[str, Any] = field(repr=False)


class LoginKeeper(Protocol):
    """Stores the login of a batch."""

    async def take(self, *, lost: int) -> KeptLogin | None:
        """Return a login newer than ``lost``; None if the caller must log in. Raises ``LoginFailed``, ``Busy``."""
        ...

    async def keep(self, state: Mapping[str, Any]) -> int:
        """Store a login; returns its generation."""
        ...

    async def fail(self, reason: str) -> None:
        """Record that the login failed."""
        ...

    async def release(self) -> None:
        """Let another scan log in."""
        ...


class NoKeeper:
    """Stores nothing: a scan without a batch logs in itself, at most twice."""

    def __init__(self) -> None:
        self._logins = 0

    async def take(self, *, lost: int) -> KeptLogin | None:
        """Return None, so that the caller logs in; raises ``LoginFailed`` the third time."""
        if lost > 1:
            raise LoginFailed("the page still asks for a sign-in after 2 logins")
        return None

    async def keep(self, state: Mapping[str, Any]) -> int:
        """Count the login."""
        del state
        self._logins += 1
        return self._logins

    async def fail(self, reason: str) -> None:
        """Store nothing."""

    async def release(self) -> None:
        """Release nothing."""
