"""Which of two models a call goes to: the local one, or the cloud for what is too much for it, or while it is away.

The rule, whole: a call goes to the cloud when its question is complex (``worker/agent/complexity.py`` says so, by
``serving``), when no Ollama answers or none has the model, or when the prompt does not fit the local context; and only
while the day's share lasts. Nothing else does: a busy GPU, a slow or a wrong answer stay local. Every answer says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from producer.contract import JsonObject
from producer.errors import ContextExceeded, ModelError, ModelMissing, ModelUnreachable
from worker.models.cloud_share import CloudShare
from worker.models.protocols import ChatModel, ChatReply, Message, Tool
from worker.models.serving import now_serving

SPENT = "the cloud's share of today is spent (FALLBACK_SHARE)"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FallbackChat:
    """The ``local`` model, and ``cloud`` behind it for a share of the calls. Implements ``ChatModel``."""

    local: ChatModel
    cloud: ChatModel
    share: CloudShare

    @property
    def name(self) -> str:
        """Return the local model's name: it is the one that was chosen."""
        return self.local.name

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the answer of one of the two, with the reason where it is not simply the local one's."""
        why = now_serving().complex_because
        aside = ""
        if await self.share.count(is_wanted=bool(why)):
            try:
                reply = await self.cloud.chat(messages, schema=schema, tools=tools)
            except ModelError as error:
                _log_failed(error)
                aside = f"{why}, but the cloud failed: {error}"
            else:
                return replace(reply, reason=why)
        elif why:
            aside = f"{why}, but {SPENT}"
        try:
            reply = await self.local.chat(messages, schema=schema, tools=tools)
        except (ModelUnreachable, ModelMissing, ContextExceeded) as error:
            return await self._instead(error, messages, schema, tools)
        return replace(reply, reason=aside)

    async def _instead(
        self, error: ModelError, messages: Sequence[Message], schema: JsonObject | None, tools: Sequence[Tool]
    ) -> ChatReply:
        """Ask the cloud after the local model's ``error``; raises that error, with what else went wrong."""
        if not await self.share.ask():
            raise type(error)(f"{error}; {SPENT}") from error
        try:
            reply = await self.cloud.chat(messages, schema=schema, tools=tools)
        except ModelError as failure:
            _log_failed(failure)
            raise type(error)(f"{error}; the cloud failed too: {failure}") from failure
        return replace(reply, reason=reason_for(error))


def reason_for(error: ModelError) -> str:
    """Return why the cloud answered, after the local model's ``error``."""
    if isinstance(error, ContextExceeded):
        return "the prompt does not fit the local model's context"
    if isinstance(error, ModelMissing):
        return "the local model is not pulled"
    return "no Ollama answers"


def _log_failed(error: ModelError) -> None:
    log.warning("cloud.failed", job_id=now_serving().job_id, error=f"{type(error).__name__}: {error}")
