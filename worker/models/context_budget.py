"""Estimates and bounds of the number of tokens of a text, since only the model's tokenizer knows it. Pure.

Ollama silently cuts a prompt that exceeds the context and answers the rest. So a prompt is refused before the call
unless the estimate fits, and an answer is refused if the server evaluated fewer tokens than the prompt's lower bound,
or filled its context. The caller then asks for less at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from producer.errors import ContextExceeded

ASCII_PER_TOKEN: Final = 3.0
"""Current tokenizers need a token for 3 or more characters of words and JSON; for digits and paths, one for each."""
LIKELY_BY_BYTES: Final = (0.0, 1.0 / ASCII_PER_TOKEN, 0.75, 1.0, 3.0)
"""Tokens that one character is likely to take, by its bytes in UTF-8.

ASCII has 1; accents, Greek, Cyrillic, Hebrew and Arabic 2; Chinese, Japanese and Korean 3; emoji 4.
"""
_PARTS: Final = re.compile(r"(?P<word>[A-Z]?[a-z]+|[A-Z]+)|(?P<digit>\d)| (?=[^\W\d_])|(?P<other>[!-~\s])|.", re.DOTALL)
_WORD, _DIGIT, _OTHER = 1.25, 1.1, 0.85
"""Tokens that three letters, a digit and another ASCII character may take: more than Qwen 3, Gemma 3 and Llama 3 need
for hex, digits, SVG paths, addresses, markup and prose (``tests/unit/models/test_context_budget.py``)."""
_MOST_BY_BYTES: Final = (0.0, 1.0, 1.4, 2.0, 4.0)
_EAST_ASIAN: Final = re.compile(r"[\u3040-\ud7ff]")
"""Kana, common characters, Hangul: at most one token each."""
ASCII_PER_TOKEN_MOST: Final = 6.0
"""No text of words and markup has more characters per token; long runs of one character do, and are not sent."""
MESSAGE_TOKENS: Final = 8
"""Tokens that a chat template puts around one message."""
IMAGE_TOKENS: Final = 600
"""An image of at most 448 pixels a side: 256 with Gemma 3 and Qwen 2.5-VL, 576 with LLaVA."""


def likely_tokens(text: str) -> int:
    """Return an estimate that is likely to exceed the number of tokens in ``text``, words or JSON."""
    return math.ceil(sum(map(_weight, text)))


def most_tokens(text: str) -> int:
    """Return an upper bound of the number of tokens in ``text``, except for long runs of random letters."""
    return math.ceil(sum(map(_most, _PARTS.finditer(text))))


def fewest_tokens(text: str) -> int:
    """Return a lower bound of the number of tokens in ``text``."""
    return int(sum(char.isascii() for char in text) / ASCII_PER_TOKEN_MOST)


def check_budget(texts: Sequence[str], *, model: str, context: int, max_output: int, images: int = 0) -> int:
    """Return the tokens that ``texts`` and ``images`` images are likely to take.

    Raises ``ContextExceeded`` if there is no room left for the answer.
    """
    tokens = sum(likely_tokens(text) + MESSAGE_TOKENS for text in texts) + images * IMAGE_TOKENS
    if tokens + max_output > context:
        msg = (
            f"the prompt for {model!r} may take {tokens} tokens and its answer {max_output}, but the context has only "
            f"{context}: ask for less at a time, or raise CHAT_NUM_CTX"
        )
        raise ContextExceeded(msg)
    return tokens


def check_evaluated(texts: Sequence[str], evaluated: int, *, model: str, context: int) -> None:
    """Raise ``ContextExceeded`` if the server evaluated less than it was sent, or its context is full."""
    sent = sum(fewest_tokens(text) for text in texts)
    if evaluated < sent or evaluated >= context:
        msg = (
            f"{model!r} evaluated {evaluated} tokens of a prompt of at least {sent}, with a context of {context}: "
            f"the server cut it; have it load the model with CHAT_NUM_CTX tokens, or lower CHAT_NUM_CTX to its limit"
        )
        raise ContextExceeded(msg)


def cut_to(text: str, tokens: int) -> str:
    """Return the longest beginning of ``text`` that is likely to fit into ``tokens``."""
    if likely_tokens(text) <= tokens:
        return text
    room = float(tokens)
    for index, char in enumerate(text):
        room -= _weight(char)
        if room < 0:
            return text[:index]
    return text


def _weight(char: str) -> float:
    return LIKELY_BY_BYTES[len(char.encode("utf-8", "surrogatepass"))]


def _most(part: re.Match[str]) -> float:
    text = part[0]
    if part.lastgroup == "word":
        return math.ceil(len(text) / 3) * _WORD
    if part.lastgroup == "digit" and text.isascii():
        return _DIGIT
    if part.lastgroup == "other":
        return 1.0 if text.isspace() else _OTHER
    if text == " ":
        return 0.0  # one token with the word after it
    return 1.0 if _EAST_ASIAN.match(text) else _MOST_BY_BYTES[len(text.encode("utf-8", "surrogatepass"))]
