"""``sightline limits``: limits how many scans of a host run at a time, and how far apart, across all workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from producer.cli.connect import with_client
from producer.cli.controlling import change
from producer.cli.status_text import control_line
from producer.cli.terminal import json_option, print_each
from producer.client.controls_view import LIMITS, Control, read_controls
from producer.client.limits_view import HostLimits
from producer.errors import InputError

if TYPE_CHECKING:
    from producer.client.client import Client

MOST_SLOTS = 100
MOST_GAP_MS = 600_000
"""The same bounds as a worker's HOST_PLACES and HOST_GAP_MS."""


@click.group(short_help="Limit the scans of a host across all workers.")
def limits() -> None:
    """Limit how many scans of a host run at a time, and how far apart they begin, across all workers.

    These limits override the workers' HOST_PLACES and HOST_GAP_MS. If a scan asks for a longer gap, the longer one
    applies.
    """


@limits.command("set", short_help="Limit a host.")
@click.argument("host")
@click.option(
    "--slots", "places", type=int, metavar="N", help="Concurrent scans of the host across all workers: 1 to 100."
)
@click.option(
    "--gap", "gap_ms", type=int, metavar="MS", help="Minimum time between the starts of two scans, in ms: 0 to 600000."
)
def set_limits(host: str, places: int | None, gap_ms: int | None) -> None:
    """Limit HOST from its next scan on; running scans continue. An option that is not given keeps its setting.

    --slots 0 is refused: to start no more scans, use 'sightline pause host HOST'.

    \b
    sightline limits set shop.example --slots 1 --gap 2000
    """
    from producer.stored.controls import control_of, limit

    control, wanted = control_of(LIMITS, host), checked(HostLimits(places, gap_ms), host)

    async def act(client: Client) -> tuple[HostLimits, bool]:
        from producer.redis.connection import redis_errors

        doubt = f"limits of {control.name!r} may have been changed: run the command again"
        with redis_errors(client.settings, lambda: doubt):
            before = next((one.limits for one in await _limited(client) if one.field == control.field), None)
            merged = wanted if before is None else wanted.over(before)
            return merged, await limit(client.redis, client.keys, control, merged)

    merged, changed = with_client(act)
    click.echo(f"host {control.name}: {merged}{'' if changed else ' (unchanged)'}")


@limits.command(short_help="List the hosts with limits.")
@json_option("One line of JSON each. Default in a pipe.")
def show(*, as_json: bool) -> None:
    """List the hosts with limits, with when and by whom they were set.

    \b
    sightline limits show
    """

    async def read(client: Client) -> list[Control]:
        from producer.redis.connection import redis_errors

        with redis_errors(client.settings, None):
            return await _limited(client)

    nothing = "No host has limits: each worker's HOST_PLACES and HOST_GAP_MS apply."
    print_each(with_client(read), as_json=as_json, document=asdict, line=control_line, nothing=nothing)


@limits.command(short_help="Remove a host's limits.")
@click.argument("host")
def clear(host: str) -> None:
    """Remove the limits of HOST: each worker's HOST_PLACES and HOST_GAP_MS apply again.

    \b
    sightline limits clear shop.example
    """
    from producer.stored.controls import control_of

    control = control_of(LIMITS, host)
    changed = with_client(lambda client: change(client, control, on=False))
    click.echo(f"host {control.name}: {'limits removed' if changed else 'had no limits'}")


def checked(wanted: HostLimits, host: str) -> HostLimits:
    """Return the limits; raises ``InputError`` if they are out of range. Pure."""
    if wanted == HostLimits():
        raise InputError("nothing to limit: use --slots N, --gap MS or both")
    if wanted.places == 0:
        raise InputError(f"--slots 0 would start no scan: use 'sightline pause host {host[:100]}'")
    if wanted.places is not None and not 1 <= wanted.places <= MOST_SLOTS:
        raise InputError(f"--slots is {wanted.places}: expected 1 to {MOST_SLOTS}")
    if wanted.gap_ms is not None and not 0 <= wanted.gap_ms <= MOST_GAP_MS:
        raise InputError(f"--gap is {wanted.gap_ms}: expected 0 to {MOST_GAP_MS:,} ms")
    return wanted


async def _limited(client: Client) -> list[Control]:
    return [one for one in await read_controls(client.redis, client.keys) if one.kind == LIMITS]
