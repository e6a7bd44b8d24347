"""Creates search indexes and unwraps RedisVL's errors.

Workers start together and create the same index at the same time, so everything here is idempotent and safe to run
concurrently. ``history.py`` and ``memories.py`` define the indexes. RediSearch is required, and only works in database
0; otherwise ``RedisUnsuitable`` says how to fix it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, TypeVar, cast

import redis.exceptions
from redis.asyncio import Redis
from redisvl.exceptions import RedisSearchError, RedisVLError
from redisvl.index import AsyncSearchIndex

from producer.errors import RedisUnsuitable, ServiceError
from producer.redis.raw_connection import replied
from producer.redis.scripts import as_text

T = TypeVar("T")

_PLAIN: Final = re.compile(r"[a-z0-9._-]{1,64}")
_DIGEST_MARK: Final = "~"
"""Prefix of tags that are digests; plain tags never contain it."""
REBUILD_S: Final = 60.0
"""Longest wait for a rebuilt index; after it the job is retried."""
POLL_S: Final = 0.05
TIMEOUT_MS: Final = 10_000
"""Limit of a search. By default, RediSearch returns after 0.5 s what it has found by then, as if it were all."""


def unquoted(pipe: Any) -> Any:
    """Return the pipeline, whose errors no longer quote the whole command: it holds questions and answers."""

    def leave(*_: object) -> None: ...

    pipe.annotate_exception = leave
    return pipe


@lru_cache(4_096)
def exact_tag(value: str) -> str:
    """Return a tag that matches ``value`` exactly.

    TAG fields split at commas, strip spaces and fold case, a ``|`` in a query means "or", and an empty tag matches
    everything. So a value other than 1 to 64 characters of ``a-z 0-9 . _ -`` is replaced by its digest.
    """
    if _PLAIN.fullmatch(value):
        return value
    return _DIGEST_MARK + sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def is_digest(tag: str) -> bool:
    """Return whether a tag made by ``exact_tag`` is not the value itself."""
    return tag.startswith(_DIGEST_MARK)


async def ensure_index(index: AsyncSearchIndex) -> None:
    """Create ``index`` unless it exists; add missing fields to one of an earlier release.

    Safe to call twice and concurrently. Raises ``RedisUnsuitable`` if Redis cannot search.
    """
    async with search_errors():
        try:
            await index.create(overwrite=False)
        except RedisSearchError as error:  # RedisVL wraps Redis's error
            # Two workers found no index and both created it: the second one gets this error.
            if "index already exists" not in str(error).lower():
                raise
        known = {_name_of(attribute) for attribute in (await index.info())["attributes"]}
        for name in index.schema.fields.keys() - known:
            await _add_field(index, name)


def _name_of(attribute: Sequence[Any]) -> str:
    words = [as_text(word) for word in attribute]
    return words[words.index("attribute") + 1]


async def _add_field(index: AsyncSearchIndex, name: str) -> None:
    field = index.schema.fields[name].as_redis_field()
    try:
        await cast("Any", index.client).execute_command("FT.ALTER", index.name, "SCHEMA", "ADD", *field.redis_args())
    except redis.exceptions.ResponseError as error:
        if "duplicate field" not in str(error).lower():  # another worker was first
            raise


@contextmanager
def redis_errors() -> Generator[None]:
    """Raise the Redis error that RedisVL wrapped, so that callers can retry after a lost connection.

    RedisVL's message repeats the whole command, including the page; Redis's is one line.
    """
    try:
        yield
    except RedisVLError as error:
        cause = error.__cause__
        if isinstance(cause, redis.exceptions.OutOfMemoryError):
            msg = "Redis is over its maxmemory"
            raise redis.exceptions.OutOfMemoryError(msg) from None
        if isinstance(cause, redis.exceptions.RedisError):
            raise cause from None
        raise


@asynccontextmanager
async def search_errors() -> AsyncGenerator[None]:
    """Raise Redis's own errors, and ``RedisUnsuitable`` if Redis cannot search."""
    try:
        with redis_errors():
            yield
    except redis.exceptions.ResponseError as error:
        text = str(error).lower()
        if "unknown command" in text:
            msg = (
                "Redis has no search module (it does not know FT.CREATE): "
                "use redis:8 or Redis Stack, or let `sightline up` install one"
            )
            raise RedisUnsuitable(msg) from error
        if "bad arguments for vector" in text:
            msg = "Redis's search module is older than 2.10 and lacks 16-bit vectors: use redis:8 or Redis Stack 7.4"
            raise RedisUnsuitable(msg) from error
        if "db != 0" in text:
            msg = "Redis can search only in database 0: end REDIS_URL with /0"
            raise RedisUnsuitable(msg) from error
        raise


async def wait_until_indexed(index: AsyncSearchIndex, *, timeout_s: float = REBUILD_S) -> None:
    """Wait until Redis has indexed the documents that existed before ``index``.

    Polls, because Redis sends no signal. Raises ``ServiceError`` after ``timeout_s``: an incomplete index returns part
    of the documents as if it were all.
    """
    try:
        async with search_errors(), asyncio.timeout(timeout_s):
            while int((await replied(index.info()))["indexing"]):  # noqa: ASYNC110  Redis sends no signal
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        msg = f"the index {index.name!r} was lost and is being rebuilt: try again in a minute"
        raise ServiceError(msg) from None


async def on_index(act: Callable[[], Awaitable[T]], rebuild: Callable[[], Awaitable[object]]) -> T:
    """Call ``act``; if its index is missing, call ``rebuild`` and then ``act`` again."""
    async with search_errors():
        try:
            return await act()
        except (RedisSearchError, redis.exceptions.ResponseError) as error:
            if not is_missing_index(error):
                raise
        await rebuild()
        return await act()


async def drop_index(client: Redis, name: str) -> None:
    """Drop an index, but not its documents. Safe to call twice."""
    try:
        await client.execute_command("FT.DROPINDEX", name)
    except redis.exceptions.ResponseError as error:
        if not is_missing_index(error):
            raise


def is_missing_index(error: BaseException) -> bool:
    """Return whether a search failed because its index is missing."""
    text = str(error).lower()
    return "no such index" in text or "unknown index name" in text
