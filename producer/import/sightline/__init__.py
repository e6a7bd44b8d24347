"""The documented way in: ``from sightline import Client``, and ``sightline.arq`` for programs written for arq.

Nothing is imported before it is asked for; ``sightline.arq`` needs ``sightline[worker]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer import BlockingClient, Client

__all__ = ["BlockingClient", "Client"]


def __getattr__(name: str) -> Any:
    """Return a client when it is asked for."""
    if name not in __all__:
        msg = f"module 'sightline' has no attribute {name!r}: expected one of {', '.join(__all__)}"
        raise AttributeError(msg)
    import producer  # noqa: PLC0415  `import sightline.arq` alone needs no client

    return getattr(producer, name)
