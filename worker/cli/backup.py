"""``sightline backup`` and ``sightline restore``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from producer.cli.ci import say
from producer.errors import InputError
from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from redis import Redis

    from worker.backup.folder import Manifest

KIB: Final = 1 << 10
MIB: Final = 1 << 20
ANSWER_WITHIN_S: Final = 30.0
HALF: Final = "part of the backup may have been loaded: empty that Redis, and restore again"


@contextmanager
def sigterm_as_ctrl_c() -> Generator[None]:
    """Let SIGTERM end the body like Ctrl-C, which deletes incomplete files and makes Redis a primary again."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Load the backup into an embedded Redis, and count its contents.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="Then keep the N newest backups beside DIR, and delete older ones.",
)
@sigterm_as_ctrl_c()
def backup(folder: Path, keep: int | None, *, verify: bool) -> None:
    """Write a snapshot of the whole Redis at REDIS_URL, every environment in it, to the new folder DIR.

    Workers and producers continue; what they write after the start is not included. Only REDIS_URL is needed, even if
    Redis runs in a container or on another machine; workers of ENVIRONMENT report the backup's age. Headers, cookies
    and storage states of waiting scans are left out: after a restore such a job is dead-lettered, with the advice to
    submit it again.

    With --verify, a DIR that already holds a backup is only verified; if it is damaged, the exit code is 64. Verifying
    takes as much memory as the data.

    \b
    sightline backup backups/2026-11-25
    sightline backup "backups/$(date +%F)" --verify --keep 14
    sightline backup --verify backups/2026-11-25
    """
    from worker.backup import folder as folders

    is_there = verify and folders.holds_something(folder)
    size = 0 if is_there else _make(folder)
    if verify:
        _verify(folder)
    if not is_there:
        _note(size)
    if keep:
        from worker.backup.rotation import rotate

        for old in rotate(folder, keep=keep):
            click.echo(f"deleted {old}")


def size_text(size: int) -> str:
    """Return a number of bytes as ``12.3 MiB``, and below 0.1 MiB as ``9.8 KiB``."""
    return f"{size / MIB:,.1f} MiB" if size >= MIB / 10 else f"{size / KIB:,.1f} KiB"


def _make(folder: Path) -> int:
    from worker.backup import folder as folders
    from worker.backup.restore import modules_of
    from worker.backup.snapshot import receive
    from worker.backup.without_secrets import SecretFilter

    with _open_redis() as redis:
        about = cast("dict[str, Any]", redis.info("server"))
        keys, modules = int(cast("Any", redis.dbsize())), modules_of(redis)
        folders.prepare(folder)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        snapshot = SecretFilter(receive(redis))
        size, digest = folders.keep(folder, snapshot.pieces())
        folders.seal(folder, folders.Manifest(made_at, str(about["redis_version"]), modules, keys, size, digest))
    click.echo(f"{folder}: about {counted(keys, 'key')}, {size_text(size)}, SHA-256 {digest[:16]}…")
    if snapshot.dropped:
        click.echo(f"left out: the login data of {counted(snapshot.dropped, 'waiting scan')}")
    if snapshot.has_secrets:
        say(
            "warning: this Redis writes data that this release cannot read: headers, cookies and storage states of "
            "waiting scans may be in the backup; keep it safe"
        )
    return size


def _note(size: int) -> None:
    """Record the time of a complete backup, so that workers know its age."""
    from producer.keys import Keys
    from producer.settings import ClientSettings
    from producer.stored.backups import note_backup

    with _open_redis() as redis:
        note_backup(redis, Keys(ClientSettings.from_env(os.environ).environment), size=size)


def _expired(keys: int, manifest: Manifest) -> str:
    """Return why there are fewer keys than in the backup, if there are."""
    return f" (of about {manifest.keys:,} in the backup; the others have expired)" if keys < manifest.keys else ""


def _verify(folder: Path) -> None:
    from worker.backup.verification import verify

    found = verify(folder)
    click.echo(
        f"{folder}: verified: a Redis loaded {counted(found.keys, 'key')} of {found.manifest.made_at}, "
        f"{counted(found.scans, 'scan')} among them{_expired(found.keys, found.manifest)}"
    )


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--address", default="", help="This machine's address as Redis sees it. Default: the address of the connection."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port for Redis to connect back to; 0 chooses a free one."
)
@sigterm_as_ctrl_c()
def restore(folder: Path, address: str, port: int) -> None:
    """Put the backup in DIR into the Redis at REDIS_URL, which must be empty; anything else is refused.

    Redis connects back to this program to load the backup, so run it on the same machine or network.

    \b
    sightline restore backups/2026-11-25
    docker compose run --rm --volume ./backups:/backups admin restore /backups/2026-11-25
    """
    from worker.backup import folder as folders
    from worker.backup import restore as restoring
    from worker.backup.replication_source import Offer

    manifest = folders.check(folder)
    with _open_redis(lambda: HALF) as redis:
        restoring.check_target(redis, manifest)
        own = restoring.own_address(redis)
        try:
            offer = Offer(folder / folders.SNAPSHOT, host="0.0.0.0" if address else own, port=port)  # noqa: S104  behind a token
        except OSError as error:
            raise InputError(f"port {port} cannot be used ({error.strerror}): choose another one") from None
        with offer:
            restored = restoring.restore(redis, offer, address=address or own)
    indexes = counted(restored.indexes, "index", "indexes")
    click.echo(
        f"restored {counted(restored.keys, 'key')} and {indexes} of {manifest.made_at}"
        f"{_expired(restored.keys, manifest)}"
    )


@contextmanager
def _open_redis(doubt: Callable[[], str] | None = None) -> Generator[Redis]:
    from producer.redis.connection import open_blocking_redis, redis_errors
    from producer.settings import ClientSettings

    settings = ClientSettings.from_env(os.environ)
    with redis_errors(settings, doubt), open_blocking_redis(settings, timeout_s=ANSWER_WITHIN_S) as redis:
        redis.ping()
        yield redis
