"""Detects pages that show nothing, or only a loading message, and says what failed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from producer.contract import public_url
from worker.scan.content import Content, MainPart
from worker.scan.losses import Losses
from worker.scan.phrases import find_phrase, is_phrase

Certainty = Literal["certain", "likely"]
_FEW_CHARS: Final = 120
_FEW_LOADING_CHARS: Final = 60
_FEW_PARTS: Final = 3
_FEW_LINKS: Final = 12
"""Of a header around content that is still to come."""
_CLAUSES: Final = re.compile("[.,;:!\u2026\u2013\u2014]")
_NOSCRIPT_CHARS: Final = 400
_MANY_HIDDEN_CHARS: Final = 200
_LARGE: Final = 0.15
"""Share of the window from which a canvas counts as the page's content."""


def shows_nothing(content: Content, losses: Losses, *, is_state: bool = False) -> tuple[str, str, Certainty] | None:
    """Return kind, text and certainty of the doubt; None for a page that shows something.

    In a state that was reached by steps, such as an open menu, the main part may be hidden.
    """
    found = _all_of_it(content) or (None if is_state else _hidden_main(content)) or _main_part(content)
    if found is None:
        return None
    kind, what, certainty = found
    causes = "; ".join(_causes(losses)) if kind != "canvas-only" else ""
    return kind, what + (f"; {causes}" if causes else ""), certainty


def is_loading(text: str) -> bool:
    """Return whether every line of a text is a loading message, ignoring percentages.

    It may consist of several, or trail off: "Please wait, loading", "Loading your basket…".
    """
    lines = [line.strip(" %0123456789") for line in text.splitlines()]
    said = [line for line in lines if line.strip(" .…")]
    return bool(said) and all(_is_loading_line(line) for line in said)


def _is_loading_line(line: str) -> bool:
    if len(line) <= _FEW_LOADING_CHARS and line.endswith(("\u2026", "...")) and find_phrase("loading", line):
        return True
    parts = [part for part in _CLAUSES.split(line) if part.strip()]
    return is_phrase("loading", line) or all(is_phrase("loading", part) for part in parts)


def _all_of_it(content: Content) -> tuple[str, str, Certainty] | None:
    text = content.text.strip()
    if content.shows_nothing:
        if content.canvas >= _LARGE:
            return "canvas-only", "the page is drawn on a canvas, which no rule can read", "certain"
        if content.is_noscript_only:
            return (
                "noscript-only",
                "the page shows nothing: all its content is for browsers without scripts",
                "certain",
            )
        if content.busy or (content.is_busy and not content.hidden):
            return "still-loading", "the page shows only a loading indicator", "certain"
        if content.hidden:
            return "hidden-content", "the page shows nothing: all its content is hidden", "certain"
        return ("blank", "the page shows nothing", "certain") if not content.closed_roots else None
    is_bare = not content.media and not content.controls
    if is_bare and is_loading(text):
        return "still-loading", "the page shows only a loading indicator", "certain"
    is_sparse = not content.headings and content.media + content.controls <= _FEW_PARTS and content.links <= _FEW_LINKS
    if content.is_busy and len(text) <= _FEW_CHARS and ((is_bare and not content.links) or is_sparse):
        return "still-loading", "the page shows little more than a loading indicator", "likely"
    if len(text) <= _NOSCRIPT_CHARS and not content.entries and find_phrase("noscript", text):
        return "noscript-only", "the page shows only content for browsers without scripts", "likely"
    return None


def _hidden_main(content: Content) -> tuple[str, str, Certainty] | None:
    """Return the doubt about a hidden main part, with twice the text of all that is shown, as at a gate."""
    many = max(_MANY_HIDDEN_CHARS, 2 * len(content.text))
    if content.modal or content.passwords or content.hidden_in_main < many:  # a sign-in has another doubt
        return None
    return "hidden-content", "the page's main part is hidden: only what is around it was scanned", "likely"


def _main_part(content: Content) -> tuple[str, str, Certainty] | None:
    main = content.main
    if main is None or main.others or not content.scripts:
        return None
    if main.is_busy and not main.text.strip():
        return "still-loading", "the page's main part shows only a loading indicator", "likely"
    return _main_text(main)


def _main_text(main: MainPart) -> tuple[str, str, Certainty] | None:
    if not main.text.strip():
        return "blank", "the page's main part shows nothing", "likely"
    if is_loading(main.text):
        return "still-loading", "the page's main part shows only a loading indicator", "likely"
    return None


def _causes(losses: Losses) -> Iterator[str]:
    """Yield one failure of each kind, likeliest cause first."""
    for kind in ("script", "data"):
        lost = next((loss for loss in losses.failed if loss.kind == kind), None)
        if lost is not None:
            yield f"its {kind} {public_url(lost.url)[:150]} {lost.why}"
    if losses.exceptions:
        yield f"a script failed: {losses.exceptions[0]}"
