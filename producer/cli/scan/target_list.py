"""The addresses of one scan, collected from the command line without user info, which is kept separately."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from producer.contract.addresses import join_user_info, normal_url, origin_of, split_user_info

if TYPE_CHECKING:
    from producer.reports.page import Page


@dataclass(slots=True, eq=False)
class Targets:
    """Addresses to scan, in the given order; refused ones with the reason; remarks for the user.

    ``gaps_ms`` has, per address, the milliseconds between two pages that its site's robots.txt asks for. ``logins`` has
    the name and password given in addresses of an origin; ``urls`` do not contain them.
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
            msg = f"{url!r} has two logins: scan with one login at a time"
            raise ValueError(msg)
        return url

    def with_login(self, url: str) -> str:
        """Return the address with its origin's login; only for submission."""
        login = self.logins.get(origin_of(url))
        return join_user_info(url, login) if login else url
