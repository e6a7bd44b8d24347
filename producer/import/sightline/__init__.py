"""The documented way in: ``from sightline import Client``, and ``sightline.arq`` for programs written for arq.

A program may have modules named ``producer`` and ``worker`` of its own (``names.py``). No client is imported before it
is asked for; ``sightline.arq`` needs the extra ``worker``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sightline import names

if TYPE_CHECKING:
    from producer import BlockingClient, Client

__all__ = ["BlockingClient", "Client"]

names.look_for_hidden()


def __getattr__(name: str) -> Any:
    """Return a client when it is asked for."""
    if name not in __all__:
        msg = f"module 'sightline' has no attribute {name!r}: expected one of {', '.join(__all__)}"
        raise AttributeError(msg)
    return getattr(names.load("producer"), name)
