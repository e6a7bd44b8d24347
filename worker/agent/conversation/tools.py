"""Runs the tools requested by a model, and limits what a model, or a page through it, can do with them.

A call's arguments are checked, its scope is the site that the question is limited to, and its failures are results.
Tools with side effects (``remember``, ``request_scan``) take only the user's own words, and use ids derived from the
job's id and the content: a repeated run, even in another order, applies them once (``side_effects.py``).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError

from producer.contract import describe_invalid
from producer.errors import InvalidJob, SightlineError
from worker.agent.conversation.compare_tool import Comparison
from worker.agent.conversation.component_tool import Components
from worker.agent.conversation.history_tools import LookUp, ToolResult
from worker.agent.conversation.side_effects import (
    MEMORIES,
    SideEffect,
    SideEffects,
    memory_namespace,
    scan_job_id,
)
from worker.agent.conversation.tool_args import ARGS, WRITERS, Recall, Remember, RequestScan
from worker.agent.conversation.user_words import Asker, may_scan, own_words
from worker.agent.prompts import clip
from worker.memory.dates import time_of
from worker.memory.history.history import History
from worker.models.protocols import ToolCall

MAX_RECALLED: Final = 5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call: JSON for the model, the scans it mentions, and a note for the user if it failed.

    ``effect`` is its side effect.
    """

    text: str
    scans: tuple[str, ...] = ()
    note: str = ""
    failed: bool = False
    effect: SideEffect | None = None


class Toolbox:
    """The seven tools, for the data of one environment. Safe for concurrent questions."""

    def __init__(
        self,
        *,
        history: History,
        effects: SideEffects,
        result_of: Callable[[str], Awaitable[str | bytes | None]],
    ) -> None:
        look_up = LookUp(history, result_of=result_of)
        self.effects = effects
        self._tools: dict[str, Callable[[Any, Asker], Awaitable[ToolResult]]] = {
            "search_scans": look_up.search,
            "get_scan": look_up.scan,
            "compare_scans": Comparison(history, look_up).compare,
            "list_components": Components(history).list_components,
            "remember": self._remember,
            "recall": self._recall,
            "request_scan": self._request_scan,
        }

    async def run(self, call: ToolCall, asker: Asker) -> Answer:
        """Run one call of a turn. Raises no error that a model or a page can cause, nor a tool's failure."""
        args = ARGS.get(call.name)
        if args is None:
            return refused(call, asker, f"there is no tool {call.name[:60]!r}: expected one of {', '.join(ARGS)}")
        try:
            told = await self._tools[call.name](args.model_validate(call.arguments), asker)
        except ValidationError as error:
            return refused(call, asker, f"wrong arguments: {clip(describe_invalid(error))}")
        except (ValueError, InvalidJob) as error:
            return refused(call, asker, clip(str(error)))
        except SightlineError as error:
            log.warning("tool.failed", tool=call.name, job_id=asker.job_id, error=f"{type(error).__name__}: {error}")
            reason = clip(str(error))
            return Answer(_error(reason), note=f"{call.name} failed: {reason}", failed=True)
        return Answer(told.text, told.scans, effect=told.effect)

    async def _remember(self, args: Remember, asker: Asker) -> ToolResult:
        words = own_words(args.words, asker)
        effect = SideEffect(kind="memory", text=words, site=asker.site, at_ms=asker.now_ms)
        await self.effects.make(asker.job_id, effect)
        return ToolResult({"remembered": words, "for_site": asker.site or "all"}, (), effect)

    async def _recall(self, args: Recall, asker: Asker) -> ToolResult:
        """Search the question's site and the memories about all sites."""
        places = [memory_namespace(asker.site), memory_namespace("")] if asker.site else [(MEMORIES,)]
        found = [
            item
            for place in places
            for item in await self.effects.memories.search(place, query=args.text or "", limit=MAX_RECALLED + 1)
        ]
        found.sort(key=lambda item: (item.score or 0.0, item.updated_us), reverse=True)
        said = [
            {
                "text": clip(str(item.value.get("text", ""))),
                "site": item.value.get("site", ""),
                "said": time_of(int(item.value.get("said_ms", 0))),
            }
            for item in found[:MAX_RECALLED]
        ]
        return ToolResult({"remembered": said, "there_is_more": len(found) > MAX_RECALLED}, ())

    async def _request_scan(self, args: RequestScan, asker: Asker) -> ToolResult:
        url = may_scan(args.url, asker)
        effect = SideEffect(kind="scan", text=url, group=args.group)
        await self.effects.make(asker.job_id, effect)
        job_id = scan_job_id(asker.job_id, url)
        return ToolResult({"queued": url, "job": job_id, "result": "follows later, as a scan with that id"}, (), effect)


def refused(call: ToolCall, asker: Asker, reason: str) -> Answer:
    """Return the result of a refused call, with a note for the user if it would have had a side effect."""
    log.info("tool.refused", tool=call.name[:60], job_id=asker.job_id)
    note = f"{call.name} was refused: {reason}" if call.name in WRITERS else ""
    return Answer(_error(reason), note=note, failed=True)


def _error(reason: str) -> str:
    return json.dumps({"error": reason}, ensure_ascii=False)
