"""The public API: ``from sightline import Client``, and ``sightline.arq`` for programs written for arq.

Programs may have their own modules named ``producer`` and ``worker`` (``names.py``). The clients are imported lazily;
``sightline.arq`` needs the extra ``worker``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sightline import names

if TYPE_CHECKING:
    from producer import BlockingClient, Client

__all__ = ["BlockingClient", "Client"]

names.look_for_hidden()


def __getattr__(name: str) -> Any:
    """Import a client on first use."""
    if name not in __all__:
        msg = f"module 'sightline' has no attribute {name!r}: expected one of {', '.join(__all__)}"
        raise AttributeError(msg)
    return getattr(names.load("producer"), name)
