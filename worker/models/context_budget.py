"""How many tokens a text may take: estimates and bounds, since only the model's own tokenizer knows. Pure.

Ollama cuts a prompt that is over the context without a word and answers the rest. So a prompt is refused before the
call unless the estimate fits, and an answer is refused after it when the server evaluated fewer tokens than the lower
bound of what it was sent, or filled its context. Whoever asked then asks for less at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from producer.errors import ContextExceeded

ASCII_PER_TOKEN: Final = 3.0
"""JSON and words come to 3 characters a token and more with the tokenizers of today; digits and paths to one."""
LIKELY_BY_BYTES: Final = (0.0, 1.0 / ASCII_PER_TOKEN, 0.75, 1.0, 3.0)
"""What one character is likely to take, by its bytes in UTF-8: ASCII has 1; accents, Greek, Cyrillic, Hebrew and Arabic
2; Chinese, Japanese and Korean 3; emoji 4."""
_PARTS: Final = re.compile(r"(?P<word>[A-Z]?[a-z]+|[A-Z]+)|(?P<digit>\d)| (?=[^\W\d_])|(?P<other>[!-~\s])|.", re.DOTALL)
_WORD, _DIGIT, _OTHER = 1.25, 1.1, 0.85
"""What three letters, a digit and another ASCII character may take: above all that Qwen 3, Gemma 3 and Llama 3 make of
hex, digits, paths of SVG, addresses, markup and prose (``tests/unit/models/test_context_budget.py``)."""
_MOST_BY_BYTES: Final = (0.0, 1.0, 1.4, 2.0, 4.0)
_EAST_ASIAN: Final = re.compile(r"[\u3040-\ud7ff]")
"""Kana, common characters, Hangul: at most one token each."""
ASCII_PER_TOKEN_MOST: Final = 6.0
"""No text of words and markup packs better; long runs of one character do, and are not sent."""
MESSAGE_TOKENS: Final = 8
"""What a chat template puts around one message."""
IMAGE_TOKENS: Final = 600
"""An image of at most 448 pixels a side: 256 with Gemma 3 and Qwen 2.5-VL, 576 with LLaVA."""


def likely_tokens(text: str) -> int:
    """Return more tokens than ``text``, words or JSON, is likely to have."""
    return math.ceil(sum(map(_weight, text)))


def most_tokens(text: str) -> int:
    """Return more tokens than ``text`` has, whatever is in it but long runs of random letters."""
    return math.ceil(sum(map(_most, _PARTS.finditer(text))))


def fewest_tokens(text: str) -> int:
    """Return fewer tokens than ``text`` has."""
    return int(sum(char.isascii() for char in text) / ASCII_PER_TOKEN_MOST)


def check_budget(texts: Sequence[str], *, model: str, context: int, max_output: int, images: int = 0) -> int:
    """Return the tokens that ``texts`` and so many ``images`` are likely to take.

    Raises ``ContextExceeded`` unless the answer has room beside.
    """
    tokens = sum(likely_tokens(text) + MESSAGE_TOKENS for text in texts) + images * IMAGE_TOKENS
    if tokens + max_output > context:
        msg = (
            f"the prompt for {model!r} may have {tokens} tokens and its answer {max_output}, the context {context}: "
            f"ask less at a time, or raise CHAT_NUM_CTX"
        )
        raise ContextExceeded(msg)
    return tokens


def check_evaluated(texts: Sequence[str], evaluated: int, *, model: str, context: int) -> None:
    """Raise ``ContextExceeded`` when the server evaluated less than it was sent, or its context is full."""
    sent = sum(fewest_tokens(text) for text in texts)
    if evaluated < sent or evaluated >= context:
        msg = (
            f"{model!r} evaluated {evaluated} tokens of a prompt of at least {sent}, with a context of {context}: "
            f"the server cut it; let it load the model with CHAT_NUM_CTX tokens, or lower CHAT_NUM_CTX to its limit"
        )
        raise ContextExceeded(msg)


def cut_to(text: str, tokens: int) -> str:
    """Return as much of the beginning of ``text`` as is likely to fit into ``tokens``."""
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
