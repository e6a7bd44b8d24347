"""Chooses the model of a call: the local one, or the cloud if a question is too hard for it or it is unreachable.

The complete rule: a call goes to the cloud when its question is complex (``worker/agent/conversation/complexity.py``
decides this, via ``job_context``), when no Ollama answers or none has the model, or when the prompt does not fit the
local context; and only while the day's share lasts. In an outage the share limits batch work: jobs of the interactive
lane, for which a person waits, go to the cloud even beyond it, unless FALLBACK_SHARE is 0. There is no other
reason: not a busy GPU, nor a slow or wrong answer. Every answer from the cloud says why. The share is counted in Redis,
over all workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import JsonObject, Lane, Usage
from producer.errors import ContextExceeded, ModelError, ModelMissing, ModelUnreachable
from producer.keys import Keys
from producer.redis.scripts import load_script, run_script
from worker.models.job_context import now_serving
from worker.models.protocols import ChatModel, ChatReply, Message, Tool, add_usage, spent_on

SPENT = "today's share of the cloud is used up (FALLBACK_SHARE)"
SHARE: Final = load_script("worker.models.cloud", "cloud_share")
PARTS: Final = 1_000_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CloudShare:
    """Limits the part of a day's chat calls that may go to the cloud to ``share``, 0 to 1 (FALLBACK_SHARE)."""

    redis: Redis
    keys: Keys
    share: float

    async def grant(self, *, is_new: bool, is_wanted: bool) -> bool:
        """Return whether a chat call may go to the cloud, if it ``is_wanted``; one that ``is_new`` is counted first.

        If Redis does not answer, it is not granted.
        """
        args = (round(self.share * PARTS), int(is_new), int(is_wanted))
        try:
            return bool(await run_script(self.redis, SHARE, (self.keys.cloud_share,), args))
        except (RedisError, OSError) as error:
            log.warning("cloud.share_unknown", error=str(error))
            return False


@dataclass(frozen=True, slots=True)
class FallbackChat:
    """The ``local`` model, and ``cloud`` behind it for a share of the calls. Implements ``ChatModel``."""

    local: ChatModel
    cloud: ChatModel
    share: CloudShare

    @property
    def name(self) -> str:
        """Return the name of the local model, which is the one in the settings."""
        return self.local.name

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the answer of one of the two, with the reason if it is not the local one's."""
        why = now_serving().complex_because
        aside, spent = "", Usage()
        if await self.share.grant(is_new=True, is_wanted=bool(why)):
            try:
                reply = await self.cloud.chat(messages, schema=schema, tools=tools)
            except ModelError as error:
                _log_failed(error)
                aside, spent = f"{why}, but the cloud failed: {error}", spent_on(error)
            else:
                return replace(reply, reason=why)
        elif why:
            aside = f"{why}, but {SPENT}"
        try:
            reply = await self.local.chat(messages, schema=schema, tools=tools)
        except ModelError as error:
            error.spent = add_usage(spent, spent_on(error))
            if not isinstance(error, ModelUnreachable | ModelMissing | ContextExceeded):
                raise
            return await self._instead(error, messages, schema, tools)
        reason = "; ".join(filter(None, (aside, reply.reason)))
        return replace(reply, reason=reason, usage=add_usage(spent, reply.usage))

    async def _instead(
        self, error: ModelError, messages: Sequence[Message], schema: JsonObject | None, tools: Sequence[Tool]
    ) -> ChatReply:
        """Ask the cloud after the local model's ``error``; if it fails too, raise ``error`` with both messages."""
        is_free = _is_awaited(error) and self.share.share > 0
        if not is_free and not await self.share.grant(is_new=False, is_wanted=True):
            raise _again(error, f"{error}; {SPENT}", spent_on(error)) from error
        try:
            reply = await self.cloud.chat(messages, schema=schema, tools=tools)
        except ModelError as failure:
            _log_failed(failure)
            spent = add_usage(spent_on(error), spent_on(failure))
            raise _again(error, f"{error}; the cloud failed too: {failure}", spent) from failure
        return replace(reply, reason=reason_for(error), usage=add_usage(spent_on(error), reply.usage))


def _is_awaited(error: ModelError) -> bool:
    """Return whether a person waits for an answer while no local model can give one: a job of the interactive lane."""
    return now_serving().lane is Lane.INTERACTIVE and isinstance(error, ModelUnreachable | ModelMissing)


def _again(error: ModelError, message: str, spent: Usage) -> ModelError:
    told = type(error)(message)
    told.spent = spent
    return told


def reason_for(error: ModelError) -> str:
    """Return why the cloud answered, after the local model's ``error``."""
    if isinstance(error, ContextExceeded):
        return "the prompt does not fit the local model's context"
    if isinstance(error, ModelMissing):
        return "the local model is not pulled"
    return "no Ollama answers"


def _log_failed(error: ModelError) -> None:
    log.warning("cloud.failed", job_id=now_serving().job_id, error=f"{type(error).__name__}: {error}")
