"""The terms of a scan: a digest of its rules and view. Only scans with the same terms can be compared. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from producer.contract.appearance import APPEARANCE

if TYPE_CHECKING:
    from producer.contract.requests import ScanRequest


def terms_of(request: ScanRequest) -> str:
    """Return a digest of a scan's rules and view.

    Differences due to another standard, other rules, or another part, width or state of the page are neither new nor
    fixed barriers. In the default state and without ``enabled_rules``, the digest equals that of earlier releases.
    """
    terms = request.model_dump(include={"standard", "include", "exclude", "disabled_rules", "viewport"}, mode="json")
    terms |= request.model_dump(include={*APPEARANCE, "enabled_rules"}, exclude_defaults=True, mode="json")
    return sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:16]
