"""The kinds of doubt about a scan: why a page was not seen whole, or may not be what its address promises.

``docs/doubts.md`` has trigger and example of each; ``worker/scan/doubts.py`` makes them. Needs no pydantic: the command
line offers the names.
"""

from __future__ import annotations

from typing import Final

DOUBTS: Final[dict[str, str]] = {
    # It shows nothing.
    "blank": "shows nothing",
    "still-loading": "shows only that it is loading",
    "hidden-content": "hides all its content",
    "canvas-only": "is drawn on a canvas, which no rule can read",
    "noscript-only": "shows only what is meant for browsers without scripts",
    # Something was kept from it.
    "refused-request": "asked for addresses that the guard refused",
    "refused-local": "is public and asked for addresses of the scanner's own network",
    "failed-stylesheet": "lacks a stylesheet",
    "failed-request": "lacks a script, a font or data that did not load",
    "open-request": "had requests open when it was audited",
    "load-timeout": "did not finish loading",
    "wait-for": "lacks the element that was waited for",
    "script-stopped": "had a script that did not end",
    "over-limit": "exceeds a limit of the scan",
    # It was not looked into.
    "unread-frame": "has a frame that could not be read",
    "lazy-frame": "has a frame that never loaded",
    "endless-feed": "went on growing while it was scrolled through",
    "closed-shadow-root": "has content in a closed shadow root",
    "embedded-document": "embeds a document that no rule looks into",
    "behind-modal": "has a modal dialog that makes the rest inert",
    "partial-document": "is a part of a document, or none yet",
    "parse-error": "is XML with an error, cut off there",
    "shadowed-names": "has form fields named like properties of the DOM",
    "moved-host": "moved to another host after it had loaded",
    "audit-failed": "could not be audited",
    "rules-left-out": "ran out of time before all rules had run",
    "live-left-out": "has parts that the live checks did not get to",
    "insecure": "was read without checking its certificate",
    "missing-glyphs": "has text for which the scanner has no font",
    # It looks like something else.
    "bot-wall": "is a check for robots",
    "access-denied": "says that access is denied",
    "maintenance": "says that the site is being maintained",
    "server-error": "shows a server error, served as a success",
    "sign-in": "asks to sign in",
    "soft-404": "calls itself missing, though served as a success",
}
"""The problem with a page, by kind of doubt."""

REMARKS: Final = frozenset(
    {
        "endless-feed",
        "live-left-out",
        "insecure",
        "refused-local",
        "failed-request",
        "open-request",
        "moved-host",
        "missing-glyphs",
        "sign-in",
        "soft-404",
    }
)
"""Kinds that are only remarks. All others mean that something was not seen, and make the page ``partial``."""
