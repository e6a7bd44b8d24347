"""Keeps the steps of graphs in Redis: ``AsyncRedisSaver`` on the shared client, fit for many workers.

A thread id begins with the environment, because one of the saver's keys has no prefix. A scan's thread is deleted at
its job's end; conversations live until nobody has spoken for their TTL. What is kept of a step is JSON
(``worker/agent/state.py`` says what JSON does to values).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar, cast

import redis.exceptions
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from langgraph.checkpoint.redis.key_registry import AsyncCheckpointKeyRegistry
from redis.asyncio import Redis
from redisvl.exceptions import RedisSearchError
from redisvl.query import FilterQuery
from redisvl.query.filter import Tag

from producer.keys import Keys
from producer.redis.scripts import Arg, Script, as_text, load_script, run_script
from worker.limits.conversation_hold import Hold, thread_lost
from worker.memory.vectors.indexes import on_index, redis_errors, search_errors, wait_until_indexed

T = TypeVar("T")
SaverT = TypeVar("SaverT", bound="SharedSaver")
Put = Callable[[], Awaitable[RunnableConfig]]

STEP: Final = load_script("worker.memory", "thread_step")
FORGET: Final = load_script("worker.memory", "thread_forget")

SCAN_TTL_S: Final = 3_600
"""How long an interrupted scan may be continued: later, what was read of the page is no longer news."""
MOST_STEPS: Final = 10_000
"""Of one conversation, deleted at a time: a turn has ten or so."""
FORGOTTEN_AT_ONCE: Final = 1_000
SETUP_TRIES: Final = 5
"""Each try loses at most one of the two indexes to another worker; the rest is margin."""
WRITES: Final = {"JSON.SET", "JSON.MERGE", "ZADD", "SET"}

_HOLD: ContextVar[Hold | None] = ContextVar("hold", default=None)
_IS_ASIDE: ContextVar[bool] = ContextVar("is_aside", default=False)


class _Expiring:
    """A client that sends the TTL of what it writes along with it.

    langgraph-checkpoint-redis 0.5.2 sends it afterwards: a worker killed, or a server replaced, in between left keys
    for ever. So did a worker that was frozen until its step was pruned. To be removed when the saver does so itself.
    """

    def __init__(self, client: Redis, ttl_s: int) -> None:
        self._client = client
        self._ttl_s = ttl_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def set(self, name: Any, value: Any, **options: Any) -> Any:
        """Write a string."""
        client: Any = self._client
        return client.set(name, value, **{"ex": self._ttl_s, **options})

    def pipeline(self, *args: Any, **options: Any) -> Any:
        """Return redis-py's pipeline; the replies are those of its own commands."""
        pipe: Any = self._client.pipeline(*args, **options)
        execute = pipe.execute

        async def send(raise_on_error: bool = True) -> list[Any]:
            commands = [command for command, _ in pipe.command_stack]
            for key in dict.fromkeys(command[1] for command in commands if command[0] in WRITES):
                pipe.expire(key, self._ttl_s)
            return (await execute(raise_on_error=raise_on_error))[: len(commands)]

        pipe.execute = send
        return pipe


