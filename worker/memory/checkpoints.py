"""Stores the steps of conversations in Redis: ``AsyncRedisSaver`` on the shared client, made safe for many workers.

Thread ids begin with the environment, because one of the saver's keys has no prefix. Conversations expire after their
TTL without activity. Steps are stored as JSON, which turns Decimals and timedeltas into 0 and revives dicts that look
like LangChain objects: text from outside is one opaque string (``worker/agent/conversation/state.py``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import partial
from typing import Any, Final, Self, TypeVar, cast

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
from worker.memory.vectors.indexes import on_index, redis_errors, search_errors, unquoted, wait_until_indexed

T = TypeVar("T")

STEP: Final = load_script("worker.memory", "thread_step")
FORGET: Final = load_script("worker.memory", "thread_forget")

MOST_STEPS: Final = 10_000
"""Steps of a conversation deleted at once; a question takes about ten."""
FORGOTTEN_AT_ONCE: Final = 1_000
SETUP_TRIES: Final = 5
"""Each attempt loses at most one of the two indexes to another worker; the rest is margin."""
WRITES: Final = {"JSON.SET", "JSON.MERGE", "ZADD", "SET"}

_HOLD: ContextVar[Hold | None] = ContextVar("hold", default=None)


class _Expiring:
    """A client that sets the TTL in the same command or transaction as the value.

    langgraph-checkpoint-redis 0.5.2 sets it afterwards: a worker killed or a server replaced in between left keys that
    never expire, as did a worker frozen until its step was pruned, and a connection lost between two commands of a
    pipeline. Remove this when the saver sets TTLs atomically.
    """

    def __init__(self, client: Redis, ttl_s: int) -> None:
        self._client = client
        self._ttl_s = ttl_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def set(self, name: Any, value: Any, **options: Any) -> Any:
        """Write a string with its TTL."""
        client: Any = self._client
        return client.set(name, value, **{"ex": self._ttl_s, **options})

    def pipeline(self, *args: Any, **options: Any) -> Any:
        """Return a pipeline that adds TTLs, in one transaction; its replies are those of the caller's commands."""
        pipe = unquoted(self._client.pipeline(*args, **options))
        execute = pipe.execute

        async def send(raise_on_error: bool = True) -> list[Any]:
            commands = [command for command, _ in pipe.command_stack]
            for key in dict.fromkeys(command[1] for command in commands if command[0] in WRITES):
                pipe.is_transaction = True
                pipe.expire(key, self._ttl_s)
            return (await execute(raise_on_error=raise_on_error))[: len(commands)]

        pipe.execute = send
        return pipe


