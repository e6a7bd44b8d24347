"""Generates results whose elements belong to component barriers, and commits them as workers do."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from langgraph.runtime import Runtime
from redis.asyncio import Redis

from producer.contract import Finding, Impact, ScanRequest, ScanResult, ScanStatus
from producer.keys import Keys
from tests.redis.agent.scanning import graph
from tests.support.committing import started
from tests.support.queue import events_of, open_stream
from tests.support.scans import FixedEngine, embedded, finding, scan_result
from worker.agent.handlers import scan_commit
from worker.agent.state import Recalled, ScanContext, new_state
from worker.memory.history.history import History
from worker.memory.history.scan_record import search_text
from worker.queue.outcome import Commit

SITE = "00c0ffee"


def component(
    name: str, *, rule: str = "image-alt", elements: int = 1, impact: Impact = Impact.CRITICAL, also: Sequence[str] = ()
) -> Finding:
    """Return a finding with ``elements`` of the component ``name`` (hex digits), and others such as ``beef-0``."""
    made = finding(rule, *(f"{name}-{number}" for number in range(elements)), *also, impact=impact)
    nodes = [
        node.model_copy(update={"issue_id": issue_id(of), "component": f"Header › {of}"})
        for node in made.nodes
        for of in [node.fingerprint.partition("-")[0]]
    ]
    return made.revised(nodes=tuple(nodes))


def issue_id(name: str) -> str:
    """The id of the component ``name`` on the tests' site."""
    return f"{name:0>16}-{SITE}"


class Site:
    """Scans pages of one site, compared with the history and committed by the workers' code and the real finish.lua."""

    def __init__(
        self, redis: Redis, keys: Keys, history: History, *, first: int = 0, host: str = "shop.example"
    ) -> None:
        """``first``: the number of jobs that this Redis has already had."""
        self._host = host
        self.redis = redis
        self.keys = keys
        self.history = history
        self._count = first
        self._graph = graph(FixedEngine([]), history, keys)

    async def recall(
        self,
        *findings: Finding,
        path: str = "/home",
        status: ScanStatus = "scanned",
        group: str = "",
        batch: str = "",
        submitted_ms: int = 0,
        looks_back: bool = True,
        at_ms: int = 0,
        **payload: Any,
    ) -> Commit:
        """Return a scan's commit, not yet made, by the graph's steps without the graph, which takes 20 ms.

        A page's first scan need not look back. ``at_ms`` is when it was seen, by default Redis' time.
        """
        self._count += 1
        url = "" if "html" in payload else f"https://{self._host}{path}"
        result = scan_result(*findings, url=url, status=status, group=group)
        request = ScanRequest.model_validate({"url": url or None, "group": group, "assess": False, **payload})
        state: Any = {**new_state(f"job-{self._count}", request.model_dump_json()), "result": result.model_dump_json()}
        context = ScanContext(submitted_ms=submitted_ms, batch=batch)
        if looks_back:
            state |= await self._graph.recall(state, Runtime(context=context))
        else:
            state |= {"recalled": Recalled().model_dump_json(), "embedded": embedded(search_text(result)).pack()}
        state |= await self._graph.record(state) | ({"seen_ms": at_ms} if at_ms else {})
        return scan_commit(state, self.keys, shot_ttl_s=60, batch=batch)

    async def commit(self, *commits: Commit) -> None:
        """Make the commits, one after another."""
        async with open_stream(self.redis, self.keys) as stream:
            for commit in commits:
                self._count += 1
                delivery = await started(self.redis, self.keys, f"commit-{self._count}")
                assert await stream.finish(delivery, commit=commit) == "committed"

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[Callable[[Commit], Awaitable[object]]]:
        """Return a function that commits a scan by finish.lua alone, for a job that is already running."""
        self._count += 1
        async with open_stream(self.redis, self.keys) as stream:
            delivery = await started(self.redis, self.keys, f"commit-{self._count}")
            yield lambda commit: stream.finish(delivery, commit=commit)

    async def scan(self, *findings: Finding, **about: Any) -> ScanResult:
        """Scan a page and commit it; return the result."""
        commit = await self.recall(*findings, **about)
        await self.commit(commit)
        return cast("ScanResult", commit.result)

    async def begin(self, batch: str) -> str:
        """Begin a batch now."""
        await self.redis.execute_command("HSET", self.keys.batch(batch), "created_ms", await self.history.now_ms())
        return batch

    async def regressions(self) -> list[Mapping[str, Any]]:
        """Return the regression events."""
        events = [json.loads(line) for line in await events_of(self.redis, self.keys)]
        return [event for event in events if event["event"] == "scan.regressed"]


def names(changes: Sequence[Any] | None) -> list[str]:
    """Return the names of component barriers in a result's changes."""
    return [one.name.removeprefix("Header › ") for one in changes or ()]
