"""``sightline batch``: steer a batch. What it does is in ``jobs_command.py``."""

from __future__ import annotations

import click


@click.group()
def batch() -> None:
    """Steer batches: jobs that were submitted together."""


@batch.command(short_help="Say that all jobs of a batch are in.")
@click.argument("batch_id", metavar="BATCH")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON. Default in a pipe.")
def close(batch_id: str, *, as_json: bool) -> None:
    """Say that all jobs of BATCH are in, so that it can finish. Its submitter does this, unless it died.

    \b
    sightline batch close nightly-2026-11-23
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.jobs_command import close_batch  # noqa: PLC0415  --help needs none of it

    close_batch(batch_id, as_json=as_json)
