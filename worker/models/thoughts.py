"""Removes a model's thoughts from its answer. Pure.

Ollama separates them for models whose template it knows. A model imported without one, or behind another server, writes
``<think>…</think>`` before its answer; where the template begins the thoughts, the answer has only the end tag.
"""

from __future__ import annotations

import re
from typing import Final

_BEGUN: Final = re.compile(r"\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_ENDED: Final = re.compile(r"(?!\s*[{\[]).*?^[ \t]*</think(?:ing)?>[ \t]*$", re.DOTALL | re.IGNORECASE | re.MULTILINE)
"""An end tag alone on its line: a tag in a page that is quoted stands within a line."""


def without_thoughts(text: str) -> str:
    """Return the answer alone; '' if there are only thoughts."""
    if found := _BEGUN.match(text) or _ENDED.match(text):
        return text[found.end() :].lstrip()
    return text
