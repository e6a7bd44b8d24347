"""Concludes the doubts about a page from what a visit has seen. Pure functions, tested with plain values.

The kinds are in ``producer/contract/doubts.py``. Doubts that arise in passing (a wait that ended early, a frame that
did not answer) are noted by ``load.py`` and ``visit.py`` where they arise; all others are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from producer.contract import Doubt, ScanRequest
from worker.scan.verdict import is_sign_in_page
from worker.scan.waiting import Facts


def doubts_about(request: ScanRequest, facts: Facts, *, is_soft_404: bool) -> Iterator[Doubt]:
    """Yield what makes the page doubtful, by what it shows."""
    if request.insecure:
        yield Doubt(kind="insecure", what="certificate errors were ignored, as the request asks")
    if is_soft_404:
        yield Doubt(kind="soft-404", what="the page calls itself missing (a soft 404)", certainty="likely")
    if facts.asks_who and is_sign_in_page(asked=request.url or "", title=facts.title, heading=facts.heading):
        yield Doubt(kind="sign-in", what="the page asks to sign in: what is behind was not scanned", certainty="likely")


def unseen(doubts: Iterable[Doubt], request: ScanRequest) -> list[Doubt]:
    """Return those that make the page ``partial``: something was not seen, and the request does not allow for it."""
    return [doubt for doubt in doubts if doubt.is_unseen and doubt.kind not in request.allow_partial]
