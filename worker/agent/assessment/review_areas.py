"""Which prompt a rule that axe-core left undecided is put to the model with: a table, and the prompts' versions. Pure.

The rules are all those of axe-core (``worker/scan/vendor``) that can end ``incomplete``; a test in ``tests/browser``
reads them out of the shipped program, so that a new one has to be given an area. Next: ``review.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from worker.agent.prompts import REPAIR, load_prompt, version_of

AREAS: Final[Mapping[str, frozenset[str]]] = {
    "contrast": frozenset({"color-contrast", "color-contrast-enhanced"}),
    "links": frozenset(
        {"area-alt", "identical-links-same-purpose", "link-in-text-block", "link-name", "skip-link"},
    ),
    "names": frozenset(
        {
            "aria-command-name",
            "aria-dialog-name",
            "aria-input-field-name",
            "aria-meter-name",
            "aria-progressbar-name",
            "aria-roledescription",
            "aria-tab-name",
            "aria-toggle-field-name",
            "aria-tooltip-name",
            "aria-treeitem-name",
            "autocomplete-valid",
            "button-name",
            "form-field-multiple-labels",
            "input-button-name",
            "label",
            "label-content-name-mismatch",
            "select-name",
            "summary-name",
        }
    ),
    "images": frozenset(
        {"image-alt", "input-image-alt", "object-alt", "role-img-alt", "server-side-image-map", "svg-img-alt"}
    ),
    "media": frozenset({"audio-caption", "no-autoplay-audio", "video-caption"}),
    "aria": frozenset(
        {
            "aria-allowed-attr",
            "aria-allowed-role",
            "aria-braille-equivalent",
            "aria-prohibited-attr",
            "aria-required-children",
            "aria-text",
            "aria-valid-attr-value",
            "duplicate-id-aria",
        }
    ),
    "keyboard": frozenset(
        {"aria-hidden-focus", "frame-focusable-content", "nested-interactive", "scrollable-region-focusable"}
    ),
    "structure": frozenset(
        {
            "bypass",
            "definition-list",
            "empty-heading",
            "frame-title",
            "frame-title-unique",
            "heading-order",
            "list",
            "listitem",
            "p-as-heading",
        }
    ),
    "tables": frozenset({"empty-table-header", "table-duplicate-name", "td-headers-attr", "th-has-data-cells"}),
    "layout": frozenset({"avoid-inline-spacing", "css-orientation-lock", "target-size"}),
}
"""Rules by area; an area is one prompt, ``prompts/review/<area>.md``."""
UNASKED: Final = frozenset({"frame-tested", "hidden-content"})
"""Rules that say what axe-core could not look at at all: there is nothing to show a model either."""

_SYSTEM: Final = load_prompt("review")
REVIEW_PROMPTS: Final = {area: f"{_SYSTEM}\n\n{load_prompt(f'review/{area}')}" for area in AREAS}
REVIEW_VERSIONS: Final = {area: version_of(f"review-{area}", text, REPAIR) for area, text in REVIEW_PROMPTS.items()}
_AREA_OF: Final = {rule: area for area, rules in AREAS.items() for rule in rules}


def area_of(rule: str) -> str:
    """Return the area of ``rule``, '' for a rule nobody is asked about."""
    return _AREA_OF.get(rule, "")
