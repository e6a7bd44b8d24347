"""Types of the fixtures in ``tests/redis/gpu/conftest.py`` that open pools and models."""

from __future__ import annotations

from typing import Any, Protocol

from worker.gpu.hosts import Host
from worker.gpu.pool import GpuPool
from worker.models.protocols import Message
from worker.models.routing import Models

ASK = [Message("system", "Answer in a sentence."), Message("user", "What is wrong with this page?")]


class OpenPool(Protocol):
    """Opens a pool as a separate worker would; it is closed after the test."""

    async def __call__(
        self, worker: str, *, hosts: tuple[Host, ...] = ..., url: str = ..., **options: Any
    ) -> GpuPool: ...


class Open(Protocol):
    """Opens a worker's models on the hosts in ``url``; they are closed after the test."""

    async def __call__(self, url: str, **settings: Any) -> Models: ...


def pool_of(models: Models) -> GpuPool:
    assert models.pool is not None
    return models.pool
