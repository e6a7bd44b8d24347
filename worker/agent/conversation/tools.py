"""Runs the tools requested by a model, and limits what a model, or a page through it, can do with them.

Arguments are validated, the scope is the question's site, failures are results. Tools with side effects (``remember``,
``request_scan``) accept only the user's own words, and use an id derived from the job's id and their content, so that a
repeated run, even in another order, does them once. Jobs are submitted through a function that is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import structlog
from pydantic import ValidationError

from producer.contract import JsonObject, check_job_id, describe_invalid
from producer.errors import InvalidJob, SightlineError
from worker.agent.conversation.compare_tool import Comparison
from worker.agent.conversation.component_tool import Components
from worker.agent.conversation.history_tools import LookUp, Told
from worker.agent.conversation.tool_args import ARGS, WRITERS, Recall, Remember, RequestScan
from worker.agent.conversation.user_words import Asker, may_scan, own_words
from worker.agent.prompts import clip
from worker.memory.dates import time_of
from worker.memory.history.history import History
from worker.memory.memories import Memories
from worker.models.protocols import ToolCall

MAX_RECALLED: Final = 5
MEMORIES: Final = "words"
"""First label of memories requested by users."""
MAX_ID_CHARS: Final = 100
"""Characters of a job id used in derived ids, which have at most 128."""

Submit = Callable[[str, JsonObject], Awaitable[object]]
"""Queues a scan under a job id; idempotent. Raises as the client's ``submit``."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call: JSON for the model, the scans in it, and a note for the user if it failed."""

    text: str
    scans: tuple[str, ...] = ()
    note: str = ""
    failed: bool = False


class Toolbox:
    """The seven tools, on the memories of one environment. Safe for concurrent questions."""

    def __init__(
        self,
        *,
        history: History,
        memories: Memories,
        submit: Submit,
        result_of: Callable[[str], Awaitable[str | bytes | None]],
    ) -> None:
        look_up = LookUp(history, result_of=result_of)
        self._memories = memories
        self._submit = submit
        self._tools: dict[str, Callable[[Any, Asker], Awaitable[Told]]] = {
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
        return Answer(told.text, told.scans)

    async def _remember(self, args: Remember, asker: Asker) -> Told:
        words = own_words(args.words, asker)
        value = {"text": words, "site": asker.site, "said_ms": asker.now_ms}
        await self._memories.put(memory_namespace(asker.site), f"{asker.job_id}.{_mark(words)}", value)
        return Told({"remembered": words, "for_site": asker.site or "all"}, ())

    async def _recall(self, args: Recall, asker: Asker) -> Told:
        """Search the question's site and the memories about all sites."""
        places = [memory_namespace(asker.site), memory_namespace("")] if asker.site else [(MEMORIES,)]
        found = [
            item
            for place in places
            for item in await self._memories.search(place, query=args.text or "", limit=MAX_RECALLED + 1)
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
        return Told({"remembered": said, "there_is_more": len(found) > MAX_RECALLED}, ())

    async def _request_scan(self, args: RequestScan, asker: Asker) -> Told:
        url = may_scan(args.url, asker)
        job_id = scan_job_id(asker.job_id, url)
        await self._submit(job_id, {"url": url, "group": args.group})
        return Told({"queued": url, "job": job_id, "result": "comes later, as a scan of that id"}, ())


def memory_namespace(site: str) -> tuple[str, str]:
    """Return the key of memories about ``site``, '' for all sites."""
    return (MEMORIES, sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:40] if site else "all")


def scan_job_id(job_id: str, url: str) -> str:
    """Return the id of a scan of ``url`` requested by a query."""
    stem = job_id if len(job_id) <= MAX_ID_CHARS else sha256(job_id.encode()).hexdigest()[:40]
    return check_job_id(f"{stem}.scan-{_mark(url)}")


def _mark(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def refused(call: ToolCall, asker: Asker, reason: str) -> Answer:
    """Return the result of a refused call, with a note for the user if it would have had a side effect."""
    log.info("tool.refused", tool=call.name[:60], job_id=asker.job_id)
    note = f"{call.name} was refused: {reason}" if call.name in WRITERS else ""
    return Answer(_error(reason), note=note, failed=True)


def _error(reason: str) -> str:
    return json.dumps({"error": reason}, ensure_ascii=False)
