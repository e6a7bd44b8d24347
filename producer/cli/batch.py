"""``sightline batch``: manages a batch."""

from __future__ import annotations

from dataclasses import asdict

import click

from producer.cli.connect import with_client
from producer.cli.status_text import batch_lines
from producer.cli.terminal import NamingGroup, json_option
from producer.contract import check_job_id
from producer.reports.jsonl import line_of


@click.group(cls=NamingGroup)
def batch() -> None:
    """Manage batches: jobs that were submitted together."""


@batch.command(short_help="Close a batch so that it can finish.")
@click.argument("batch_id", metavar="BATCH")
@json_option()
def close(batch_id: str, *, as_json: bool) -> None:
    """Close BATCH so that it can finish. Needed only if its submitter died before doing so.

    \b
    sightline batch close nightly-2026-11-23
    """
    check_job_id(batch_id, what="batch")
    closed = with_client(lambda client: client.seal_batch(batch_id))
    click.echo(line_of({"v": 1, **asdict(closed)}) if as_json else "\n".join(batch_lines(closed)))
