"""The light client of Sightline: submit jobs, wait for results, read events.

::

    from producer import BlockingClient

    with BlockingClient() as client:
        job = client.submit("scan", {"url": "https://example.org/"})
        print(client.wait(job.job_id, timeout_s=120).model_dump_json(indent=2))

``Client`` is the async client. Nothing heavy is imported. Start with ``client/client.py``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.client.blocking import BlockingClient
    from producer.client.client import Client

__all__ = ["BlockingClient", "Client"]


def __getattr__(name: str) -> Any:
    """Import the clients on first use: ``producer.contract`` alone needs no Redis."""
    module = {"Client": "client", "BlockingClient": "blocking"}.get(name)
    if module is None:
        msg = f"module 'producer' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.client.{module}"), name)
