"""Proposes fixes that need no judgement: for some of axe-core's rules, the markup tells what is missing. Pure.

A proposal is the element's markup with other attributes; for a page without a title, the title. If the page does not
contain the right words, there is no proposal: a wrong name is worse than none. ``trial.py`` tests whether a proposal
helps, so it need only be likely, not right. Next: ``names.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Final

from worker.scan.fixes.facts import Facts
from worker.scan.fixes.languages import language_of, language_tag
from worker.scan.fixes.markup import attributes, tag_of, with_attributes
from worker.scan.fixes.names import field_name, name_of
from worker.scan.fixes.vocabulary import ARIA, AUTOCOMPLETE, BOOLEAN_ARIA, ROLES, nearest
from worker.scan.fixes.wanted import MAX_PROPOSAL_BYTES

Rule = Callable[[Facts], str]
_MAX_ZOOM: Final = 5.0
_TRUE: Final = frozenset({"1", "yes", "on", "true"})
_FALSE: Final = frozenset({"0", "no", "off", "false", ""})


def propose(rule: str, facts: Facts) -> str:
    """Return the changed markup of the element that fails ``rule``; '' if it is very long or that needs judgement."""
    mechanical = MECHANICAL.get(rule) if len(facts["markup"]) <= MAX_PROPOSAL_BYTES else None
    proposed = mechanical(facts) if mechanical else ""
    return "" if proposed == facts["markup"] else proposed


def _changed(facts: Facts, **changes: str | None) -> str:
    return with_attributes(facts["markup"], {name.replace("_", "-"): value for name, value in changes.items()})


def _language(facts: Facts) -> str:
    """Set the root's language: the corrected tag, or the language of its words."""
    given = attributes(facts["markup"])
    language = language_tag(given.get("lang", "")) or language_tag(given.get("xml:lang", ""))
    language = language or language_of(facts["text"])
    return _changed(facts, lang=language) if language else ""


def _part_language(facts: Facts) -> str:
    """Correct the language tag of a part; unrecognizable ones are left alone."""
    language = language_tag(attributes(facts["markup"]).get("lang", ""))
    return _changed(facts, lang=language) if language else ""


def _same_language(facts: Facts) -> str:
    language = attributes(facts["markup"]).get("lang", "")
    return with_attributes(facts["markup"], {"xml:lang": language}) if language else ""


def _field(facts: Facts) -> str:
    name = field_name(facts)
    return _changed(facts, aria_label=name) if name else ""


def _control(facts: Facts) -> str:
    name = name_of(facts)
    return _changed(facts, aria_label=name) if name else ""


def _button_input(facts: Facts) -> str:
    name = name_of(facts)
    return _changed(facts, value=name) if name else ""


def _image_input(facts: Facts) -> str:
    name = name_of(facts)
    return _changed(facts, alt=name) if name else ""


def _decoration(facts: Facts) -> str:
    """Hide a decorative image: beside its link's text, in a hidden part, or a spacer."""
    is_decoration = facts["in_named"] or facts["in_hidden"] or facts["is_spacer"]
    return _changed(facts, alt="") if is_decoration and tag_of(facts["markup"]) == "img" else ""


def _title(facts: Facts) -> str:
    return f"<title>{escape(facts['heading'], quote=False)}</title>" if facts["heading"] else ""


def _frame(facts: Facts) -> str:
    return _changed(facts, title=facts["frame_title"]) if facts["frame_title"] else ""


def _zoom(facts: Facts) -> str:
    """Remove settings that forbid zooming from the viewport."""
    kept = [part.strip() for part in attributes(facts["markup"]).get("content", "").replace(";", ",").split(",")]
    kept = [part for part in kept if part and not _forbids_zoom(part)]
    return _changed(facts, content=", ".join(kept) or "width=device-width")


def _forbids_zoom(part: str) -> bool:
    name, _, value = (text.strip().lower() for text in part.partition("="))
    if name == "maximum-scale":
        try:
            return float(value) < _MAX_ZOOM
        except ValueError:
            return value != "device-width"
    return name == "user-scalable" and value in {"no", "0", "0.0"}


def _unique_id(facts: Facts) -> str:
    given = attributes(facts["markup"]).get("id", "")
    return _changed(facts, id=f"{given}-{facts.get('same_ids', 2)}") if given else ""


def _attribute_names(facts: Facts) -> str:
    """Correct each unknown ``aria-`` attribute to the only similar one."""
    given = attributes(facts["markup"])
    wrong = {name: nearest(name, ARIA) for name in given if name.startswith("aria-") and name not in ARIA}
    right = {meant: given[name] for name, meant in wrong.items() if meant and meant not in given}
    if len(right) < len(wrong):
        return ""
    return with_attributes(facts["markup"], {**dict.fromkeys(wrong), **right})


def _attribute_values(facts: Facts) -> str:
    """Convert yes and no to ARIA's values."""
    changes: dict[str, str | None] = {}
    for name, value in attributes(facts["markup"]).items():
        plain = value.strip().lower()
        if name in BOOLEAN_ARIA and value not in {"true", "false"} and plain in _TRUE | _FALSE:
            changes[name] = "true" if plain in _TRUE else "false"
    return with_attributes(facts["markup"], changes) if changes else ""


def _role(facts: Facts) -> str:
    given = attributes(facts["markup"]).get("role", "").strip().lower()
    meant = given if given in ROLES else nearest(given, ROLES)
    return _changed(facts, role=meant) if meant else ""


def _autocomplete(facts: Facts) -> str:
    words = attributes(facts["markup"]).get("autocomplete", "").lower().split()
    meant = [word if word in AUTOCOMPLETE else nearest(word, AUTOCOMPLETE) for word in words]
    return _changed(facts, autocomplete=" ".join(meant)) if words and all(meant) else ""


def _setting(**changes: str | None) -> Rule:
    return lambda facts: _changed(facts, **changes)


MECHANICAL: Final[dict[str, Rule]] = {
    "html-has-lang": _language,
    "html-lang-valid": _language,
    "html-xml-lang-mismatch": _same_language,
    "valid-lang": _part_language,
    "document-title": _title,
    "frame-title": _frame,
    "meta-viewport": _zoom,
    "meta-viewport-large": _zoom,
    "label": _field,
    "select-name": _field,
    "aria-input-field-name": _field,
    "aria-toggle-field-name": _field,
    "button-name": _control,
    "link-name": _control,
    "aria-command-name": _control,
    "input-button-name": _button_input,
    "input-image-alt": _image_input,
    "image-alt": _decoration,
    "image-redundant-alt": _setting(alt=""),
    "duplicate-id": _unique_id,
    "duplicate-id-active": _unique_id,
    "duplicate-id-aria": _unique_id,
    "tabindex": _setting(tabindex="0"),
    "scrollable-region-focusable": _setting(tabindex="0"),
    "aria-hidden-body": _setting(aria_hidden=None),
    "aria-valid-attr": _attribute_names,
    "aria-valid-attr-value": _attribute_values,
    "aria-roles": _role,
    "autocomplete-valid": _autocomplete,
}
