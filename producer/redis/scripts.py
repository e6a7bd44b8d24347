"""Loads Lua scripts from package data, runs them by SHA, and reads replies as text.

A line ``--@include _name.lua`` is replaced by that file, from the script's own package or from ``producer/redis/lua``.
The SHA is that of the text, so two releases never run each other's scripts.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from producer.redis.raw_connection import replied

_INCLUDE: Final = re.compile(r"^--@include (\S+)\n", re.MULTILINE)

Arg = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script: one transition of ``docs/state-machine.md``."""

    name: str
    text: str
    sha: str

    def packed(self, keys: Sequence[str], args: Sequence[Arg], *, with_text: bool = False) -> bytes:
        """Return the command that runs it by SHA, or ``with_text`` for a Redis that does not have it.

        Raises ``TypeError`` or ``ValueError`` for an argument that Redis cannot represent.
        """
        head = ("EVAL", self.text) if with_text else ("EVALSHA", self.sha)
        command: Any = (*head, len(keys), *keys, *args)  # hiredis types it as a tuple of one
        return pack_command(command)


def load_script(package: str, name: str) -> Script:
    """Return ``<package>/lua/<name>.lua`` with its includes expanded."""
    ours = f"sightline.{package}"  # if the program has its own package of that name (sightline/names.py)
    places = (_folder_of(ours if ours in sys.modules else package) / "lua", Path(__file__).parent / "lua")

    def included(match: re.Match[str]) -> str:
        for place in places:
            file = place / match[1]
            if file.is_file():
                return file.read_text("utf-8")
        msg = f"{package}/lua/{name}.lua includes {match[1]!r}, which does not exist"
        raise FileNotFoundError(msg)

    text = _INCLUDE.sub(included, (places[0] / f"{name}.lua").read_text("utf-8"))
    return Script(name, text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324  EVALSHA's own digest


def _folder_of(package: str) -> Path:
    """Return a package's folder; ``importlib.resources`` takes four times as long to read a script."""
    return Path(import_module(package).__file__ or "").parent


async def run_script(redis: Redis, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
    """Run a script; loads it first if Redis does not have it, as after a restart.

    Raises redis-py's errors, and ``ReplyTimeout`` after ``REPLY_S``: the script may have run.
    """
    call = cast("Any", redis)  # redis-py 5 types evalsha's arguments as str only
    try:
        return await replied(call.evalsha(script.sha, len(keys), *keys, *args))
    except NoScriptError:
        return await replied(call.eval(script.text, len(keys), *keys, *args))


def as_text(value: object) -> str:
    """Return a Redis reply as text, whether or not the client decodes; '' for None."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
