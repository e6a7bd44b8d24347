"""Strategies for untrusted input: text of all kinds, JSON of any shape, and nearly valid messages."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

MARKUP = st.sampled_from(
    [
        "<", ">", "&", "]]>", "{", "}", "```json", "\x00", "\u202e", "\ud83d\ude00", "[scan ", "]", "http://",
        "%", "null", "-->", "<![x[", "<script>", "`", "|", "](", "@all", "#1", "GH-1", "www.", "javascript:", "=1+1",
        "##vso[", "\n::", "\x1b[2J", "\u2028", "'", '"', "\\", "\r\n", ",", "\udcfc",
    ]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=80), st.lists(st.one_of(MARKUP, st.text(max_size=8)), max_size=12).map("".join))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)
DEEP = st.sampled_from(["[", '{"a":', "[{}, "]).map(lambda opening: opening * 50_000)
BYTES = st.one_of(
    st.binary(max_size=200), st.one_of(TEXT, DEEP).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
UNICODE = TEXT.map(lambda text: text.encode("utf-8", "ignore").decode())
"""Without halves of surrogate pairs, which pydantic refuses."""


def objects_with(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects that have some of the fields ``names``, with anything in them, and others."""
    known = st.dictionaries(st.sampled_from(names), JSON, max_size=len(names))
    others: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.text(max_size=12), JSON, max_size=2)
    return st.tuples(others, known).map(lambda both: {**both[0], **both[1]})


def as_json(value: Any) -> str:
    return json.dumps(value)
