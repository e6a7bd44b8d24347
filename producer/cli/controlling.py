"""Code shared by ``pause``, ``resume`` and ``drain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.client.controls_view import Control

KIND: Final = "lane|batch|host|site"
NAME: Final = "NAME"


async def change(client: Client, control: Control, *, on: bool) -> bool:
    """Set or remove the control; returns whether anything changed. Raises ``ServiceError``."""
    from producer.redis.connection import redis_errors
    from producer.stored.controls import lift, put

    act = put if on else lift
    with redis_errors(
        client.settings, lambda: f"{control.kind} {control.name!r} may have been changed: run the command again"
    ):
        return await act(client.redis, client.keys, control)
