"""Fingerprints of barriers, stable from scan to scan. Pure.

The rule. A node's fingerprint is 24 hex digits of the SHA-256 of:

1. the axe rule;
2. for each frame around it, outermost first, and for the element itself: its *meaningful* ancestors. Landmarks,
   headings, lists, tables, forms, dialogs and custom elements count; ``div``, ``span`` and positions do not, so
   reordering and re-wrapping change nothing;
3. the element's tag and its *written* attributes (``_WRITTEN``: those set by authors, such as ``name``, ``href``,
   ``alt``), sorted. Classes, ids, styles and data attributes are left out, since builds and frameworks generate them.
   Query strings and hashes in file names are cut, and all digits in texts count as equal (prices, counters and dates
   change, the barrier stays). Addresses on the page's own origin lose it (``https://shop.example/a`` is ``/a``): a
   preview deployment has other host names and the same barriers;
4. the element's text, as far as axe-core's snippet contains it;
5. its number among the nodes of that rule for which all of this is equal, in page order. Equal barriers are thus
   counted, not distinguished: fixing one of three removes the third.

A finding's fingerprint consists of rule and outcome: a page has each at most once. Neither includes the page's address,
so the same barrier of a shared header has the same fingerprint on every page.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

from producer.contract.addresses import origin_of

Ancestry = tuple[str | tuple[str, ...], ...]
"""axe-core's form: a selector per frame, or a list of them through shadow roots; outermost first."""

_DIGITS: Final = 24
_MAX_TEXT_CHARS: Final = 120
_WRITTEN: Final = frozenset(
    {"action", "alt", "aria-label", "autocomplete", "content", "headers", "href", "hreflang", "http-equiv", "kind"}
    | {"label", "lang", "media", "method", "name", "placeholder", "role", "scope", "src", "srclang", "summary"}
    | {"title", "type", "value", "xml:lang"}
)
_ADDRESSES: Final = frozenset({"href", "src", "action"})
_MEANINGLESS: Final = frozenset(
    {"html", "body", "div", "span", "center", "font", "b", "i", "em", "strong", "small", "p"}
)
_POSITION: Final = re.compile(r":nth-child\(\d+\)")
_GENERATED: Final = re.compile(r"(?<![0-9a-z])(?=[a-z]*+\d)(?=\d*+[a-z])[0-9a-z]{8,}|[0-9a-f-]{32,}", re.IGNORECASE)
"""Letters with digits among them, and long numbers; in linear time, whatever a page's addresses are."""
_NUMBER: Final = re.compile(r"\d+")
_SPACE: Final = re.compile(r"\s+")


def finding_fingerprint(rule: str, outcome: str) -> str:
    """Return the fingerprint of a rule's finding on a page."""
    return _digest(("finding", rule, outcome))


def node_fingerprints(rule: str, nodes: Iterable[tuple[Ancestry, str]], *, page: str = "") -> list[str]:
    """Return a fingerprint for each node of one rule, given as ancestry and snippet, in page order.

    ``page`` is the address of the page they are on.
    """
    origin = origin_of(page)
    seen: Counter[tuple[str, ...]] = Counter()
    fingerprints: list[str] = []
    for ancestry, snippet in nodes:
        identity = (rule, *map(meaningful_path, ancestry), *signature(snippet, origin=origin))
        seen[identity] += 1
        fingerprints.append(_digest((*identity, str(seen[identity]))))
    return fingerprints


def meaningful_path(selectors: str | tuple[str, ...]) -> str:
    """Return the meaningful tags of an ancestry selector, ``main > form > input``."""
    steps = " > ".join([selectors] if isinstance(selectors, str) else selectors).split(" > ")
    tags = [_POSITION.sub("", step).strip().lower() for step in steps]
    return " > ".join(tag for i, tag in enumerate(tags) if i == len(tags) - 1 or tag not in _MEANINGLESS)


def signature(snippet: str, *, origin: str = "") -> tuple[str, ...]:
    """Return tag, written attributes and text of a snippet's first element, normalised."""
    reader = _FirstElement()
    # Raw text of a page such as <xmp><![x[ makes Python's parser (python/cpython issue 77057) assert: the element has
    # been read by then. Remove this when every supported Python has the fix.
    with contextlib.suppress(AssertionError):
        reader.feed(snippet)
        reader.close()
    attributes = sorted(
        f"{name}={_normalise_address(value, origin) if name in _ADDRESSES else _normalise_text(value)}"
        for name, value in reader.attributes
        if name in _WRITTEN
    )
    return (reader.tag, *attributes, _normalise_text(" ".join(reader.texts)))


class _FirstElement(HTMLParser):
    """Reads the first start tag, and all text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tag = ""
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.tag:
            self.tag = tag
            self.attributes = [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def normal_address(address: str, *, page: str) -> str:
    """Return an address in a page's markup without origin, query, numbers and build hashes."""
    with contextlib.suppress(ValueError):
        address = urljoin(page, address.strip()) if page else address.strip()
    return _NUMBER.sub("0", _normalise_address(address, origin_of(page)))[:_MAX_TEXT_CHARS]


def _normalise_text(text: str) -> str:
    return _NUMBER.sub("0", _SPACE.sub(" ", text).strip())[:_MAX_TEXT_CHARS]


def _normalise_address(address: str, origin: str) -> str:
    address = address.strip()
    if address.startswith("data:"):
        return hashlib.sha256(address.encode()).hexdigest()
    path = address.partition("#")[0].partition("?")[0]
    return _GENERATED.sub("*", _without_origin(path, origin))


def _without_origin(address: str, origin: str) -> str:
    """Return an absolute or ``//`` address on ``origin`` from its path on; any other unchanged."""
    start, slashes, rest = address.partition("//")
    host, slash, path = rest.partition("/")
    is_absolute = bool(slashes) and (start == "" or start.endswith(":"))
    if not is_absolute or not origin or origin_of(f"{start or origin.partition('//')[0]}//{host}") != origin:
        return address
    return f"{slash or '/'}{path}"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:_DIGITS]
