"""Runs the tools a model asks for. Whatever a model, or a page through it, makes of them, this is as far as it gets.

A call's arguments are checked, its reach is the site the question is limited to, its failures are answers. What lasts
or reaches out (``remember``, ``request_scan``) takes only the user's own words, and has an id made of the job's id and
what it is about: a run that is repeated, in another order too, does it once. Jobs are submitted through a function that
is handed in.
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
"""First label of what users asked to be remembered."""
MAX_ID_CHARS: Final = 100
"""Of a job id that others are made from; ids end at 128."""

Submit = Callable[[str, JsonObject], Awaitable[object]]
"""Queues a scan under a job id, once however often it is called. Raises as the client's ``submit``."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: JSON for the model, the scans it speaks of, and a note for the user where it failed."""

    text: str
    scans: tuple[str, ...] = ()
    note: str = ""
    failed: bool = False


class Toolbox:
    """The seven tools, on the memories of one environment. Safe for several questions at once."""

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
        """Run one call of a turn. Raises nothing that a model or a page can cause, nor a failed tool."""
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
        """Look where the question looks: on its site and among what was said of all sites."""
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
    """Return where the words about ``site`` are kept, '' for all sites."""
    return (MEMORIES, sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:40] if site else "all")


def scan_job_id(job_id: str, url: str) -> str:
    """Return the id of the scan of ``url`` that a query asks for."""
    stem = job_id if len(job_id) <= MAX_ID_CHARS else sha256(job_id.encode()).hexdigest()[:40]
    return check_job_id(f"{stem}.scan-{_mark(url)}")


def _mark(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def refused(call: ToolCall, asker: Asker, reason: str) -> Answer:
    """Return the answer to a call that is not run; the user is told where it would have left something behind."""
    log.info("tool.refused", tool=call.name[:60], job_id=asker.job_id)
    note = f"{call.name} was refused: {reason}" if call.name in WRITERS else ""
    return Answer(_error(reason), note=note, failed=True)


def _error(reason: str) -> str:
    return json.dumps({"error": reason}, ensure_ascii=False)
