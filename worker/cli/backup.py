"""``sightline backup`` and ``sightline restore``: their options. What they do is in ``backup_command.py``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Write a snapshot of the whole Redis at REDIS_URL, every environment in it, to the new folder DIR.

    Workers and producers go on meanwhile; what they write after the beginning is not in it. Redis may be in a container
    or on another machine: nothing but REDIS_URL is needed. The folder holds secrets of scans that wait: keep it safe.

    \b
    sightline backup backups/2026-11-25
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli.backup_command import make_backup  # noqa: PLC0415  --help needs none of it

    make_backup(folder)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--address", default="", help="This machine as Redis sees it; by default, as its connection tells.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port for Redis to call back; 0 is a free one.")
def restore(folder: Path, address: str, port: int) -> None:
    """Put the backup in DIR into the Redis at REDIS_URL, which must be empty; anything else is refused.

    Redis calls back to this program and loads the backup itself, so run this where it can, on the same machine or
    network.

    \b
    sightline restore backups/2026-11-25
    docker compose run --rm --volume ./backups:/backups worker sightline restore /backups/2026-11-25
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli.backup_command import put_back  # noqa: PLC0415  --help needs none of it

    put_back(folder, address=address, port=port)
