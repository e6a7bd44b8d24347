"""The actions behind the live board's keys: pause or resume a batch, cancel or show a batch or a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.cli.controlling import change
from producer.client.controls_view import Control
from producer.errors import SightlineError

if TYPE_CHECKING:
    from producer.cli.top_keys import BoardAction
    from producer.client.client import Client


async def act(client: Client, action: BoardAction) -> str:
    """Carry out an action and return a message about it, or about its refusal."""
    kind, _, name = action.row_id.partition(":")
    try:
        if action.what == "pause":
            return await _pause(client, name if kind == "batch" else (await client.job(name)).batch)
        if kind == "batch":
            return f"batch {name}: {len(await client.cancel_batch(name)):,} jobs cancelled"
        return f"job {name}: {await client.cancel(name)}"
    except SightlineError as error:
        return str(error)


async def opened(client: Client, row_id: str) -> str:
    """Return the output of ``sightline status`` for a batch or a job."""
    from producer.cli.status_text import batch_lines, job_lines

    kind, _, name = row_id.partition(":")
    try:
        if kind == "batch":
            return "\n".join(batch_lines(await client.batch(name)))
        return "\n".join(job_lines(await client.job(name)))
    except SightlineError as error:
        return str(error)


async def _pause(client: Client, batch: str) -> str:
    if not batch:
        return "this job has no batch: pause its host or its lane with 'sightline pause'"
    control = Control("batch", batch)
    is_paused = any(one.field == control.field for one in (await client.queue()).controls)
    await change(client, control, on=not is_paused)
    return f"batch {batch}: {'resumed' if is_paused else 'paused'}"
