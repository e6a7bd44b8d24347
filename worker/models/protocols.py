"""The agent's interfaces to models: ``ChatModel`` and ``Embedder``. No network, no model.

Adapters (``builtin/models.py``, ``ollama/``, ``cloud/chat.py``) implement these two protocols and nothing else; the
agent knows no adapter. ``routing.py`` decides which one is used. An adapter waits for its GPU slot, limits the time of
its call and raises ``ModelError`` for everything that goes wrong in it, so that no library's exception reaches the
agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from producer.contract import JsonObject, Usage
from producer.errors import ModelError

Vector = NDArray[np.float32]
"""``float32[dims]``, unit length."""
Vectors = NDArray[np.float32]
"""``float32[n, dims]``, each row of unit length, in the order of the texts."""

UNIT_TOLERANCE = 1e-3
"""Tolerance of a vector's length, ideally 1: float32 sums over 4,096 numbers stay well within it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call; ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call a model asks for. ``id`` links the answer to it; an adapter makes one up if its server gives none.

    The arguments are as the model wrote them: the code that runs the call checks them.
    """

    name: str
    arguments: JsonObject
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a chat model.

    An ``assistant`` message may carry the calls it asked for; a ``tool`` message answers the call ``call_id`` of the
    tool ``tool``. A ``user`` message may carry ``images``, JPEGs, for a model that ``sees``; one that is not
    ``by_user`` is a demand of Sightline, such as for an answer in words, and no question.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool: str = ""
    images: tuple[bytes, ...] = ()
    by_user: bool = True

    @property
    def is_question(self) -> bool:
        """Whether a user asks it."""
        return self.role == "user" and self.by_user


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One complete answer; ``usage`` counts this call only. ``model`` is the one that actually answered.

    With ``calls`` the text may be empty, and the conversation continues with their answers. ``reason`` says why this
    model was asked, '' if it is the one of CHAT_MODEL.
    """

    text: str
    model: str
    usage: Usage
    calls: tuple[ToolCall, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EmbedReply:
    """The vectors of one batch of texts; ``usage`` counts this call only.

    ``shortened`` has, by index, the number of characters embedded of a text that was too long.
    """

    vectors: Vectors
    usage: Usage
    shortened: Mapping[int, int] = field(default_factory=dict[int, int])


class ChatModel(Protocol):
    """Answers messages with text, with JSON that follows a schema, or with tool calls."""

    @property
    def name(self) -> str:
        """The name in ``assessment_source`` and the usage counters."""
        ...

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the whole answer.

        With ``schema`` (JSON Schema, an object) the text should be JSON of that form; some models ignore it, so the
        caller validates. With ``tools`` the answer may request tool calls instead of text; a call of any other name is
        passed on unchanged. Never both. Raises ``ModelError`` for a failed, truncated or unfinished answer.
        """
        ...


@runtime_checkable
class Seeing(Protocol):
    """A chat model that may take images."""

    async def sees(self) -> bool:
        """Return whether the model takes images according to its host; False if unknown."""
        ...


async def sees(chat: ChatModel) -> bool:
    """Return whether ``chat`` takes images. One with a cloud fallback does not: images of pages stay local."""
    return isinstance(chat, Seeing) and await chat.sees()


class Embedder(Protocol):
    """Turns texts into unit vectors of ``dims`` numbers; one batch is one call of the model."""

    @property
    def name(self) -> str:
        """The name stored with an index; vectors of different names are never compared."""
        ...

    @property
    def dims(self) -> int:
        """Length of every vector."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts to store. Raises ``ModelError``."""
        ...

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts to search for; some models need another prefix for them. Raises ``ModelError``."""
        ...


OpenEmbedder = Callable[[str, int], Awaitable[Embedder]]
"""Returns the embedder for a model's name and the length of its vectors, 0 to ask the model.

Raises ``SettingsError`` for an invalid name, or if the length of its vectors is unknown.
"""


def add_usage(first: Usage, second: Usage) -> Usage:
    """Return the sum of two calls' usage; a cache hit in either is kept."""
    return Usage(
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        calls=first.calls + second.calls,
        gpu_wait_ms=first.gpu_wait_ms + second.gpu_wait_ms,
        gpu_ms=first.gpu_ms + second.gpu_ms,
        cache_hit=first.cache_hit or second.cache_hit,
    )


def spent_on(error: ModelError) -> Usage:
    """Return the cost of the calls that ended in ``error``."""
    return error.spent if isinstance(error.spent, Usage) else Usage()


def check_vector(vector: Vector, *, dims: int, model: str) -> Vector:
    """Return ``vector`` unchanged; raises ``ModelError`` unless it is ``dims`` finite numbers of unit length.

    RediSearch accepts a vector of the wrong length silently and then hides the whole document, even from tag search.
    """
    if vector.shape != (dims,) or vector.dtype != np.float32:
        msg = f"model {model!r} gave a vector of {vector.dtype}{list(vector.shape)}: expected float32[{dims}]"
        raise ModelError(msg)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or abs(length - 1.0) > UNIT_TOLERANCE:
        msg = f"model {model!r} gave a vector of length {length:.4f}: expected a finite vector of length 1"
        raise ModelError(msg)
    return vector
