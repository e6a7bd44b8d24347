"""The changes to try on a page and their results: plain frozen records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from producer.contract import ScanRequest
from producer.contract.fixes import TriedFix
from producer.contract.terms import BY_RULE
from worker.scan.settings import BeforeLoad, Secrets

MAX_PROPOSAL_BYTES: Final = 8_000
"""Maximum bytes of a proposal; an element that needs more is a large part of the page."""
NOTHING: Final = "nothing is proposed"
"""The reason given if neither the page nor a model has a proposal."""
MOST_TRIED: Final = 20
"""Maximum number of component barriers tried per page; each costs an audit."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A component barrier for which a change is to be tried.

    ``markup`` is the proposal of ``by``, a model, for the element with ``snippet``; '' if Sightline's rules propose.
    """

    issue_id: str
    rule: str
    snippet: str = ""
    markup: str = ""
    by: str = BY_RULE


class FixEngine(Protocol):
    """Tries changes; implemented in ``engine.py``."""

    async def try_fixes(
        self,
        request: ScanRequest,
        wanted: Sequence[Wanted],
        *,
        secrets: Secrets | None = None,
        before_load: BeforeLoad | None = None,
    ) -> tuple[TriedFix, ...]:
        """Return the result of each. Raises as ``Engine.audit`` does."""
        ...
