"""The dead-letter stream: jobs whose every attempt failed, and malformed entries. List, show, replay, drop.

A letter is named by its entry id in the stream or by its job's id. Replaying queues the job again with its attempts
reset; it no longer belongs to a batch, and its secrets are gone (a scan behind a login must be submitted again).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final, cast

from producer.client.client import Client
from producer.client.queue_view import unknown
from producer.contract import Lane
from producer.errors import InvalidJob, UnknownJob
from producer.redis.connection import redis_errors
from producer.redis.scripts import load_script, run_script

REPLAY: Final = load_script("producer.stored", "replay")
PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry of the dead-letter stream. ``at_ms`` is Redis time; ``raw`` holds fields that belong to no job."""

    entry: str
    at_ms: int
    job_id: str
    kind: str
    lane: str
    attempts: int
    error: str
    reason: str
    payload: str
    raw: Mapping[str, str]

    @classmethod
    def of(cls, entry: str, fields: Mapping[bytes, bytes]) -> DeadLetter:
        """Decode a stream entry; bytes that are not UTF-8 are escaped."""
        text = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
        attempts = text.get("attempts", "0")
        return cls(
            entry=entry,
            at_ms=int(entry.partition("-")[0]),
            job_id=text.get("id", ""),
            kind=text.get("kind", ""),
            lane=text.get("lane", Lane.BATCH),
            attempts=int(attempts) if attempts.isdecimal() else 0,
            error=text.get("error", ""),
            reason=text.get("reason", ""),
            payload=text.get("payload", ""),
            raw={name.removeprefix("raw:"): value for name, value in text.items() if name.startswith("raw:")},
        )


class DeadLetters:
    """The dead-letter stream of a client's environment."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._redis = client.redis
        self._key = client.keys.dead

    async def newest_first(self) -> AsyncIterator[DeadLetter]:
        """Yield every letter, newest first; memory is bounded."""
        upper = "+"
        while True:
            with redis_errors(self._client.settings, None):
                rows = cast("list[Any]", await self._redis.xrevrange(self._key, max=upper, count=PAGE))
            for entry, fields in rows:
                yield DeadLetter.of(entry.decode(), fields)
            if len(rows) < PAGE:
                return
            upper = f"({rows[-1][0].decode()}"

    async def find(self, name: str) -> DeadLetter:
        """Return the newest letter whose entry id or job id is ``name``; raises ``UnknownJob``."""
        async for letter in self.newest_first():
            if name in {letter.entry, letter.job_id}:
                return letter
        raise unknown(f"dead letter {name!r}", self._client.keys, see="dead list")

    async def replay(self, letter: DeadLetter) -> str:
        """Queue the letter's job again and remove the letter; returns the job's id.

        Raises ``UnknownJob`` for a letter that is gone, ``InvalidJob`` if a job with that id is active again, or if the
        letter is of no job: it would be refused again, and lose its fields.
        """
        if not letter.kind:
            msg = f"dead letter {letter.entry!r} is of no job, since its entry names no kind: see 'sightline dead show'"
            raise InvalidJob(msg)
        keys = self._client.keys
        lane = letter.lane if letter.lane in set(Lane) else Lane.BATCH
        named = (self._key, keys.job(letter.job_id), keys.lane(lane), keys.result(letter.job_id))
        with redis_errors(self._client.settings, lambda: f"job {letter.job_id!r} may have been queued again"):
            answer = await run_script(self._redis, REPLAY, named, (letter.entry, letter.job_id, lane, token_hex(4)))
        if answer == b"gone":
            msg = f"dead letter {letter.entry!r} is gone: it was replayed or dropped"
            raise UnknownJob(msg)
        if answer == b"busy":
            msg = f"job {letter.job_id!r} is not dead: it was replayed or submitted again"
            raise InvalidJob(msg)
        return letter.job_id

    async def drop(self, letter: DeadLetter) -> None:
        """Remove the letter; the job's result still says that it died, until it expires."""
        with redis_errors(self._client.settings, lambda: f"dead letter {letter.entry!r} may have been dropped"):
            await self._redis.xdel(self._key, letter.entry)
