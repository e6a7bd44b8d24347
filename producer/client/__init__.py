"""Submit jobs, wait for them, cancel them, follow their events, inspect the queue and the model slots.

Start with ``client.py``. ``from producer.client import Client`` is kept for programs written for earlier releases.
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
    from producer.client.client import Client  # noqa: PLC0415  lazy: the views need no client

    return Client
