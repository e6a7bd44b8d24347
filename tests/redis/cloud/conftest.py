"""A cloud of the test's own, and workers' models with it behind them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.gpu import PROBED_OFTEN
from tests.support.openai_server import KEY, MODEL, OpenAIServer
from worker.models import slot_calls as gpu_calls
from worker.models.routing import Models, open_models
from worker.settings import WorkerSettings

NOBODY = "http://127.0.0.1:9"
"""Where no Ollama is: the port of the discard service."""


class OpenModels(Protocol):
    """Opens the models of a worker; they are closed after the test."""

    async def __call__(self, **settings: Any) -> Models: ...


@pytest.fixture
def cloud() -> Generator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
async def open_worker(
    redis: Redis, keys: Keys, cloud: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[OpenModels]:
    monkeypatch.setattr(gpu_calls, "PAUSE_S", 0.01)
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Models:
            given: dict[str, Any] = {
                "chat_model": "qwen3.5:4b",
                "embedding_model": "builtin",
                "ollama_base_url": NOBODY,
                "fallback_model": MODEL,
                "fallback_base_url": cloud.url,
                "fallback_api_key": KEY,
                "fallback_share": 1.0,
                **settings,
            }
            given["fallback_api_key"] = SecretStr(given["fallback_api_key"])
            chosen = WorkerSettings(**given)
            return await stack.enter_async_context(open_models(chosen, redis, keys, timing=PROBED_OFTEN))

        yield open_one
