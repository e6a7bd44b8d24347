"""Runs a worker's notice sender in a separate process, to be killed; settings come from the environment."""

from __future__ import annotations

import asyncio
import os

from producer.keys import Keys
from producer.redis.connection import open_redis
from worker.__main__ import refuse_webhook
from worker.notices.sender import open_sender
from worker.settings import WorkerSettings


async def main() -> None:
    """Send until killed."""
    settings = WorkerSettings.from_env(os.environ)
    sender = open_sender(settings, open_redis(settings), Keys(settings.environment), refuse_webhook(settings))
    assert sender
    await sender.run()


if __name__ == "__main__":
    asyncio.run(main())
