"""Puts text that looks like markup in every field of a result, and detects foreign markup in a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from producer.contract import ScanResult

CORPUS: Final = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</textarea><svg/onload=alert(1)>",
    "</title><iframe srcdoc='<script>alert(1)</script>'>",
    "</code></pre><a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)//",
    "{{1237*3571}}{% raw %}${1237*3571}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202ereversed\u2066isolated\u2069\u200f",
    "\x00\x1b[31m\ufffe\udc80".encode("utf-8", "replace").decode(),
    "' autofocus onfocus=alert(1) x='",
    "<!--<base href=//evil.example>--><meta http-equiv=refresh content=0;url=//evil.example>",
)
ALL: Final = "".join(CORPUS)
BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORBIDDEN: Final = frozenset(
    {"iframe", "object", "embed", "base", "frame", "applet", "math", "video", "audio", "template"}
)
_VOIDED: Final = frozenset({"value"})
"""Attributes with the visitor's own input, which a form must send unchanged."""


def poisoned(result: ScanResult, text: str = ALL) -> str:
    """Return a result's JSON with ``text`` in every field that accepts it."""
    whole: Any = json.loads(result.model_dump_json())
    for holder, name in list(_texts(whole)):
        kept = holder[name]
        if name in {"kind", "job_id", "issue_id", "screenshot", "scan_id", "fingerprint"}:
            continue  # names of other things
        holder[name] = f"{kept}{text}"
        try:
            ScanResult.model_validate(whole)
        except ValidationError:
            holder[name] = kept
    return json.dumps(whole)


def _texts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each text in a document, with its container and its key or index there."""
    places: Any = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for name, one in places:
        if isinstance(one, str):
            yield value, name
        elif isinstance(one, dict | list):
            yield from _texts(one)


class Foreign(HTMLParser):
    """Parses a page; ``found`` lists foreign markup: elements, handlers, addresses, bidirectional overrides."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        given = {name: value or "" for name, value in attrs}
        address = given.get("src") or given.get("href") or given.get("action") or ""
        is_ours = address.startswith("/") and not address.startswith("//")
        if tag in _FORBIDDEN or (tag == "meta" and "http-equiv" in given):
            self.found.append(f"<{tag}>")
        if tag in {"script", "link", "img", "form"} and not is_ours:
            self.found.append(f"<{tag}> of {address[:80]!r}")
        if urlsplit(address.strip()).scheme not in {"", "http", "https"} or address.startswith("//"):
            self.found.append(f"<{tag}> to {address[:80]!r}")
        self.found += [f"{name}= of <{tag}>" for name in given if name.startswith("on") or name == "style"]
        shown = "".join(value for name, value in given.items() if name not in _VOIDED | {"href"})
        self._text(f"an attribute of <{tag}>", shown)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] in {"textarea", "option"}:
            return
        if self._inside and self._inside[-1] == "script" and data.strip():
            self.found.append(f"script {data[:60]!r}")
        self._text("text", data)
        if "1237*3571" not in data and "4417327" in data and "alert" in data:
            self.found.append("a template in text was run")

    def _text(self, where: str, text: str) -> None:
        if BIDI & set(text) or "\x00" in text:
            self.found.append(f"{where} turns around: {text[:60]!r}")
