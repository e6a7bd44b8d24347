"""Advice on what to fix first on a whole site: one model call per site and day, made by its batch's last assessment.

The model gets rules and numbers of the newest state of the site's pages in the history. The order is stored in
``order:<site>``, and each assessment of the site committed on the same day includes it. A failed call does not affect
the page's assessment and is repeated by a later page, up to ``MOST_TRIES`` times a day.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import BaseModel, Field
from redis.asyncio import Redis

from producer.contract import JsonObject, Lane, SiteOrder, Usage
from producer.contract.addresses import site_of
from producer.contract.advice import advice_on
from producer.errors import SightlineError
from producer.keys import GROUP, Keys
from producer.redis.scripts import as_text, load_script, run_script
from worker.agent.prompts import REPAIR, clip, load_prompt, version_of
from worker.agent.structured_reply import NoAnswer, ask_in_form
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import PageState, one_a_page
from worker.models.protocols import ChatModel, Message

ORDER_SYSTEM: Final = load_prompt("site_order")
ORDER_VERSION: Final = version_of("site-order", ORDER_SYSTEM, REPAIR)
DUE: Final = load_script("worker.agent.assessment", "order_due")
KEEP: Final = load_script("worker.agent.assessment", "order_keep")

MAX_CHARS: Final = 1_500
MAX_RULES: Final = 20
MAX_PAGES: Final = 2_000
SEEN_MS: Final = 30 * 86_400_000
"""Pages not scanned for a month may be gone."""
ALONE_MS: Final = 600_000
"""Lease of the call: longer than a call takes; a killed worker costs the site ten minutes."""
MOST_TRIES: Final = 3
TTL_S: Final = 90 * 86_400
LANES: Final = (Lane.INTERACTIVE, Lane.BATCH)
SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {"order": {"type": "string", "maxLength": MAX_CHARS}},
    "required": ["order"],
}

log = structlog.get_logger()


class OrderDraft(BaseModel):
    """An order as a model writes it."""

    order: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class SiteOrders:
    """The orders of one environment's sites, written by ``chat``."""

    chat: ChatModel
    history: History
    redis: Redis
    keys: Keys

    async def of_today(self, url: str) -> tuple[SiteOrder | None, Usage]:
        """Return today's order of the site of ``url``, requesting it if the site's batch is over.

        Raises Redis's errors, but none that the model or the history can cause.
        """
        site = site_of(url)
        if not site:
            return None, Usage()
        key = self.keys.site_order(site)
        streams = [self.keys.lane(lane) for lane in (Lane.ASSESS, *LANES)]
        said, kept = map(as_text, await run_script(self.redis, DUE, [key, *streams], _DUE_ARGS))
        if kept:
            return SiteOrder.model_validate_json(kept), Usage()
        if said != "due":
            return None, Usage()
        order, usage = await self._asked(site)
        if order is not None:
            await run_script(self.redis, KEEP, [key], [order.model_dump_json()])
        return order, usage

    async def _asked(self, site: str) -> tuple[SiteOrder | None, Usage]:
        try:
            since_ms = await self.history.now_ms() - SEEN_MS
            wanted = ScanFilter(host=site, status=("scanned", "partial"), since_ms=since_ms)
            pages = one_a_page(await self.history.newest_of_pages(wanted, limit=MAX_PAGES))
        except SightlineError as error:
            log.warning("order.failed", site=site, error=str(error))
            return None, Usage()
        document = json.dumps(document_of(pages), ensure_ascii=False)
        messages = (Message("system", ORDER_SYSTEM), Message("user", document))
        answer = await ask_in_form(self.chat, messages, OrderDraft, SCHEMA)
        if isinstance(answer, NoAnswer):
            log.warning("order.failed", site=site, error=answer.reason)
            return None, answer.usage
        text = clip(answer.draft.order, MAX_CHARS)
        log.info("order.written", site=site, pages=len(pages), model=answer.model)
        return SiteOrder(site=site, text=text, model=answer.model, pages=len(pages), prompt=ORDER_VERSION), answer.usage


_DUE_ARGS: Final = (ALONE_MS, MOST_TRIES, TTL_S, GROUP)


def document_of(pages: list[PageState]) -> JsonObject:
    """Return the model's input about a site: rules and numbers, no text of its pages."""
    sums = Counter(rule for page in pages for rule in page.rules)
    rules: list[JsonObject] = []
    for rule, count in sums.most_common(MAX_RULES):
        entry: JsonObject = {"rule": rule, "pages": count}
        if (advice := advice_on(rule)) is not None:
            entry |= {"problem": advice.problem, "remedy": advice.do}
        rules.append(entry)
    elements = {
        impact: sum(getattr(page.barriers, impact) for page in pages)
        for impact in ("critical", "serious", "moderate", "minor")
    }
    return {
        "task": "order",
        "pages": len(pages),
        "pages_with_barriers": sum(bool(page.rules) for page in pages),
        "elements": elements,
        "rules": rules,
        "rules_left_out": max(0, len(sums) - MAX_RULES),
    }
