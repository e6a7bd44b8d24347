"""HTTP to one Ollama host: requests besides model calls, and a transport that tracks when a call is over.

A slot may be released only when its HTTP response is closed, since Ollama continues until then. Async generators close
theirs when the garbage collector finds them; ``responses_closed`` does it at a known moment, whatever happens in the
block. Proxies of the environment are not used: a model host is on the local network.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import httpx

from producer.client.gpu_view import LoadedModel
from producer.errors import AnswerIncomplete, ModelUnreachable
from producer.text_file import read_text
from worker.gpu.hosts import Host
from worker.models.ollama.errors import model_errors

CONNECT_TIMEOUT_S: Final = 3.0
LOOK_TIMEOUT_S: Final = 3.0
"""Seconds for requests that need no GPU: a host that takes longer is not fit for work."""
_IDLE: Final = 2
"""Connections kept per host: calls are few at a time, and a new one costs far less than a call."""

_OPEN: Final[ContextVar[list[TrackedStream] | None]] = ContextVar("open_responses", default=None)


@cache
def trusted() -> ssl.SSLContext:
    """Return the certificates that this process trusts: one set for all clients, since loading it takes 40 ms."""
    return httpx.create_ssl_context()


class TrackedStream(httpx.AsyncByteStream):
    """A response's body that can be closed from outside, and closes once."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            yield part

    async def aclose(self) -> None:
        """Close the connection, or keep it for the next call if the body was read to its end. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            await self._inner.aclose()


class TrackedTransport(httpx.AsyncBaseTransport):
    """httpx's transport, which registers each response in the surrounding ``responses_closed``.

    ``token_file`` holds a bearer token. It is read for each request: one that expires is replaced without a restart.
    """

    def __init__(self, token_file: str = "") -> None:
        self._token_file = token_file
        self._inner = httpx.AsyncHTTPTransport(
            verify=trusted(), limits=httpx.Limits(max_keepalive_connections=_IDLE, keepalive_expiry=30.0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; return the response once its header has arrived."""
        if self._token_file:
            request.headers["Authorization"] = f"Bearer {await asyncio.to_thread(read_token, self._token_file)}"
        response = await self._inner.handle_async_request(request)
        stream = TrackedStream(cast("httpx.AsyncByteStream", response.stream))
        opened = _OPEN.get()
        if opened is not None:
            opened.append(stream)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def read_token(file: str) -> str:
    """Return the token in ``file``; raises ``ModelUnreachable`` if there is none: it may appear in a moment."""
    try:
        token = read_text(file).strip()
    except OSError as error:
        raise ModelUnreachable(f"OLLAMA_TOKEN_FILE is {file!r}, which cannot be read: {error.strerror}") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ModelUnreachable(f"OLLAMA_TOKEN_FILE is {file!r}, which holds no token: expected one word")
    return token


@asynccontextmanager
async def responses_closed() -> AsyncGenerator[None]:
    """On exit, close every response opened in the block, by this task or one started by it."""
    opened: list[TrackedStream] = []
    token = _OPEN.set(opened)
    try:
        yield
    finally:
        _OPEN.reset(token)
        for stream in opened:
            await stream.aclose()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A host's facts about a model; 0 and empty if it does not say.

    ``capabilities`` are Ollama's words (``completion``, ``tools``, ``embedding``, …).
    """

    context: int = 0
    dims: int = 0
    capabilities: frozenset[str] = frozenset()

    def context_of(self, wanted: int) -> int:
        """Return the context to load the model with: ``wanted``, but no more than it has, if that is known."""
        return min(wanted, self.context or wanted)


class OllamaClient:
    """Asks one host about itself. Raises ``ModelError`` or a subclass for every failure."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.transport = TrackedTransport(host.token_file)
        timeout = httpx.Timeout(LOOK_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._http = httpx.AsyncClient(base_url=host.address, transport=self.transport, timeout=timeout)

    async def close(self) -> None:
        """Close all connections to the host."""
        await self._http.aclose()

    async def check(self) -> tuple[str, tuple[LoadedModel, ...]]:
        """Return the server's version and the models in the host's memory, if it answers."""
        version = await self.version()
        fields = await self._ask("GET", "/api/ps")
        return version, tuple(_loaded(model) for model in _list(fields.get("models")))

    async def version(self) -> str:
        """Return the server's version, '' if it does not say; a build from source says 0.0.0."""
        return str((await self._ask("GET", "/api/version")).get("version") or "")

    async def names(self) -> frozenset[str]:
        """Return the models that the host has, each name with its tag."""
        fields = await self._ask("GET", "/api/tags")
        return frozenset(str(model.get("model") or model.get("name") or "") for model in _list(fields.get("models")))

    async def facts(self, model: str) -> ModelFacts:
        """Return the host's facts about ``model``."""
        fields = await self._ask("POST", "/api/show", model=model, json={"model": model})
        said: object = fields.get("model_info")
        info = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        architecture = str(info.get("general.architecture", ""))
        context, dims = (info.get(f"{architecture}.{name}") for name in ("context_length", "embedding_length"))
        able: object = fields.get("capabilities")
        return ModelFacts(
            context if isinstance(context, int) else 0,
            dims if isinstance(dims, int) else 0,
            frozenset(map(str, cast("list[object]", able))) if isinstance(able, list) else frozenset(),
        )

    async def _ask(self, method: str, path: str, *, model: str = "", json: Any = None) -> dict[str, Any]:
        limit_s = CONNECT_TIMEOUT_S + LOOK_TIMEOUT_S  # in all: httpx limits each read, and an answer may drip
        with model_errors(self.host.name, model, limit=f"{limit_s:g} s"):
            async with asyncio.timeout(limit_s):
                response = await self._http.request(method, path, json=json)
            response.raise_for_status()
            fields: object = response.json()
        if not isinstance(fields, dict):
            msg = f"{self.host.name!r} did not answer {path} with a JSON object: is it an Ollama?"
            raise AnswerIncomplete(msg)
        return cast("dict[str, Any]", fields)


def full_name(model: str) -> str:
    """Return ``model`` with the tag that Ollama assumes if none is given."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _list(value: Any) -> list[dict[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _loaded(fields: dict[str, Any]) -> LoadedModel:
    def number(name: str) -> int:
        value = fields.get(name)
        return value if isinstance(value, int) else 0

    name = str(fields.get("name") or fields.get("model") or "")
    return LoadedModel(name, number("size"), number("size_vram"), number("context_length"))
