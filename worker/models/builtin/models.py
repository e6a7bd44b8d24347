"""The built-in models: for machines without a model server, and for tests. Deterministic; no network, no GPU.

``BuiltinChat`` is not a language model. It restates the given findings, worst first, with axe-core's text about them
and whom such barriers affect by axe's category, and answers a few kinds of questions with the tools (``citations.py``);
it invents nothing, and its texts are marked with its name. ``BuiltinEmbedder`` hashes words and their trigrams: texts
that share words are close, synonyms are not. Both are used only if selected in the settings, never as a fallback. The
task it can read is built in ``worker/agent/prompts``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from producer.contract import IMPACTS, JsonObject, Usage
from producer.errors import ModelError
from producer.reports.plain_text import counted
from worker.models.builtin.answers import answer
from worker.models.builtin.sentences import number_of, objects
from worker.models.protocols import ChatReply, EmbedReply, Message, Tool, Vector

NAME: Final = "builtin"
DIMS: Final = 256
"""Enough that two unrelated words rarely collide; a vector takes 1 KB in Redis."""
MAX_TEXT: Final = 20_000
"""Characters of one text that are embedded: about 10 ms."""
MAX_WORD: Final = 64
GRAM_WEIGHT: Final = 0.35
"""A word of eight letters has eight trigrams: together they weigh about as much as the word itself."""
MAX_PRIORITIES: Final = 12

_WORD: Final = re.compile(r"[^\W_]+")

WHO: Final[Mapping[str, str]] = {
    "aria": "people who use a screen reader or other assistive technology",
    "color": "people with low vision or colour blindness, and anyone in bright light",
    "forms": "people who fill in forms with a screen reader, by voice or by keyboard",
    "keyboard": "people who move by keyboard, switch or screen reader",
    "language": "people whose screen reader must know the language to pronounce it",
    "name-role-value": "people who use a screen reader or voice control",
    "parsing": "people whose assistive technology depends on sound markup",
    "semantics": "people who find their way by headings, lists and landmarks",
    "sensory-and-visual-cues": "people with low vision, and people who zoom or use a touch screen",
    "structure": "people who find their way by the structure of the page",
    "tables": "people who read tables with a screen reader",
    "text-alternatives": "people who cannot see the image, and hear or feel its text instead",
    "time-and-media": "people who cannot see or hear the media, or need time to take them in",
}
"""Whom a barrier affects, by axe-core's category of the rule."""
ANYONE: Final = "people who use assistive technology"


class BuiltinChat:
    """Orders and restates findings, and tool results. Implements ``ChatModel``."""

    name: str = NAME

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Answer an assessment task with JSON, known questions with ``tools``, and others with what it can do.

        Raises ``ModelError`` if JSON is requested for an unknown task.
        """
        if tools:
            step = answer(messages)
            calls = () if step.call is None else (step.call,)
            return ChatReply(text=step.text, model=NAME, usage=Usage(calls=1), calls=calls)
        task = _task(messages)
        if task is not None:
            # It proposes no verdicts on what axe-core left undecided: it does not judge.
            answer_to = assess(task) if task["task"] == "assess" else {"proposals": []}
            text = json.dumps(answer_to, ensure_ascii=False)
        elif schema is None:
            text = (
                "This is the built-in model: it restates findings and cannot answer questions. "
                "Set CHAT_MODEL to a language model for answers."
            )
        else:
            msg = "the built-in model only writes assessments: set CHAT_MODEL to a language model"
            raise ModelError(msg)
        return ChatReply(text=text, model=NAME, usage=Usage(calls=1))


class BuiltinEmbedder:
    """Hashes words and trigrams into unit vectors. Implements ``Embedder``."""

    name: str = NAME
    dims: int = DIMS

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Embed each text; equal texts get equal vectors, on every machine."""
        vectors = np.stack([hash_text(text) for text in texts]) if texts else np.zeros((0, DIMS), dtype=np.float32)
        return EmbedReply(vectors, Usage(calls=1))

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        """Embed as ``embed_documents`` does: hashing does not distinguish them."""
        return await self.embed_documents(texts)


# ------------------------------------------------------------------------------------------- assessment


