"""The rules of the shipped axe-core and of Sightline, so that a wrong name is refused before anything is queued.

Needs no pydantic. Tests compare the lists with ``worker/scan/vendor/axe-core``, which changes with axe-core, and with
``worker/scan/lint/rules.toml`` and ``worker/scan/live/rules.toml``.
"""

from __future__ import annotations

from typing import Final

from producer.contract.nearest import nearest

_NAMES: Final = """
    accesskeys area-alt aria-allowed-attr aria-allowed-role aria-braille-equivalent aria-command-name
    aria-conditional-attr aria-deprecated-role aria-dialog-name aria-hidden-body aria-hidden-focus
    aria-input-field-name aria-meter-name aria-progressbar-name aria-prohibited-attr aria-required-attr
    aria-required-children aria-required-parent aria-roledescription aria-roles aria-tab-name aria-text
    aria-toggle-field-name aria-tooltip-name aria-treeitem-name aria-valid-attr aria-valid-attr-value audio-caption
    autocomplete-valid avoid-inline-spacing blink button-name bypass color-contrast color-contrast-enhanced
    css-orientation-lock definition-list dlitem document-title duplicate-id duplicate-id-active duplicate-id-aria
    empty-heading empty-table-header focus-order-semantics form-field-multiple-labels frame-focusable-content
    frame-tested frame-title frame-title-unique heading-order hidden-content html-has-lang html-lang-valid
    html-xml-lang-mismatch identical-links-same-purpose image-alt image-redundant-alt input-button-name
    input-image-alt label label-content-name-mismatch label-title-only landmark-banner-is-top-level
    landmark-complementary-is-top-level landmark-contentinfo-is-top-level landmark-main-is-top-level
    landmark-no-duplicate-banner landmark-no-duplicate-contentinfo landmark-no-duplicate-main landmark-one-main
    landmark-unique link-in-text-block link-name list listitem marquee meta-refresh meta-refresh-no-exceptions
    meta-viewport meta-viewport-large nested-interactive no-autoplay-audio object-alt p-as-heading
    page-has-heading-one presentation-role-conflict region role-img-alt scope-attr-valid scrollable-region-focusable
    select-name server-side-image-map skip-link summary-name svg-img-alt tabindex table-duplicate-name
    table-fake-caption target-size td-has-header td-headers-attr th-has-data-cells valid-lang video-caption
"""
AXE_RULES: Final = frozenset(_NAMES.split())
LINT_RULES: Final = frozenset(
    {"alt-meaning", "button-meaning", "error-meaning", "heading-meaning", "label-meaning", "link-meaning"}
    | {"link-meaning-alone", "title-meaning"}
)
"""Sightline's rules about names; their findings always need review."""


LIVE_RULES: Final = frozenset(
    {"live-autoplay", "live-reflow", "live-spacing", "live-zoom"}
    | {"live-focus-covered", "live-focus-order", "live-focus-visible", "live-keyboard", "live-trap"}
    | {"live-hover", "live-same-name", "live-shortcut", "live-page-language", "live-part-language"}
    | {"live-flash", "live-motion", "live-status-message"}
)
"""Sightline's rules about a page in use (``worker/scan/live``); their findings always need review."""


def check_rule(name: str) -> str:
    """Return ``name``; raises ``ValueError`` unless there is a rule of that name."""
    known = AXE_RULES | LINT_RULES | LIVE_RULES
    if name in known:
        return name
    meant = nearest(name, known)
    hint = f"did you mean {meant}?" if meant else "expected one such as color-contrast, as named in findings"
    msg = f"axe-core has no rule {name[:100]!r}: {hint}"
    raise ValueError(msg)
