"""What ``sightline waive`` does: keep, list and remove waivers."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from producer.cli.connect import with_client
from producer.cli.terminal import is_terminal
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from producer.stored.waivers import Waivers, check_waiver


def add_waiver(fingerprint: str, reason: str, until: date | None) -> None:
    """Keep the waiver; raises ``InvalidJob``, and ``InputError`` for a last day that is over."""
    waiver = check_waiver(Waiver(fingerprint, reason, until))
    if waiver.is_expired(_today()):
        msg = f"--until {until}: that day is over (UTC), so nothing would be waived; expected today or later"
        raise InputError(msg)
    with_client(lambda client: Waivers(client).add(waiver))
    click.echo(f"{fingerprint}: {one_line(waiver.text)}")


def list_waivers(*, as_json: bool) -> None:
    """Print the waivers by fingerprint, expired ones too."""
    waivers = with_client(lambda client: Waivers(client).all())
    is_line = as_json or not is_terminal()
    for waiver in waivers:
        is_expired = waiver.is_expired(_today())
        if is_line:
            click.echo(line_of({"v": 1, **waiver.document(), "expired": is_expired}))
        else:
            end = f"expired {waiver.until}" if is_expired else f"until {waiver.until}" if waiver.until else "no end"
            click.echo(f"{waiver.fingerprint}  {end:<18}  {one_line(waiver.reason)}")
    if not waivers and not is_line:
        click.echo("No waivers.")


def remove_waiver(fingerprint: str) -> None:
    """Remove the waiver; raises ``UnknownJob``."""
    with_client(lambda client: Waivers(client).remove(fingerprint))
    click.echo(f"{fingerprint}: counts again")


def _today() -> date:
    return datetime.now(UTC).date()
