"""Reads what opens a page behind a login: ``secret:<job id>``, written by the client, deleted with the job's end.

Headers, cookies, storage state and variables of steps go to the scan engine and nowhere else: no log, no result, no
checkpoint, no message of an error holds any of their values. That a job was given some stands in its hash, and it is
not run without: they may have ended their day before its turn came, and a replay has none.
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
    "the headers, cookies, storage state or variables that the job was given are gone: they are kept for a day, and "
    "neither replayed nor part of a backup; submit it again"
)
LoadSecrets = Callable[[str], Awaitable[Secrets | None]]
"""Return the secrets of a job id; None where it was given none. Raises ``InvalidJob`` where they are gone."""


class SecretFields(BaseModel):
    """The hash, each field a JSON text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    headers: Json[dict[str, str]] = {}
    cookies: Json[list[dict[str, Any]]] = []
    storage_state: Json[dict[str, Any]] = {}
    variables: Json[dict[str, str]] = {}


def secrets_of(redis: Redis, keys: Keys) -> LoadSecrets:
    """Return the loader on a client that stays its owner's."""

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
