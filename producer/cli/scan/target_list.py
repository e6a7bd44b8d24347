"""The addresses of one scan, as the command line collects them: without user info, which is kept beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

from producer.contract.addresses import join_user_info, normal_url, origin_of, split_user_info
from producer.reports.page import Page


@dataclass(slots=True)
class Targets:
    """Addresses to scan, in the order given; those that are none, with the reason; what to tell about the choice.

    ``gaps_ms`` has the addresses whose site's robots.txt asks for so many ms between two pages. ``logins`` has the name
    and password that addresses of an origin came with; ``urls`` are without.
    """

    urls: tuple[str, ...] = ()
    refused: tuple[Page, ...] = ()
    remarks: list[str] = field(default_factory=list[str])
    gaps_ms: dict[str, int] = field(default_factory=dict[str, int])
    logins: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]], repr=False)

    def address(self, text: str) -> str:
        """Return the address in ``text`` without user info, which is kept in ``logins``; raises ``ValueError``."""
        url, login = split_user_info(normal_url(text))
        if login and self.logins.setdefault(origin_of(url), login) != login:
            msg = f"{url!r} came with two logins: scan one login's pages at a time"
            raise ValueError(msg)
        return url

    def with_login(self, url: str) -> str:
        """Return the address with the login that addresses of its origin came with: only to submit it."""
        login = self.logins.get(origin_of(url))
        return join_user_info(url, login) if login else url
