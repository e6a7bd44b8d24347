"""Parses OLLAMA_BASE_URL: the model hosts and the number of concurrent calls of each. Pure.

All workers must use the same name for a host, because Redis counts slots by name. On two machines,
``http://127.0.0.1:11434`` would be two hosts that share one host's slots: safe, but each half idle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

Kind = Literal["chat", "embed"]
"""The kind of a call."""

MAX_SLOTS: Final = 64
"""More than any GPU serves at once; a larger number is a typing error."""
_NEXT_HOST: Final = re.compile(r",\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")
"""A comma before an address; other commas separate the slots of one host."""
_EXPECTED: Final = "expected an address such as http://gpu1:11434 or http://gpu1:11434#chat=1,embed=1"


@dataclass(frozen=True, slots=True)
class Host:
    """A model host.

    ``name`` is the address without user and password, for display, logs and Redis; ``address`` is complete. There is
    at least one ``chat`` slot. With ``embed`` 0 embeddings use chat slots, for a GPU that cannot hold both models.
    """

    name: str
    address: str
    chat: int = 1
    embed: int = 1
    token_file: str = ""
    """File with the bearer token for its reverse proxy; '' for none."""


def parse_hosts(text: str) -> tuple[Host, ...]:
    """Return the comma-separated hosts in ``text``; raises ``ValueError`` for the first invalid one.

    Messages never quote an address that contains a password.
    """
    hosts = tuple(_parse_host(part.strip()) for part in _NEXT_HOST.split(text.strip().strip(",")))
    names = [host.name for host in hosts]
    for name in names:
        if names.count(name) > 1:
            msg = f"{name!r} is given twice: write its slots after one address, as in {name}#chat=2"
            raise ValueError(msg)
    return hosts


def _parse_host(text: str) -> Host:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise ValueError(_EXPECTED)
    bare = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    name = f"{parts.scheme}://{bare}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    login = parts.netloc.rpartition("@")[0]
    address = name.replace("://", f"://{login}@", 1) if login else name
    slots = _parse_slots(parts.fragment, name)
    return Host(name, address, chat=slots.get("chat", 1), embed=slots.get("embed", 1))


def _parse_slots(text: str, name: str) -> dict[str, int]:
    slots: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        kind, _, number = part.strip().partition("=")
        least = {"chat": 1, "embed": 0}.get(kind)
        if least is None or not number.isdecimal() or not least <= int(number) <= MAX_SLOTS:
            msg = (
                f"{name!r} has slots {part!r}: expected chat=1 to {MAX_SLOTS} and embed=0 to {MAX_SLOTS}, "
                f"as in {name}#chat=1,embed=1"
            )
            raise ValueError(msg)
        slots[kind] = int(number)
    return slots
