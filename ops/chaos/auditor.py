"""Compares Redis with the producers' journal, independently of the workers and their logs.

Every check returns a sentence for each discrepancy; none means that nothing was lost, doubled or left over. Read
straight from Redis with plain commands; nothing is repaired.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

from calls import late_calls
from journal import Journal
from redis.asyncio import Redis
from windows import Windows

from producer.contract import JobState, Lane
from producer.keys import GROUP, Keys
from worker.agent.conversation.state import MAX_TURNS, parse_turns
from worker.doctor.lifetimes import take_sample
from worker.limits.conversation_hold import thread_tag
from worker.memory.checkpoints import conversation_saver

ENDS: Final = {f"job.{state}": state for state in ("succeeded", "cancelled", "dead")}
FINAL: Final = frozenset(ENDS.values())


class Auditor:
    """Looks at one environment after everything has ended."""

    def __init__(self, redis: Redis, keys: Keys, journal: Journal) -> None:
        self._redis = redis
        self._keys = keys
        self._acknowledged = {fact["job_id"]: fact for fact in journal.facts("acknowledged")}
        self._sealed = {fact["batch"]: fact for fact in journal.facts("sealed")}
        self._cancelled = {fact["job_id"]: fact for fact in journal.facts("cancelled") if fact["is_over"]}
        self._garbage = {f"{fact['lane']}-{fact['entry']}": fact for fact in journal.facts("garbage")}
        self._refused = [fact["job_id"] for fact in journal.facts("refused")]
        self._denied = {fact["job_id"] for fact in journal.facts("denied")}
        self._calls_late = late_calls(journal)
        self.windows = Windows(journal)
        self.states: Counter[str] = Counter()
        self.attempts: Counter[int] = Counter()

    async def findings(self) -> dict[str, list[str]]:
        """Return what is wrong, by check."""
        self._events = [json.loads(line) async for line in self._event_lines()]
        self._jobs = {name: fields async for name, fields in self._hashes(self._keys.job(""))}
        self._results = {name: json.loads(text) async for name, text in self._strings(self._keys.result(""))}
        for fields in self._jobs.values():
            self.states[fields["state"]] += 1
            self.attempts[int(fields["attempt"])] += 1
        checks: dict[str, Callable[[], Awaitable[list[str]]]] = {
            "every call returned within its deadline": self._late,
            "nothing acknowledged is lost": self._lost,
            "nothing stays queued": self._unfinished,
            "what was refused was not done": self._done_though_refused,
            "every end is committed once": self._doubled,
            "history holds each scan once": self._history,
            "batches add up and end once": self._batches,
            "conversations have each turn once": self._conversations,
            "garbage is dead, with its reason": self._garbage_buried,
            "nothing is left over": self._left_over,
        }
        return {name: await check() for name, check in checks.items()}

    # ------------------------------------------------------------------------------------------ checks

    async def _late(self) -> list[str]:
        return self._calls_late

    async def _unfinished(self) -> list[str]:
        left = {job_id: fields for job_id, fields in self._jobs.items() if fields["state"] not in FINAL}
        told = ("error", "attempt", "delay_ms")
        return [
            f"job {job_id} is {fields['state']}: { {name: fields[name] for name in told if name in fields} }"
            for job_id, fields in left.items()
        ]

    async def _done_though_refused(self) -> list[str]:
        wrong = [f"job {job_id} was refused and is there" for job_id in self._refused if job_id in self._jobs]
        # Two failovers may lose a job and bring it back, with the primary that had it.
        denied = [j for j in self._denied if j in self._jobs and not self.windows.excuse(self._acknowledged[j])]
        return wrong + [f"job {job_id} was denied and is there" for job_id in denied]

    async def _lost(self) -> list[str]:
        wrong: list[str] = []
        for job_id, fact in self._acknowledged.items():
            state = self._state(job_id)
            result = self._results.get(job_id)
            if state == "nowhere" and self.windows.excuse(fact):
                continue
            if state not in FINAL:
                wrong.append(f"job {job_id} was acknowledged and is {state}")
            elif result is None or result["state"] != state:
                wrong.append(f"job {job_id} is {state}, its result {result and result['state']}")
        for job_id, fact in self._cancelled.items():
            if self._state(job_id) != JobState.CANCELLED and not self.windows.excuse(fact):
                wrong.append(f"job {job_id} was cancelled and ran all the same")
        return wrong

    async def _doubled(self) -> list[str]:
        ends: dict[str, list[str]] = defaultdict(list)
        for event in self._events:
            if event["event"] in ENDS:
                ends[event["job_id"]].append(ENDS[event["event"]])
        wrong = [
            f"job {job_id} is {fields['state']} and was announced as {ends[job_id]}"
            for job_id, fields in self._jobs.items()
            if ends[job_id] != [fields["state"]]
        ]
        return wrong + [f"job {job_id} was announced and does not exist" for job_id in ends if job_id not in self._jobs]

    async def _history(self) -> list[str]:
        scans = [r for r in self._results.values() if r["kind"] == "scan" and r["state"] == JobState.SUCCEEDED]
        documents = {name: fields async for name, fields in self._hashes(self._keys.scan_prefix)}
        seen = sum(int(fields.get("times_seen", 0)) for fields in documents.values())
        missing = [result for result in scans if result["scan_id"] not in documents]
        wrong = [f"scan {result['job_id']} has no history entry {result['scan_id']}" for result in missing]
        if seen != len(scans):
            wrong.append(f"{len(scans)} scans were committed, and history counts {seen}")
        generation = int(await _value(self._redis.hget(self._keys.site(""), "generation")) or 0)
        if generation != len(scans):
            wrong.append(f"{len(scans)} scans were committed, and the generation of all sites is {generation}")
        return wrong

    async def _batches(self) -> list[str]:
        members = Counter(fact["batch"] for fact in self._acknowledged.values() if fact["batch"])
        announced = Counter(event["batch"] for event in self._events if event["event"] == "batch.finished")
        wrong: list[str] = []
        for batch, fact in self._sealed.items():
            fields = _texts(await _value(self._redis.hgetall(self._keys.batch(batch))))
            total, done = int(fields.get("total", 0)), int(fields.get("done", 0))
            if not total == done == members[batch]:
                wrong.append(f"batch {batch}: {members[batch]} jobs acknowledged, {total} in all, {done} ended")
            if announced[batch] != 1 and not (announced[batch] == 0 and self.windows.excuse(fact)):
                wrong.append(f"batch {batch} was announced {announced[batch]} times")
        return wrong

    async def _conversations(self) -> list[str]:
        asked: dict[str, list[str]] = defaultdict(list)
        for fact in self._acknowledged.values():
            if fact["kind"] == "query" and self._state(fact["job_id"]) == JobState.SUCCEEDED:
                asked[fact["thread"]].append(fact["job_id"])
        saver = await conversation_saver(self._redis, self._keys, ttl_s=600)
        wrong: list[str] = []
        for thread, job_ids in asked.items():
            name = f"{self._keys.environment}:talk:{thread_tag(thread)}"
            kept = await saver.aget_tuple({"configurable": {"thread_id": name}})
            turns = [] if kept is None else parse_turns(kept.checkpoint["channel_values"].get("turns", ""))
            spoken = [turn.job_id for turn in turns]
            if not is_complete(job_ids, spoken):
                wrong.append(f"thread {thread}: asked {job_ids[-MAX_TURNS:]}, spoken {spoken}")
        return wrong

    async def _garbage_buried(self) -> list[str]:
        letters = [_texts(fields) for _, fields in await _value(self._redis.xrange(self._keys.dead))]
        reasons = Counter(letter.get("id", "") for letter in letters if letter.get("reason"))
        return [
            f"garbage {name} is dead {reasons[name]} times"
            for name, fact in self._garbage.items()
            if reasons[name] != 1 and not (reasons[name] == 0 and self.windows.excuse(fact))
        ]

    async def _left_over(self) -> list[str]:
        redis, keys = self._redis, self._keys
        wrong: list[str] = []
        for lane in Lane:
            entries = await redis.xlen(keys.lane(lane))
            pending = (await redis.xpending(keys.lane(lane), GROUP))["pending"]
            if entries or pending:
                wrong.append(f"lane {lane}: {entries} entries, {pending} pending")
        counts = {"scheduled jobs": keys.scheduled, "GPU slots held": keys.gpu_holders, "GPU waiters": keys.gpu_waiters}
        for what, key in counts.items():
            if number := await redis.zcard(key):
                wrong.append(f"{number} {what}")
        if number := await _value(redis.hlen(keys.gpu_calls)):
            wrong.append(f"{number} model calls in the pool's books")
        for what, pattern in {"secrets": keys.secret("*"), "slots of hosts": keys.host_slots("*")}.items():
            lasting = [name async for name in redis.scan_iter(match=pattern, count=500) if await redis.ttl(name) < 0]
            if lasting:
                wrong.append(f"{what} without an end: {lasting[:3]}")
        sample = await take_sample(redis, keys)
        examples = sample.examples
        return wrong + [f"{n} keys of {kind} without a TTL: {examples[kind]}" for kind, n in sample.lasting.items()]

    # ------------------------------------------------------------------------------------------ reading

    def _state(self, job_id: str) -> str:
        return self._jobs.get(job_id, {}).get("state", "nowhere")

    async def _event_lines(self) -> AsyncIterator[bytes]:
        for _, fields in await _value(self._redis.xrange(self._keys.events)):
            yield fields[b"event"]

    async def _hashes(self, prefix: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
        async for raw in self._redis.scan_iter(match=f"{prefix}*", count=500):
            yield raw.decode().removeprefix(prefix), _texts(await _value(self._redis.hgetall(raw)))

    async def _strings(self, prefix: str) -> AsyncIterator[tuple[str, str]]:
        async for raw in self._redis.scan_iter(match=f"{prefix}*", count=500):
            yield raw.decode().removeprefix(prefix), (await self._redis.get(raw) or b"null").decode()


async def _value(reply: Any) -> Any:
    """Await what redis-py types as either a value or an awaitable of it."""
    return await cast("Awaitable[Any]", reply)


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}


def is_complete(asked: list[str], spoken: list[str], *, most: int = MAX_TURNS) -> bool:
    """Return whether a conversation's turns ``spoken`` are the newest ``most`` of all turns ``asked``, each once.

    A failover may undo the end of a turn. It is then answered again after later ones, and takes the place of the
    oldest turn that is kept.
    """
    newest = asked[-most:]
    moved = [at for at, turn in enumerate(spoken) if turn not in newest]
    missing = set(newest).difference(spoken)
    is_once = len(set(spoken)) == len(spoken) and set(spoken) <= set(asked)
    if not is_once or len(moved) != len(missing):
        return False
    later = spoken[moved[-1] + 1 :] if moved else []
    return not missing or bool(later and missing.isdisjoint(asked[asked.index(later[0]) :]))
