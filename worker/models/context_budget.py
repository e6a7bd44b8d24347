"""Bounds on the number of tokens of a text, since only the model's tokenizer knows it. Pure.

Ollama silently cuts a prompt that exceeds the context and answers the rest. So a prompt is refused before the call
unless even the upper bound fits, and an answer is refused if the server evaluated fewer tokens than the prompt's lower
bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from producer.errors import ContextExceeded

ASCII_PER_TOKEN_LEAST: Final = 3.0
"""Current tokenizers need a token for about 3 characters of markup and JSON, and for 4 or more of prose."""
MOST_TOKENS_BY_BYTES: Final = (0.0, 1.0 / ASCII_PER_TOKEN_LEAST, 0.75, 1.0, 3.0)
"""Tokens that one character may take, by its bytes in UTF-8.

ASCII has 1; accents, Greek, Cyrillic, Hebrew and Arabic 2; Chinese, Japanese and Korean 3; emoji 4.
"""
ASCII_PER_TOKEN_MOST: Final = 6.0
"""No text of words and markup has more characters per token; long runs of one character do, and are not sent."""
MESSAGE_TOKENS: Final = 8
"""Tokens that a chat template puts around one message."""
IMAGE_TOKENS: Final = 600
"""An image of at most 448 pixels a side: 256 with Gemma 3 and Qwen 2.5-VL, 576 with LLaVA."""


def most_tokens(text: str) -> int:
    """Return more tokens than ``text`` is likely to have."""
    return math.ceil(sum(map(_weight, text)))


def fewest_tokens(text: str) -> int:
    """Return fewer tokens than ``text`` has."""
    return int(sum(char.isascii() for char in text) / ASCII_PER_TOKEN_MOST)


def check_budget(texts: Sequence[str], *, model: str, context: int, max_output: int, images: int = 0) -> int:
    """Return the most tokens that ``texts`` and ``images`` images take.

    Raises ``ContextExceeded`` if there is no room left for the answer.
    """
    tokens = sum(most_tokens(text) + MESSAGE_TOKENS for text in texts) + images * IMAGE_TOKENS
    if tokens + max_output > context:
        msg = (
            f"the prompt for {model!r} may have {tokens} tokens and its answer {max_output}, the context {context}: "
            f""
            f"ask for less at a time, or raise CHAT_NUM_CTX"
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
    """Return the longest beginning of ``text`` that is certain to fit into ``tokens``."""
    if most_tokens(text) <= tokens:
        return text
    room = float(tokens)
    for index, char in enumerate(text):
        room -= _weight(char)
        if room < 0:
            return text[:index]
    return text


def _weight(char: str) -> float:
    return MOST_TOKENS_BY_BYTES[len(char.encode("utf-8", "surrogatepass"))]
