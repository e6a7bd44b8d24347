"""Finds a model's text for a component barrier or a site. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.contract import Finding, Priority, SiteOrder
    from producer.reports.page import Page


def explanation_of(page: Page, finding: Finding, issue_id: str) -> Priority | None:
    """Return the text about the component ``issue_id`` of ``finding``, or about the whole finding."""
    assessment = page.result.assessment if page.result else None
    for item in assessment.priorities if assessment else ():
        if item.issue_id == issue_id if item.issue_id else item.fingerprint == finding.fingerprint:
            return item
    return None


def site_orders(pages: Iterable[Page]) -> list[SiteOrder]:
    """Return a model's advice on what to fix first on each site of ``pages``, if there is any."""
    found: dict[str, SiteOrder] = {}
    for page in pages:
        order = page.result.assessment.site_order if page.result and page.result.assessment else None
        if order is not None:
            found[order.site] = order
    return list(found.values())