class ConversationSaver(AsyncRedisSaver):
    """Stores the steps of conversations; within ``held`` only while the question holds the conversation.

    It raises Redis's own errors, so that lost connections are retried, and recreates indexes that were dropped while
    the worker runs; the steps themselves are still stored.

    langgraph-checkpoint-redis 0.5.2 writes the step and then the pointer to the newest step, both unconditionally. Here
    the pointer goes to an unused key, and thread_step.lua writes the real one under a condition. Remove this when
    ``aput`` accepts a condition.

    langgraph-checkpoint-redis 0.5.2 caches the first 10,000 keys that it makes, 3.5 MB per saver, although they are
    unused once their job has ended. Keys are built each time here. Remove this when that cache evicts.
    """

    _is_aside = False

    def _make_redis_checkpoint_key_cached(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> str:
        return self._make_redis_checkpoint_key(thread_id, checkpoint_ns, checkpoint_id)

    def _make_redis_checkpoint_writes_key_cached(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, task_id: str, idx: int | None
    ) -> str:
        return self._make_redis_checkpoint_writes_key(thread_id, checkpoint_ns, checkpoint_id, task_id, idx)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the newest step of a thread, or the one named by ``config``."""
        return await self._indexed(partial(super().aget_tuple, config))

    async def aget_channel_values(self, *args: Any, **about: Any) -> dict[str, Any]:
        """Return the contents of a step; raises ``ThreadBusy`` if it is gone.

        langgraph-checkpoint-redis 0.5.2 reads a step twice, over two connections, and returns an empty conversation
        with the step's id if the second one finds none: it may lead to a primary that a failover has replaced. Remove
        this when it reads a step once.
        """
        if values := await super().aget_channel_values(*args, **about):
            return values
        raise thread_lost()

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        stream_mode: str = "values",
    ) -> RunnableConfig:
        """Store a step.

        Within ``held`` it raises ``ThreadBusy`` if another question holds the conversation, or if the step of
        ``config`` is not its newest: it was then read from a primary that had been replaced.
        """
        hold = _HOLD.get()

        async def put() -> RunnableConfig:
            saver = self if hold is None else self._with_pointer_aside()
            return await AsyncRedisSaver.aput(saver, config, checkpoint, metadata, new_versions, stream_mode)

        kept = await self._indexed(put)
        if hold is not None:
            await self._make_newest(hold, kept, after=config)
        return kept

    def _with_pointer_aside(self) -> Self:
        """Return a copy that writes the pointer to the newest step to an unused key.

        Not a context variable: a connection that is opened meanwhile would pass it on to what its replies begin.
        """
        saver = copy(self)
        saver._is_aside = True  # noqa: SLF001  of the same class
        return saver

    def expire_at_once(self, client: Redis, ttl_s: int) -> None:
        """Make ``client`` write TTLs atomically. Call after set-up: redisvl's indexes accept only a plain client."""
        self._redis = cast("Any", _Expiring(client, ttl_s))

    @property
    def _ttl_s(self) -> int:
        return round((self.ttl_config or {})["default_ttl"] * 60)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all keys of a thread."""
        await self._indexed(partial(super().adelete_thread, thread_id))

    async def keep_newest(self, thread_id: str) -> None:
        """Delete all steps of a thread except the last one, which contains the conversation. Safe to repeat.

        Raises ``ThreadBusy`` if the question that holds the thread has lost it, or a failover has lost its last step or
        the pointer to it.

        langgraph-checkpoint-redis 0.5.2 has ``aprune``, which keeps the step with the highest id. Ids come from the
        writer's clock, so the newest step of a worker whose clock is behind was deleted, and the conversation with it.
        """
        await self._indexed(partial(self._keep_newest, thread_id))

    async def _keep_newest(self, thread_id: str) -> None:
        newest = await self._newest_of(thread_id)
        steps = await self.checkpoints_index.search(
            FilterQuery(
                filter_expression=Tag("thread_id") == thread_id,
                return_fields=["checkpoint_id"],
                num_results=MOST_STEPS,
            )
        )
        old = [step for step in steps.docs if newest and step.id != newest]
        gone = [step.id for step in old]
        writes = cast("AsyncCheckpointKeyRegistry", self._key_registry)
        for step in old:
            of_step = (thread_id, "", step.checkpoint_id)
            gone += [*await writes.get_write_keys(*of_step), writes.make_write_keys_zset_key(*of_step)]
        if gone:
            await self._forget(gone, thread_id, newest=newest)

    async def _newest_of(self, thread_id: str) -> str:
        """Return the key of a thread's newest step, '' if there is none.

        A question that holds the thread knows it: a primary that was replaced meanwhile may still name an earlier one.
        """
        hold = _HOLD.get()
        if hold is not None and hold.steps:
            return hold.steps[-1]
        pointer = self._make_redis_checkpoint_latest_key(thread_id, "")
        return as_text(await cast("Any", self._redis).get(pointer) or b"")

    async def _indexed(self, act: Callable[[], Awaitable[T]]) -> T:
        return await on_index(act, self._rebuild)

    async def _rebuild(self) -> None:
        await _set_up(self)
        for index in (self.checkpoints_index, self.checkpoint_writes_index):
            await wait_until_indexed(index)

    @contextmanager
    def held(self, hold: Hold) -> Generator[None]:
        """Write under ``hold`` while the body runs."""
        before = _HOLD.set(hold)
        try:
            yield
        finally:
            _HOLD.reset(before)

    @property
    def _aside(self) -> str:
        return f"{self._checkpoint_prefix}_latest:aside"

    def _make_redis_checkpoint_latest_key(self, thread_id: str, checkpoint_ns: str) -> str:
        if self._is_aside:  # a shared key: a worker killed before the saver sets its TTL leaves it behind
            return self._aside
        return super()._make_redis_checkpoint_latest_key(thread_id, checkpoint_ns)

    async def confirm(self, step: RunnableConfig) -> None:
        """Check that a stored step is the conversation's newest, for the question that holds it and adds no step.

        Raises ``ThreadBusy`` if the step is gone, as after a failover, or is not the newest one, or another question
        holds the conversation.
        """
        hold = _HOLD.get()
        if hold is not None:
            await self._make_newest(hold, step, after=step)

    async def _make_newest(self, hold: Hold, step: RunnableConfig, *, after: RunnableConfig) -> None:
        newest = self._make_redis_checkpoint_latest_key(*_thread_of(step))
        key = self._key_of(step)
        keys = (hold.key, newest, self._aside, key, *hold.job_keys)
        await self._while_held(STEP, keys, (hold.token, self._ttl_s, self._key_of(after)))
        hold.steps[:] = [key]

    def _key_of(self, step: RunnableConfig) -> str:
        """Return the key of a step, '' for one before a conversation's first."""
        step_id = step.get("configurable", {}).get("checkpoint_id")
        return self._make_redis_checkpoint_key(*_thread_of(step), step_id) if step_id else ""

    async def _forget(self, keys: Sequence[str], thread_id: str, *, newest: str) -> None:
        hold = _HOLD.get()
        if hold is None:
            await self._redis.delete(*keys)
            return
        pointer = self._make_redis_checkpoint_latest_key(thread_id, "")
        for first in range(0, len(keys), FORGOTTEN_AT_ONCE):
            some = keys[first : first + FORGOTTEN_AT_ONCE]
            await self._while_held(FORGET, (hold.key, pointer, newest, *some), (hold.token,))

    async def _while_held(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> None:
        with redis_errors():
            said = await run_script(cast("Redis", self._redis), script, keys, args)
        if said == b"lost":
            raise thread_lost()


def _thread_of(step: RunnableConfig) -> tuple[str, str]:
    about = step.get("configurable", {})
    return about["thread_id"], about.get("checkpoint_ns", "")


async def conversation_saver(client: Redis, keys: Keys, *, ttl_s: int) -> ConversationSaver:
    """Return a saver for conversations with its indexes; reading a conversation restarts its TTL.

    Raises ``RedisUnsuitable`` if Redis cannot search.
    """
    saver = ConversationSaver(
        redis_client=client,
        ttl={"default_ttl": ttl_s / 60, "refresh_on_read": True},  # in minutes
        checkpoint_prefix=keys.checkpoints,
        checkpoint_write_prefix=keys.checkpoint_writes,
    )
    await _set_up(saver)
    saver.expire_at_once(client, ttl_s)
    return saver


async def _set_up(saver: AsyncRedisSaver) -> None:
    """Create the saver's indexes; if several workers do so at once, those that are refused check again.

    langgraph-checkpoint-redis 0.5.2 does not handle this race. Remove this when its ``setup`` does.
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
