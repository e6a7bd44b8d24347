"""Batches calls to one script made in the same event-loop tick into one EVALSHA.

Calling a script costs Redis about as much as the commands in it, and each reply wakes the worker. The scripts of the
hot path (start.lua, finish.lua) therefore take many deliveries at once and handle each separately: the reply has one
part per call, which may be an error of that call alone. Tasks make single calls and are unaware of the batching.
Next: ``script_pipe.py``, which sends the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Arg, Script

MOST_AT_ONCE: Final = 8
"""Parts per call. A call blocks Redis for a quarter of a millisecond; while Redis works on some of a worker's jobs, the
worker works on others."""
MOST_BYTES: Final = 1_000_000

Decode = Callable[[Any], Any]
Part = tuple["asyncio.Future[Any]", Sequence[str], Sequence[Arg], Decode | None]


class BulkScript:
    """A script that takes shared ``keys`` and ``args`` first, then the keys and arguments of each call."""

    def __init__(self, pipe: ScriptPipe, script: Script, *, keys: Sequence[str] = (), args: Sequence[Arg] = ()) -> None:
        self._pipe = pipe
        self._script = script
        self._keys = tuple(keys)
        self._args = tuple(args)
        self._parts: list[Part] = []
        self._bytes = 0

    def call(
        self, keys: Sequence[str], args: Sequence[Arg], *, size: int = 0, decode: Decode | None = None
    ) -> asyncio.Future[Any]:
        """Return a future for this call's decoded part of the reply; it fails as ``ScriptPipe.call`` does.

        ``size`` is the call's length in bytes; small calls may omit it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._parts:
            loop.call_soon(self.flush)
        self._parts.append((future, keys, args, decode))
        self._bytes += size
        if len(self._parts) >= MOST_AT_ONCE or self._bytes >= MOST_BYTES:
            self.flush()
        return future

    def flush(self) -> None:
        """Send the pending calls without waiting for the end of the tick."""
        parts, self._parts, self._bytes = self._parts, [], 0
        if parts:
            self._send(parts)

    def _send(self, parts: list[Part]) -> None:
        keys, args = list(self._keys), list(self._args)
        for _, own_keys, own_args, _ in parts:
            keys += own_keys
            args += own_args
        try:
            self._pipe.send(self._script, keys, args, partial(_hand_out, parts))
        except (TypeError, ValueError) as error:  # an argument that Redis cannot represent fails only its own call
            if len(parts) > 1:
                for part in parts:
                    self._send([part])
            elif not parts[0][0].done():
                parts[0][0].set_exception(error)
        self._pipe.flush()


def _hand_out(parts: list[Part], reply: Any) -> None:
    answers: list[Any] = [reply] * len(parts) if isinstance(reply, Exception) else reply
    for (future, _, _, decode), answer in zip(parts, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
            future.exception()  # a task cancelled before its first step never reads it, and asyncio would log it
        else:
            future.set_result(answer if decode is None else decode(answer))
