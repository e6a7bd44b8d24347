"""Reads what opens a page behind a login: ``secret:<job id>``, written by the client, deleted with the job's end.

Headers, cookies and storage state go to the scan engine and nowhere else: no log, no result, no checkpoint, no message
of an error holds any of their values.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from producer.errors import InvalidJob
from producer.keys import Keys
from worker.scan.settings import Secrets

LoadSecrets = Callable[[str], Awaitable[Secrets | None]]
"""Return the secrets of a job id; None where it has none."""


class SecretFields(BaseModel):
    """The hash, each field decoded from JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    headers: dict[str, str] = {}
    cookies: list[dict[str, Any]] = []
    storage_state: dict[str, Any] = {}


def secrets_of(redis: Redis, keys: Keys) -> LoadSecrets:
    """Return the loader on a client that stays its owner's."""

    async def load(job_id: str) -> Secrets | None:
        fields = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.secret(job_id)))
        return parse_secrets(fields) if fields else None

    return load


def parse_secrets(fields: Mapping[bytes, bytes]) -> Secrets:
    """Return the secrets; raises ``InvalidJob``, quoting no value."""
    try:
        values = {name.decode(): json.loads(value) for name, value in fields.items()}
        read = SecretFields.model_validate(values)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(item["loc"][0]) for item in error.errors(include_input=False)}))
        msg = f"the job's secrets are not usable: {wrong}; expected headers, cookies and storage_state as in the docs"
        raise InvalidJob(msg) from None
    except ValueError:
        msg = "the job's secrets are not JSON: expected headers, cookies and storage_state, each a JSON text"
        raise InvalidJob(msg) from None
    return Secrets(headers=read.headers, cookies=tuple(read.cookies), storage_state=read.storage_state)