def assess(task: JsonObject) -> JsonObject:
    """Return ``summary`` and ``priorities`` for the findings of ``task``, worst first: impact, then elements."""
    findings = sorted(objects(task.get("findings")), key=_order)
    return {
        "summary": _summary(task, findings),
        "priorities": [_priority(finding) for finding in findings[:MAX_PRIORITIES]],
    }


def _task(messages: Sequence[Message]) -> JsonObject | None:
    """Return the first user message, if it is a task; later ones are requests to correct an answer."""
    first = next((message.content for message in messages if message.role == "user"), "")
    try:
        task: object = json.loads(first)
    except (ValueError, RecursionError):
        return None
    if not isinstance(task, dict):
        return None
    fields = cast("JsonObject", task)
    return fields if fields.get("task") in {"assess", "review"} else None


def _order(finding: JsonObject) -> tuple[int, int, str]:
    return (-_rank(finding), -number_of(finding, "elements"), str(finding.get("rule", "")))


def _rank(finding: JsonObject) -> int:
    impact = finding.get("impact")
    return IMPACTS.index(impact) if impact in IMPACTS else -1


def _summary(task: JsonObject, findings: list[JsonObject]) -> str:
    elements = sum(number_of(finding, "elements") for finding in findings)
    impacts = Counter(str(finding.get("impact") or "unrated") for finding in findings)
    shares = [f"{impacts[name]} {name}" for name in (*reversed(IMPACTS), "unrated") if impacts[name]]
    parts = [f"{counted(len(findings), 'rule')} failed on {counted(elements, 'element')}: {', '.join(shares)}."]
    if findings:
        parts.append(f"Start with {findings[0].get('rule')}: {_sentence(str(findings[0].get('help', '')))}")
    changes = task.get("changes")
    if isinstance(changes, dict):
        since = cast("JsonObject", changes)
        parts.append(f"Since the previous scan {number_of(since, 'new')} new, {number_of(since, 'fixed')} fixed.")
    return " ".join(parts)


def _priority(finding: JsonObject) -> JsonObject:
    areas = cast("list[object]", finding.get("areas") or [])
    who = [WHO[area] for area in areas if isinstance(area, str) and area in WHO]
    impact = str(finding.get("impact") or "unrated")
    criteria = ", ".join(str(item) for item in cast("list[object]", finding.get("criteria") or []))
    why = f"Impact {impact} on {counted(number_of(finding, 'elements'), 'element')}"
    if criteria:
        why += f"; fails WCAG {criteria}"
    elsewhere = number_of(finding, "pages_elsewhere")
    if elsewhere:
        why += f"; the same rule fails on {counted(elsewhere, 'similar page')}"
    examples = objects(finding.get("examples"))
    fix = " ".join(str(examples[0].get("problem", "")).split()) if examples else ""
    return {
        "fingerprint": str(finding.get("fingerprint", "")),
        "who": who[0] if who else ANYONE,
        "why": why + ".",
        "fix": fix or _sentence(str(finding.get("help", ""))),
    }


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else text + "."


# ------------------------------------------------------------------------------------------- embedding


def hash_text(text: str) -> Vector:
    """Return the text's ``float32[DIMS]`` of unit length; a text without words gets a special vector."""
    words = Counter(_WORD.findall(unicodedata.normalize("NFKC", text[:MAX_TEXT]).casefold()))
    vector = np.zeros(DIMS, dtype=np.float64)
    for word, times in words.items():
        places, weights = _features(word[:MAX_WORD])
        # Each further occurrence counts less: a word repeated in a menu must not dominate.
        np.add.at(vector, places, weights * np.sqrt(times))
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return (vector / length).astype(np.float32)


@lru_cache(maxsize=20_000)
def _features(word: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the indexes of a word and its trigrams, and the weight of each."""
    marked = f"^{word}$"
    grams = sorted({marked[start : start + 3] for start in range(len(marked) - 2)})
    features = [(_hash(f"w:{word}"), 1.0), *((_hash(f"g:{gram}"), GRAM_WEIGHT) for gram in grams)]
    places = np.array([number % DIMS for number, _ in features], dtype=np.intp)
    weights = np.array([weight if number >> 63 else -weight for number, weight in features], dtype=np.float64)
    return places, weights


def _hash(feature: str) -> int:
    """Return a 64-bit hash that is the same on every machine and in every process, unlike ``hash``."""
    return int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
