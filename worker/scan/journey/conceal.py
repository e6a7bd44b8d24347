"""Removes variables' values from a scan's result: a page may show what was entered.

Screenshots show the values as dots (``js/journey.js``, ``mask``). Ids and fingerprints are unchanged: they are digests,
computed before.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus

from producer.contract import ScanResult

SHORTEST: Final = 4
"""Minimum length: shorter values occur in any page and cannot be concealed."""
_KEPT: Final = frozenset(
    {"fingerprint", "issue_id", "rule", "url", "help_url", "job_id", "scan_id", "kind"}
    # The contract's closed sets: the value "scan" occurs in the status "scanned".
    | {"status", "state", "outcome", "impact", "certainty", "verdict", "standard", "page_state", "criteria", "tags"}
    | {"help", "description"}
)
"""Fields whose text does not come from the page."""
_KEYS_OF_PAGE: Final = frozenset({"unread_frames"})
"""Fields whose keys come from the page."""


def forms_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the forms of each variable's value in text, HTML and addresses, longest first, with their replacements."""
    forms: dict[str, str] = {}
    for name, value in variables.items():
        if len(value) >= SHORTEST:
            forms |= dict.fromkeys((value, escape(value), quote(value), quote_plus(value)), f"${{{name}}}")
    return dict(sorted(forms.items(), key=lambda item: -len(item[0])))


def conceal_text(text: str, forms: Mapping[str, str]) -> str:
    """Return ``text`` with the variables' names in place of their values."""
    for form, name in forms.items():
        text = text.replace(form, name)
    return text


def conceal(result: ScanResult, variables: Mapping[str, str]) -> ScanResult:
    """Return the result without the values of ``variables``."""
    forms = forms_of(variables)
    if not forms:
        return result
    fields = result.model_dump(mode="json")
    return ScanResult.model_validate({name: _concealed(value, name, forms) for name, value in fields.items()})


def _concealed(value: Any, name: str, forms: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value if name in _KEPT else conceal_text(value, forms)
    if isinstance(value, list):
        return [_concealed(item, name, forms) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        is_of_page = name in _KEYS_OF_PAGE
        return {
            conceal_text(key, forms) if is_of_page else key: _concealed(item, "" if is_of_page else key, forms)
            for key, item in fields.items()
        }
    return value
