"""A login done once per batch: one scan logs in, and the others reuse its session. A lease in Redis.

The login's storage state is kept with the secrets of jobs (``secret:<id>``), outside backups and history, and expires
after a day like these. A scan that finds a login in progress is requeued (``Busy``). A killed worker's lease expires,
after which its late writes are refused (``take_login.lua``, ``keep_login.lua``).
"""

from __future__ import annotations

import json
import secrets as tokens
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from random import random
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis

from producer.contract import ScanRequest
from producer.errors import Busy
from producer.keys import Keys
from producer.redis.scripts import load_script, run_script
from worker.scan.journey.kept_login import KeptLogin, LoginFailed

TAKE: Final = load_script("worker.limits", "take_login")
KEEP: Final = load_script("worker.limits", "keep_login")
TTL_S: Final = 86_400
MOST_LOGINS: Final = 2
"""Maximum number of logins per batch: the first, and one more if it was lost."""
MOST_WAIT_S: Final = 2.0
_GRACE_S: Final = 15.0
"""Seconds after the scan's deadline until another scan may log in."""

log = structlog.get_logger()


@dataclass(frozen=True)
class BatchLogin:
    """The login of one batch, for one of its scans."""

    redis: Redis
    key: str
    lease_s: float
    token: str = field(default_factory=lambda: tokens.token_hex(8), repr=False)

    async def take(self, *, lost: int) -> KeptLogin | None:
        """Return a login newer than ``lost``; None if this scan must log in.

        After logging in, call ``keep``, ``fail`` or ``release``.

        Raises ``Busy`` while another scan logs in, ``LoginFailed`` if the login failed or was lost too often.
        """
        args = (self.token, int(self.lease_s * 1000), lost, MOST_LOGINS, TTL_S * 1000)
        reply = await run_script(self.redis, TAKE, [self.key], args)
        match reply[0]:
            case b"kept":
                return KeptLogin(int(reply[1]), cast("Mapping[str, Any]", json.loads(reply[2])))
            case b"failed":
                raise LoginFailed(reply[1].decode("utf-8", "replace"))
            case b"spent":
                raise LoginFailed(f"the page still asks for a sign-in after {MOST_LOGINS} logins of the batch")
            case b"wait":
                delay_s = min(int(reply[1]) / 1000, MOST_WAIT_S) * (0.5 + random() / 2)  # noqa: S311  a spread
                raise Busy("another scan of the batch is logging in", delay_s=delay_s)
            case _:
                return None

    async def keep(self, state: Mapping[str, Any]) -> int:
        """Keep the login for the batch; returns its generation, 0 if another scan is logging in instead."""
        generation = await self._end("state", json.dumps(state))
        log.info("login.kept", generation=generation)
        return generation

    async def fail(self, reason: str) -> None:
        """Let the batch's other scans fail with ``reason``: repeated wrong logins may lock the account."""
        await self._end("reason", reason)
        log.info("login.failed")

    async def release(self) -> None:
        """Let another scan log in."""
        await self._end("none", "")

    async def _end(self, what: str, text: str) -> int:
        return int(await run_script(self.redis, KEEP, [self.key], (self.token, what, text, TTL_S * 1000)))


def batch_login(
    redis: Redis, keys: Keys, request: ScanRequest, *, batch: str, variables: Mapping[str, str]
) -> BatchLogin:
    """Return the login of ``request`` in its batch; different steps or values are different logins."""
    asked = request.model_dump(mode="json", include={"login"}, exclude_defaults=True)
    digest = sha256(json.dumps([batch, asked, sorted(variables.items())]).encode()).hexdigest()[:40]
    return BatchLogin(redis, keys.secret(f"login.{digest}"), request.deadline_s + _GRACE_S)
