"""Patterns of host names: ``name`` is that host, ``*.name`` every host below it. Needs no pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from producer.contract.addresses import host_of

_HOST: Final = re.compile(r"(?:[^\W_]|[-_.:\[\]])+")


def check_host_pattern(text: str) -> str:
    """Return the pattern with its host normalised as in browsers; raises ``ValueError`` for anything else."""
    name = text.strip().removeprefix("*.")
    is_name = _HOST.fullmatch(name) and (name.startswith("[") or ":" not in name)
    host = host_of(f"http://{name}") if is_name else ""
    if not host:
        msg = f"{text[:100]!r} is not a host: expected one such as ads.example, or '*.ads.example' for all below it"
        raise ValueError(msg)
    return f"*.{host}" if text.strip().startswith("*.") else host


def fits_host(host: str, patterns: Iterable[str]) -> bool:
    """Return whether a normalised host matches one of the patterns."""
    host = host.rstrip(".")
    return any(host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])) for pattern in patterns)
