"""Events for browsers: one stream reader per process, one rendering per batch, the same bytes for all viewers.

A browser gets the batch's current state, then changes, at most every ``EVERY_S``. A message has the id of its last
event: with Last-Event-ID, later events are read from the stream itself, which keeps the newest 100,000. A client that
has not read ``MAX_WAITING`` messages gets the newest state instead of the messages that it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from producer.client.client import Client
from producer.client.event_stream import event_of, newest_id
from producer.client.given import EVENT_ID
from producer.contract import Event
from producer.errors import SightlineError
from producer.redis.connection import redis_errors
from producer.redis.raw_connection import end

EVERY_S: Final = 0.15
PAUSE_S: Final = 1.0
ALIVE_S: Final = 15.0
"""Seconds between comments, which keep proxies from closing the connection and reveal clients that left."""
MAX_WAITING: Final = 16
_CHUNK: Final = 1_000

Render = Callable[[str, Sequence[Event]], Awaitable[dict[str, str]]]
"""Returns, for a batch and its new events, the HTML of the parts to replace, by their ids."""


@dataclass(eq=False, slots=True)
class Topic:
    """One batch: its new events since the last message, and its listeners."""

    name: str
    events: list[Event] = field(default_factory=list[Event])
    listeners: set[asyncio.Queue[bytes]] = field(default_factory=set[asyncio.Queue[bytes]])
    is_stale: bool = False
    task: asyncio.Task[None] | None = None


class Live:
    """The process's events. ``render`` returns the parts to send for a batch."""

    def __init__(self, client: Client, render: Render) -> None:
        self._client = client
        self._render = render
        self._topics: dict[str, Topic] = {}
        self._reader: asyncio.Task[None] | None = None
        self.is_down = False
        self.last_id = "0-0"

    async def close(self) -> None:
        """Stop reading and sending."""
        await end(*(task for task in (self._reader, *(one.task for one in self._topics.values())) if task))

    async def stream(self, name: str, *, since: str = "") -> AsyncGenerator[bytes]:
        """Yield the messages of one batch until the client disconnects."""
        topic = self._topics.setdefault(name, Topic(name))
        queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        topic.listeners.add(queue)
        if topic.task is None or topic.task.done():
            topic.task = asyncio.create_task(self._send(topic), name=f"live-{name}")
        try:
            yield b"retry: 1000\n\n"
            yield await self._first(name, since)
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), ALIVE_S)
                except TimeoutError:
                    for task in (topic.task, self._reader):
                        if task is not None and task.done():
                            task.result()  # raises what ended it: the log has it, and the browser connects again
                    yield b": alive\n\n"
        finally:
            topic.listeners.discard(queue)
            if not topic.listeners:
                self._topics.pop(name, None)
                topic.task.cancel()

    def refresh(self, name: str) -> None:
        """Send a batch's current state to its viewers, though no event has changed it."""
        if topic := self._topics.get(name):
            topic.is_stale = True

    async def _first(self, name: str, since: str) -> bytes:
        """Return the current state, with the events after ``since``; the reader starts at this point at the latest."""
        try:
            with redis_errors(self._client.settings, None):
                last = await newest_id(self._client.redis, self._client.keys.events)
                self._ensure_reading(last)
                missed = await self._after(name, since) if EVENT_ID.fullmatch(since) else []
            return message("update", await self._render(name, missed), event_id=last)
        except SightlineError as error:
            self._ensure_reading("0-0")
            return message("down", {"why": str(error)})

    async def _after(self, name: str, since: str) -> list[Event]:
        """Return the events after ``since``, of the newest ``_CHUNK`` of all batches."""
        rows = await self._client.redis.xrevrange(self._client.keys.events, min=f"({since}", count=_CHUNK)
        found = (event_of(row_id.decode(), fields.get(b"event", b"")) for row_id, fields in reversed(rows))
        return [event for event in found if event and event.batch == name]

    def _ensure_reading(self, last_id: str) -> None:
        if self._reader is None or self._reader.done():
            self.last_id = last_id
            self._reader = asyncio.create_task(self._read(), name="live-reader")

    async def _read(self) -> None:
        """Read events until cancelled, through outages, and pass each to the viewers of its batch."""

        def say(_: Exception) -> None:
            self.is_down = True
            for topic in self._topics.values():
                _offer(topic, message("down", {"why": "Redis does not answer: updates resume when it does"}))

        while True:
            try:
                async for event in self._client.events(since=self.last_id, on_outage=say):
                    self._take(event)
            except SightlineError as error:
                say(error)
            await asyncio.sleep(PAUSE_S)

    def _take(self, event: Event) -> None:
        if event.id:
            self.last_id = event.id
        if self.is_down:
            self.is_down = False
            for topic in self._topics.values():
                topic.is_stale = True
        if topic := self._topics.get(event.batch or ""):
            topic.events.append(event)
            del topic.events[: -2 * _CHUNK]  # a flood: what a page shows are the newest

    async def _send(self, topic: Topic) -> None:
        """Send a topic's new events to all its listeners, rendered once."""
        while True:
            await asyncio.sleep(EVERY_S)
            if not topic.events and not topic.is_stale:
                continue
            events, topic.events, topic.is_stale = topic.events, [], False
            last = events[-1].id if events else None
            try:
                made = message("update", await self._render(topic.name, events[-_CHUNK:]), event_id=last)
            except SightlineError:
                topic.events = [*events, *topic.events][-_CHUNK:]  # not sent yet
                topic.is_stale = True
                continue
            _offer(topic, made)


def _offer(topic: Topic, made: bytes) -> None:
    for queue in topic.listeners:
        if queue.full():  # a slow client: drop unread messages, as each message has the whole state
            while not queue.empty():
                queue.get_nowait()
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait(made)


def message(name: str, parts: dict[str, str], *, event_id: str | None = None) -> bytes:
    """Return one server-sent event: its data is JSON on one line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {json.dumps(parts)}\n\n".encode()
