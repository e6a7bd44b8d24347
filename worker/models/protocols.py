"""What the agent asks of a model: ``ChatModel`` and ``Embedder``. No network, no model.

Adapters (``builtin/models.py``, ``ollama/``, ``cloud/chat.py``) implement these two protocols and nothing else; the
agent knows no adapter. Which one is used is decided in ``routing.py``. An adapter waits for its own GPU slot, bounds
its own call and raises ``ModelError`` for everything that goes wrong in it, so that no library's exception
reaches the agent.
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
"""How far from 1 a vector's length may be: float32 sums over 4,096 numbers stay well within it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call; ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call a model asks for. ``id`` ties the answer to it; an adapter makes one up where its server gives none.

    The arguments are what the model wrote: whoever runs the call checks them.
    """

    name: str
    arguments: JsonObject
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a chat model.

    An ``assistant`` message may carry the calls it asked for; a ``tool`` message answers the one of ``call_id``, of the
    tool ``tool``. A ``user`` message may carry ``images``, JPEGs, for a model that ``sees``.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool: str = ""
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One complete answer; ``usage`` counts this call alone. ``model`` is what really answered.

    With ``calls`` the text may be empty, and the conversation goes on with their answers. ``reason`` says why this
    model was asked, '' where it is simply the one of CHAT_MODEL.
    """

    text: str
    model: str
    usage: Usage
    calls: tuple[ToolCall, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EmbedReply:
    """The vectors of one batch of texts; ``usage`` counts this call alone.

    ``shortened`` has, by a text's place, how many of its characters were embedded where the model takes no more.
    """

    vectors: Vectors
    usage: Usage
    shortened: Mapping[int, int] = field(default_factory=dict[int, int])


class ChatModel(Protocol):
    """Answers messages with text, with JSON bound to a schema, or with calls of tools."""

    @property
    def name(self) -> str:
        """What ``assessment_source`` and the usage counters call it."""
        ...

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the whole answer.

        With ``schema`` (JSON Schema, an object) the text is meant to be JSON of that shape; models have been seen
        to ignore it, so the caller validates. With ``tools`` the answer may ask for calls of them instead of text; a
        call of any other name is handed on as it is. Never both. Raises ``ModelError`` for a failed, truncated or
        unfinished answer.
        """
        ...


@runtime_checkable
class Seeing(Protocol):
    """A chat model that may take images."""

    async def sees(self) -> bool:
        """Whether the model takes images, as far as its host says; False where it does not say."""
        ...


async def sees(chat: ChatModel) -> bool:
    """Whether ``chat`` takes images. One with a cloud behind it does not: pictures of pages stay here."""
    return isinstance(chat, Seeing) and await chat.sees()


class Embedder(Protocol):
    """Turns texts into unit vectors of ``dims`` numbers; one batch is one call of the model."""

    @property
    def name(self) -> str:
        """What is stored beside an index; vectors of two names are never compared."""
        ...

    @property
    def dims(self) -> int:
        """Length of every vector."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts that are kept. Raises ``ModelError``."""
        ...

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts that are looked up; some models want another prefix for them. Raises ``ModelError``."""
        ...


OpenEmbedder = Callable[[str, int], Awaitable[Embedder]]
"""Gives the embedder of a model's name and the length of its vectors, 0 where the model is to tell it.

Raises ``SettingsError`` for a name that can be no model's, or whose vectors' length nobody knows.
"""


def add_usage(first: Usage, second: Usage) -> Usage:
    """Return the sum of two calls' usage; a cache hit in either stays one."""
    return Usage(
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        calls=first.calls + second.calls,
        gpu_wait_ms=first.gpu_wait_ms + second.gpu_wait_ms,
        gpu_ms=first.gpu_ms + second.gpu_ms,
        cache_hit=first.cache_hit or second.cache_hit,
    )


def spent_on(error: ModelError) -> Usage:
    """Return what the calls cost that ended in ``error``."""
    return error.spent if isinstance(error.spent, Usage) else Usage()


def check_vector(vector: Vector, *, dims: int, model: str) -> Vector:
    """Return ``vector`` as it is; raise ``ModelError`` unless it is ``dims`` finite numbers of unit length.

    RediSearch takes a wrong-length vector without a word and then hides the whole document, even from tag search.
    """
    if vector.shape != (dims,) or vector.dtype != np.float32:
        msg = f"model {model!r} gave a vector of {vector.dtype}{list(vector.shape)}: expected float32[{dims}]"
        raise ModelError(msg)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or abs(length - 1.0) > UNIT_TOLERANCE:
        msg = f"model {model!r} gave a vector of length {length:.4f}: expected a finite vector of length 1"
        raise ModelError(msg)
    return vector
