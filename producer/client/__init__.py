"""Submit jobs, wait for them, cancel them, follow their events, see the queue and the GPU.

Start with ``client.py``. ``from producer.client import Client`` is what programs written for earlier releases say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.client.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    if name != "Client":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from producer.client.client import Client  # noqa: PLC0415  the views need no client

    return Client
