"""Reads a job's credentials: ``secret:<job id>``, written by the client, deleted when the job ends.

Headers, cookies, storage state and variables of steps go only to the scan engine: no log, result, checkpoint or error
message contains their values. The job's hash records that it was given secrets, and the job does not run without them:
they may have expired, and a replay has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Json, ValidationError
from redis.asyncio import Redis

from producer.errors import InvalidJob
from producer.keys import Keys
from worker.scan.settings import Secrets

GONE: Final = (
    "the headers, cookies, storage state or variables of the job are gone: they are kept for a day, and "
    "are neither replayed nor backed up; submit it again"
)
LoadSecrets = Callable[[str], Awaitable[Secrets | None]]
"""Return the secrets of a job id; None if it was given none. Raises ``InvalidJob`` if they are gone."""


class SecretFields(BaseModel):
    """The hash, each field a JSON text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    headers: Json[dict[str, str]] = {}
    cookies: Json[list[dict[str, Any]]] = []
    storage_state: Json[dict[str, Any]] = {}
    variables: Json[dict[str, str]] = {}


def secrets_of(redis: Redis, keys: Keys) -> LoadSecrets:
    """Return a function that loads a job's secrets with this client, which it does not close."""

    async def load(job_id: str) -> Secrets | None:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.secret(job_id))
            pipe.hexists(keys.job(job_id), "secrets")
            fields, was_given = await pipe.execute()
        if was_given and not fields:
            raise InvalidJob(GONE)
        return parse_secrets(fields) if fields else None

    return load


def parse_secrets(fields: Mapping[bytes, bytes]) -> Secrets:
    """Return the secrets; raises ``InvalidJob``, quoting no value."""
    try:
        read = SecretFields.model_validate({name.decode(errors="replace"): value for name, value in fields.items()})
    except ValidationError as error:
        wrong = ", ".join(sorted({str(item["loc"][0]) for item in error.errors(include_input=False)}))
        msg = (
            f"the job's secrets cannot be used: {wrong}; expected headers, cookies, storage_state and variables as JSON"
        )
        raise InvalidJob(msg) from None
    return Secrets(
        headers=read.headers,
        cookies=tuple(read.cookies),
        storage_state=read.storage_state,
        variables=read.variables,
    )
