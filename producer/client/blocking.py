"""A blocking wrapper around ``Client``.

::

    with BlockingClient() as client:
        job = client.submit("scan", {"url": "https://example.org/"})
        result = client.wait(job.job_id, timeout_s=120)

Each call runs the async method on an event loop in a dedicated thread, so the client may be used inside a running loop
and from several threads, but not in a forked process, which has no copy of the thread. Async iterators become plain
iterators.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from redis.asyncio import Redis

from producer.client.client import Client
from producer.client.event_stream import CLOSED
from producer.errors import InputError, ServiceError
from producer.settings import ClientSettings

P = ParamSpec("P")
T = TypeVar("T")


def _returns(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    @wraps(method)
    def call(self: BlockingClient, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(method(self.client, *args, **kwargs))

    return call


def _yields(
    method: Callable[Concatenate[Client, P], AsyncGenerator[T]],
) -> Callable[Concatenate[BlockingClient, P], Iterator[T]]:
    @wraps(method)
    def call(self: BlockingClient, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        iterator = method(self.client, *args, **kwargs)
        try:
            while True:
                try:
                    yield self.run(_awaited(anext(iterator)))
                except StopAsyncIteration:
                    return
        finally:
            with suppress(InputError):  # closed before the iterator, which ended with it
                self.run(_awaited(iterator.aclose()))

    return call


class BlockingClient:
    """A connection to one environment's queue, for code without an event loop. Use as a context manager.

    It has the methods of ``Client``, which block until they are done; iterators are plain ones.
    """

    submit = _returns(Client.submit)
    submit_prepared = _returns(Client.submit_prepared)
    submit_many = _yields(Client.submit_many)
    result = _returns(Client.result)
    shots = _returns(Client.shots)
    wait = _returns(Client.wait)
    as_completed = _yields(Client.as_completed)
    assessed = _yields(Client.assessed)
    job = _returns(Client.job)
    cancel = _returns(Client.cancel)
    cancel_batch = _returns(Client.cancel_batch)
    batch = _returns(Client.batch)
    seal_batch = _returns(Client.seal_batch)
    events = _yields(Client.events)
    queue = _returns(Client.queue)
    gpu = _returns(Client.gpu)

    def __init__(self, settings: ClientSettings | None = None, *, redis: Redis | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sightline-client", daemon=True)
        self._ending = threading.RLock()  # a generator may be collected, and end its call, while one begins
        self._thread.start()
        try:
            self.client = self.run(_made(settings, redis))
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread; other threads' calls raise ``ServiceError``. Safe to call twice."""
        if not self._thread.is_alive():
            return
        with self._ending:  # no call begins on a loop that ends
            if not self._loop.is_closed():
                asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
                self._stop()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run ``call`` on the client's loop and return its result; Ctrl-C cancels it.

        Raises ``InputError`` for a closed client.
        """
        future = self._begin(call)
        try:
            return future.result()
        except CancelledError:
            raise ServiceError(CLOSED) from None
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _begin(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        if self._thread.is_alive():
            with self._ending:
                if not self._loop.is_closed():
                    return asyncio.run_coroutine_threadsafe(call, self._loop)
        call.close()
        raise InputError("this client is closed, or was opened before a fork: open one in each process")

    async def _end(self) -> None:
        await self.client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _made(settings: ClientSettings | None, redis: Redis | None) -> Client:
    return Client(settings, redis=redis)


async def _awaited(call: Awaitable[T]) -> T:
    return await call