class SharedSaver(AsyncRedisSaver):
    """An ``AsyncRedisSaver`` that raises Redis' own errors, so that a lost connection is tried again.

    Indexes that were dropped under the running worker are made again: the steps are still there.

    langgraph-checkpoint-redis 0.5.2 remembers the first 10,000 keys that it makes, though none is asked for again once
    its job has ended: 3.5 MB a saver. Keys are put together anew here; to be removed when that cache forgets.
    """

    def _make_redis_checkpoint_key_cached(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> str:
        return self._make_redis_checkpoint_key(thread_id, checkpoint_ns, checkpoint_id)

    def _make_redis_checkpoint_writes_key_cached(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, task_id: str, idx: int | None
    ) -> str:
        return self._make_redis_checkpoint_writes_key(thread_id, checkpoint_ns, checkpoint_id, task_id, idx)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the newest step of a thread, or the one that ``config`` names."""
        return await self._indexed(partial(super().aget_tuple, config))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        stream_mode: str = "values",
    ) -> RunnableConfig:
        """Keep a step."""
        put = partial(super().aput, config, checkpoint, metadata, new_versions, stream_mode)
        about = {**config.get("configurable", {}), "checkpoint_id": checkpoint["id"]}
        return await self._put(partial(self._indexed, put), {**config, "configurable": about})

    async def _put(self, put: Put, named: RunnableConfig) -> RunnableConfig:
        """Keep a step by ``put``, which returns ``named``: the config that names the step."""
        del named
        return await put()

    def expire_at_once(self, client: Redis, ttl_s: int) -> None:
        """Send TTLs along with what ``client`` writes; once set up, as redisvl's indexes take no other client."""
        self._redis = cast("Any", _Expiring(client, ttl_s))

    @property
    def _ttl_s(self) -> int:
        return round((self.ttl_config or {})["default_ttl"] * 60)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all that is kept of a thread."""
        await self._indexed(partial(super().adelete_thread, thread_id))

    async def keep_newest(self, thread_id: str) -> None:
        """Delete all steps of a thread but the one written last, which holds all of a conversation. Safe to repeat.

        langgraph-checkpoint-redis 0.5.2 has ``aprune``, which keeps the step of the highest id. Ids are made of the
        clock of whoever wrote: that of a worker whose clock is behind was deleted, and the conversation with it.
        """
        await self._indexed(partial(self._keep_newest, thread_id))

    async def _keep_newest(self, thread_id: str) -> None:
        newest = await cast("Any", self._redis).get(self._make_redis_checkpoint_latest_key(thread_id, ""))
        steps = await self.checkpoints_index.search(
            FilterQuery(
                filter_expression=Tag("thread_id") == thread_id,
                return_fields=["checkpoint_id"],
                num_results=MOST_STEPS,
            )
        )
        old = [step for step in steps.docs if newest and step.id != as_text(newest)]
        gone = [step.id for step in old]
        writes = cast("AsyncCheckpointKeyRegistry", self._key_registry)
        for step in old:
            of_step = (thread_id, "", step.checkpoint_id)
            gone += [*await writes.get_write_keys(*of_step), writes.make_write_keys_zset_key(*of_step)]
        if gone:
            await self._forget(gone)

    async def _forget(self, keys: Sequence[str]) -> None:
        await self._redis.delete(*keys)

    async def _indexed(self, act: Callable[[], Awaitable[T]]) -> T:
        return await on_index(act, self._rebuild)

    async def _rebuild(self) -> None:
        await _set_up(self)
        for index in (self.checkpoints_index, self.checkpoint_writes_index):
            await wait_until_indexed(index)


class ConversationSaver(SharedSaver):
    """Keeps the steps of conversations. Within ``held`` it does so only while the conversation is the query's.

    langgraph-checkpoint-redis 0.5.2 writes the step, and then which is the newest, in calls that know no condition. So
    the second is let write to a key that nobody reads; thread_step.lua does what it should. To be removed when
    ``aput`` takes a condition.
    """

    @contextmanager
    def held(self, hold: Hold) -> Generator[None]:
        """Write under ``hold`` while the body runs."""
        before = _HOLD.set(hold)
        try:
            yield
        finally:
            _HOLD.reset(before)

    def _make_redis_checkpoint_latest_key(self, thread_id: str, checkpoint_ns: str) -> str:
        if _IS_ASIDE.get():  # one for all conversations: killed before the saver gives it a TTL, a worker leaves it
            return f"{self._checkpoint_prefix}_latest:aside"
        return super()._make_redis_checkpoint_latest_key(thread_id, checkpoint_ns)

    async def _put(self, put: Put, named: RunnableConfig) -> RunnableConfig:
        """Raise ``ThreadBusy`` if the conversation has become another query's."""
        del named
        hold = _HOLD.get()
        if hold is None:
            return await put()
        before = _IS_ASIDE.set(True)
        try:
            kept = await put()
            about = kept.get("configurable", {})
            of_thread = (about["thread_id"], about["checkpoint_ns"])
            aside = self._make_redis_checkpoint_latest_key(*of_thread)
        finally:
            _IS_ASIDE.reset(before)
        step = self._make_redis_checkpoint_key(*of_thread, about["checkpoint_id"])
        keys = (hold.key, self._make_redis_checkpoint_latest_key(*of_thread), aside, *hold.job_keys)
        await self._while_held(STEP, keys, (hold.token, step, self._ttl_s))
        hold.steps[:] = [step]
        return kept

    async def _forget(self, keys: Sequence[str]) -> None:
        hold = _HOLD.get()
        if hold is None:
            await super()._forget(keys)
            return
        for first in range(0, len(keys), FORGOTTEN_AT_ONCE):
            some = keys[first : first + FORGOTTEN_AT_ONCE]
            await self._while_held(FORGET, (hold.key, *some), (hold.token,))

    async def _while_held(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> None:
        with redis_errors():
            said = await run_script(cast("Redis", self._redis), script, keys, args)
        if said == b"lost":
            raise thread_lost()


class ScanSaver(SharedSaver):
    """Keeps the steps of scans, and lets a scan go on where a full Redis refuses to keep one.

    The step is only lost to a later resumption, which then reads the page again; the scan's commit is let through
    by ``flags=allow-oom``.
    """

    async def _put(self, put: Put, named: RunnableConfig) -> RunnableConfig:
        try:
            return await put()
        except redis.exceptions.OutOfMemoryError:
            return named

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a node returned; in a full Redis do without."""
        try:
            await super().aput_writes(config, writes, task_id, task_path)
        except redis.exceptions.OutOfMemoryError:
            return


async def scan_saver(client: Redis, keys: Keys) -> ScanSaver:
    """Return a saver for scans, its indexes created. Raises ``RedisUnsuitable`` where Redis cannot search."""
    return await _opened(ScanSaver, client, keys, SCAN_TTL_S)


async def conversation_saver(client: Redis, keys: Keys, *, ttl_s: int) -> ConversationSaver:
    """Return a saver for conversations, its indexes created; reading one begins its TTL anew.

    Raises ``RedisUnsuitable`` where Redis cannot search.
    """
    return await _opened(ConversationSaver, client, keys, ttl_s)


async def _opened(kind: type[SaverT], client: Redis, keys: Keys, ttl_s: int) -> SaverT:
    saver = kind(
        redis_client=client,
        ttl={"default_ttl": ttl_s / 60, "refresh_on_read": True},  # in minutes
        checkpoint_prefix=keys.checkpoints,
        checkpoint_write_prefix=keys.checkpoint_writes,
    )
    await _set_up(saver)
    saver.expire_at_once(client, ttl_s)
    return saver


async def _set_up(saver: AsyncRedisSaver) -> None:
    """Create the saver's indexes; of several workers that do so at once, all but one are refused and look again.

    langgraph-checkpoint-redis 0.5.2 creates without checking twice; to be removed when its ``setup`` can be raced.
    """
    async with search_errors():
        for left in range(SETUP_TRIES - 1, -1, -1):
            try:
                await saver.setup()
            except RedisSearchError as error:
                if left == 0 or "index already exists" not in str(error).lower():
                    raise
            else:
                return
