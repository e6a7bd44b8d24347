"""The kinds of doubt about a scan: why a page was not scanned completely, or may not be the intended page.

``docs/doubts.md`` has a trigger and an example of each; ``worker/scan/doubts.py`` detects them. Needs no pydantic: the
command line offers the names.
"""

from __future__ import annotations

from typing import Final

DOUBTS: Final[dict[str, str]] = {
    # The page shows nothing.
    "blank": "shows nothing",
    "still-loading": "shows only a loading indicator",
    "hidden-content": "hides all its content",
    "canvas-only": "is drawn on a canvas, which no rule can read",
    "noscript-only": "shows only content for browsers without scripts",
    # The page lacks something.
    "refused-request": "requested addresses that the guard refused",
    "refused-local": "is public and requested addresses in the scanner's own network",
    "failed-stylesheet": "lacks a stylesheet",
    "failed-request": "lacks a script, a font or data that did not load",
    "open-request": "had requests open when it was audited",
    "load-timeout": "did not finish loading",
    "wait-for": "lacks the element that was waited for",
    "script-stopped": "had a script that did not end",
    "over-limit": "exceeds a limit of the scan",
    # Parts of the page were not scanned.
    "unread-frame": "has a frame that could not be read",
    "lazy-frame": "has a frame that never loaded",
    "endless-feed": "was not scrolled to its end",
    "closed-shadow-root": "has content in a closed shadow root",
    "embedded-document": "embeds a document that no rule can check",
    "behind-modal": "has a modal dialog that makes the rest inert",
    "partial-document": "is only part of a document, or still empty",
    "parse-error": "is XML that is cut off at an error",
    "shadowed-names": "has form fields named like properties of the DOM",
    "moved-host": "moved to another host after it had loaded",
    "audit-failed": "could not be audited",
    "rules-left-out": "ran out of time before all rules had run",
    "live-left-out": "has parts that the live checks did not reach",
    "insecure": "was read without checking its certificate",
    "missing-glyphs": "has text for which the scanner has no font",
    # The page looks like something else.
    "bot-wall": "is a bot check",
    "access-denied": "says that access is denied",
    "maintenance": "says that the site is under maintenance",
    "interstitial": "is a waiting room or a notice in front of the page",
    "placeholder": "is a placeholder of a server or a host",
    "server-error": "shows a server error, served as a success",
    "sign-in": "asks for a sign-in",
    "soft-404": "is an error page, though served as a success",
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
"""Kinds that are only remarks. All others mean that something could not be scanned, and make the page ``partial``."""
