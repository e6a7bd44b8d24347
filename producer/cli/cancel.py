"""``sightline cancel``: cancels a job, or all jobs of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from producer.cli.connect import with_client
from producer.cli.status import find
from producer.cli.terminal import json_option, print_each
from producer.client.queue_info import BatchInfo
from producer.contract import JobState

if TYPE_CHECKING:
    from producer.client.client import Client


@click.command()
@click.argument("name", metavar="JOB|BATCH")
@json_option()
def cancel(name: str, *, as_json: bool) -> None:
    """Cancel a job, or all jobs of a batch.

    Queued jobs are cancelled at once, running jobs within 5 s; finished jobs are unaffected.

    \b
    sightline cancel 3f2b8c6e5a
    sightline cancel nightly-2026-11-23
    """

    async def act(client: Client) -> dict[str, JobState]:
        found, _ = await find(client, name)
        return await client.cancel_batch(name) if isinstance(found, BatchInfo) else {name: await client.cancel(name)}

    print_each(
        list(with_client(act).items()),
        as_json=as_json,
        document=lambda item: {"job_id": item[0], "state": item[1].value},
        line=lambda item: _line(*item),
        nothing=f"all jobs of {name} had already ended",
    )


def _line(job_id: str, state: JobState) -> str:
    if state == JobState.RUNNING:
        return f"{job_id} is running and will be cancelled within 5 s"
    return f"{job_id} is cancelled" if state == JobState.CANCELLED else f"{job_id} had already ended: {state}"
