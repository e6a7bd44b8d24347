"""The side effects of a question: remembered words and queued scans. Safe to repeat.

Both are written while the question runs, under keys derived from the job's id and their content. A failover before the
job's end may lose them although the turn that mentions them is kept: ``ensure`` repeats missing ones before the job's
commit, and the commit requires each (``FieldNeeded``).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, cast

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from producer.contract import JsonObject, check_job_id
from producer.keys import Keys
from producer.redis.scripts import as_text
from worker.memory.memories import Memories
from worker.queue.outcome import FieldNeeded

MEMORIES: Final = "words"
"""First label of the namespaces of remembered words."""
MAX_ID_CHARS: Final = 100
"""Maximum characters of a job id that others are derived from; ids have at most 128."""

Submit = Callable[[str, JsonObject], Awaitable[object]]
"""Queues a scan under a job id, once even if called repeatedly. Raises as the client's ``submit`` does."""


class SideEffect(BaseModel):
    """Words remembered for ``site`` at ``at_ms``, or the address of a scan queued with ``group``."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["memory", "scan"]
    text: str
    site: str = ""
    at_ms: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class SideEffects:
    """Applies the side effects of questions in one environment."""

    redis: Redis
    keys: Keys
    memories: Memories
    submit: Submit

    async def make(self, job_id: str, effect: SideEffect) -> None:
        """Apply ``effect`` for the question ``job_id``. Raises the errors of the embedding model and of ``submit``."""
        if effect.kind == "scan":
            await self.submit(scan_job_id(job_id, effect.text), {"url": effect.text, "group": effect.group})
            return
        value: JsonObject = {"text": effect.text, "site": effect.site, "said_ms": effect.at_ms}
        await self.memories.put(memory_namespace(effect.site), memory_key(job_id, effect.text), value)

    async def ensure(self, job_id: str, effects: Sequence[SideEffect]) -> list[FieldNeeded]:
        """Repeat missing ``effects``; return the fields that the job's commit requires.

        Effects missing even then were dropped because of a limit and are not required. Raises as ``make`` does.
        """
        places = [self._place(job_id, effect) for effect in effects]
        for effect, place in zip(effects, places, strict=True):
            if not await self._is_there(place):
                await self.make(job_id, effect)
        return [place for place in places if await self._is_there(place)]

    def _place(self, job_id: str, effect: SideEffect) -> FieldNeeded:
        if effect.kind == "scan":
            return FieldNeeded(self.keys.job(scan_job_id(job_id, effect.text)), "kind", "scan", goes=False)
        key = memory_key(job_id, effect.text)
        return FieldNeeded(
            self.memories.name_of(memory_namespace(effect.site), key), "key", json.dumps(key), goes=False
        )

    async def _is_there(self, place: FieldNeeded) -> bool:
        found = await cast("Awaitable[bytes | None]", self.redis.hget(place.key, place.field))
        return found is not None and as_text(found) == place.value


def memory_namespace(site: str) -> tuple[str, str]:
    """Return the namespace of the words about ``site``, '' for all sites."""
    return (MEMORIES, sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:40] if site else "all")


def memory_key(job_id: str, words: str) -> str:
    """Return the key of ``words`` that the question ``job_id`` asks to remember."""
    return f"{job_id}.{_mark(words)}"


def scan_job_id(job_id: str, url: str) -> str:
    """Return the id of the scan of ``url`` requested by a question."""
    stem = job_id if len(job_id) <= MAX_ID_CHARS else sha256(job_id.encode()).hexdigest()[:40]
    return check_job_id(f"{stem}.scan-{_mark(url)}")


def _mark(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
