"""The answer cache in a conversation: which answers may be reused, and for which question.

An answer is valid for its site, model and prompt, the site's generation, the day, the conversation so far, and the
deciding words of the question (``user_words.deciding_words``): what differs is how it is asked. Only complete answers
are stored, with sources or without any look-up, and none that used memories or had side effects. If embedding fails,
the question is answered without the cache.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from producer.contract import Usage
from producer.errors import ModelError
from worker.agent.conversation.citations import NO_SOURCE
from worker.agent.conversation.prompt import ASK_VERSION
from worker.agent.conversation.state import FinishedTurn, Turn, context_digest
from worker.agent.conversation.user_words import deciding_words
from worker.agent.prompts import clip
from worker.memory.cache import AnswerCache, CachedAnswer, Scope
from worker.memory.dates import day_of
from worker.memory.vectors.embeddings import Placed
from worker.models.protocols import add_usage

MAX_QUESTION: Final = 2_000
"""Maximum characters of a question to look up: an embedding model may read only the beginning of a longer one."""


class AnswerStore:
    """Looks up and stores answers for one chat model. ``now_ms`` is Redis's time."""

    def __init__(self, cache: AnswerCache, *, model: str, now_ms: Callable[[], Awaitable[int]]) -> None:
        self._cache = cache
        self._model = model
        self._now_ms = now_ms

    async def look_up(self, turn: Turn, turns: Sequence[FinishedTurn]) -> Turn:
        """Return the turn with its time and scope, and with the cached answer if there is one."""
        turn = turn.model_copy()
        turn.asked_ms = await self._now_ms()
        turn.context = context_digest(turns, day_of(turn.asked_ms), *deciding_words(turn.question))
        turn.generation = await self._cache.generation(turn.site)
        if not turn.use_cache or len(turn.question) > MAX_QUESTION:
            return turn
        try:
            found = await self._cache.look_up(turn.question, self._scope(turn))
        except ModelError as error:
            turn.notes = turn.noted(f"the cache was not used: {clip(str(error))}")
            return turn
        turn.usage = add_usage(turn.usage, found.usage)
        if found.found is None:
            turn.vector = found.placed.pack()
            return turn
        return _answered(turn, found.found)

    async def keep(self, turn: Turn) -> Turn:
        """Store the answer if it may be reused; return the turn."""
        placed = Placed.parse(turn.vector)
        if turn.is_cacheable and placed and turn.answer and _is_for_all(turn):
            about = {
                "sources": list(turn.sources),
                "model": turn.model,
                "model_reason": turn.model_reason,
                "notes": list(turn.notes),
            }
            await self._cache.keep(turn.question, turn.answer, placed, self._scope(turn), about=about)
        return turn

    def _scope(self, turn: Turn) -> Scope:
        return Scope(
            site=turn.site, generation=turn.generation, model=self._model, prompt=ASK_VERSION, context=turn.context
        )


def _is_for_all(turn: Turn) -> bool:
    """Return whether an answer may be reused: it cites scans, or the model looked nothing up and the answer says so.

    Questions about WCAG itself need no scan.
    """
    own_calls = turn.calls - turn.was_looked_up
    return not turn.notes if turn.sources else own_calls == 0 and turn.notes == (NO_SOURCE,)


def _answered(turn: Turn, found: CachedAnswer) -> Turn:
    turn = turn.model_copy()
    turn.answer, turn.cached = found.answer, True
    turn.sources = tuple(str(one) for one in found.about.get("sources", ()))
    turn.model = str(found.about.get("model", ""))
    turn.model_reason = str(found.about.get("model_reason", ""))
    turn.usage = add_usage(turn.usage, Usage(cache_hit=True))
    note = f"given {found.age_s:.0f} s ago to the question: {clip(found.question)}"
    turn.notes = turn.noted(*(str(one) for one in found.about.get("notes", ())), note)
    return turn
