"""The model hosts and how many calls each may run at once: what OLLAMA_BASE_URL says. Pure.

Every worker must call a host by the same name, since the name is what Redis counts slots by. An address such as
``http://127.0.0.1:11434`` on two machines would be two hosts that share one host's slots: safe, but half of each idle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

Kind = Literal["chat", "embed"]
"""What a call asks of a host."""

MAX_SLOTS: Final = 64
"""More than any card serves at once; a number over it is a slip."""
_NEXT_HOST: Final = re.compile(r",\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")
"""A comma before an address; the other commas stand between the slots of one host."""
_EXPECTED: Final = "expected an address such as http://gpu1:11434 or http://gpu1:11434#chat=1,embed=1"


@dataclass(frozen=True, slots=True)
class Host:
    """One model host.

    ``name`` is its address without user and password: what is shown, logged and kept in Redis. ``address`` is what is
    called. ``chat`` slots are at least 1; ``embed`` 0 makes embeddings take a chat slot, for a card that cannot hold
    both models.
    """

    name: str
    address: str
    chat: int = 1
    embed: int = 1


def parse_hosts(text: str) -> tuple[Host, ...]:
    """Return the hosts in ``text``, comma-separated; raise ``ValueError`` saying what is wrong with the first bad one.

    No message quotes an address that holds a password.
    """
    hosts = tuple(_parse_host(part.strip()) for part in _NEXT_HOST.split(text.strip().strip(",")))
    names = [host.name for host in hosts]
    for name in names:
        if names.count(name) > 1:
            msg = f"{name!r} is given twice: write its slots behind one address, as in {name}#chat=2"
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
