"""``sightline waive``: adds, lists and removes waivers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from producer.cli.connect import with_client
from producer.cli.terminal import json_option, print_each
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.reports.plain_text import one_line

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.stored.waivers import Waivers


@click.command()
@click.argument("fingerprint", required=False)
@click.option("--reason", metavar="R", help="Reason for accepting the barrier; every report shows it.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Last day of the waiver, UTC.  [default: no end]",
)
@click.option("--list", "is_list", is_flag=True, help="List the waivers.")
@click.option("--remove", metavar="FINGERPRINT", help="Remove the waiver: the barrier counts again.")
@json_option("With --list: one line of JSON each. Default in a pipe.")
def waive(
    *,
    fingerprint: str | None,
    reason: str | None,
    until: datetime | None,
    is_list: bool,
    remove: str | None,
    as_json: bool,
) -> None:
    """Accept a barrier until a date: reports still show it, with the reason, but it does not fail 'scan'.

    \b
    sightline waive 3f2b8c6e5a1d4f7089abcdef --reason "new shop in March" --until 2027-03-31
    sightline waive --list
    sightline waive --remove 3f2b8c6e5a1d4f7089abcdef

    FINGERPRINT is an element's, which covers it on every page; a component barrier's id (4a1f…-00c0ffee), which covers
    all its pages; or a finding's, which covers the rule on every page. JSON and JUnit reports show all three, HTML and
    CSV the first two, the table and SARIF the second.
    """
    if sum((fingerprint is not None, is_list, remove is not None)) != 1:
        raise click.UsageError("use one of FINGERPRINT with --reason, --list, or --remove FINGERPRINT")
    if fingerprint is None and (reason is not None or until is not None):
        raise click.UsageError("--reason and --until need a FINGERPRINT")
    if fingerprint is not None:
        if reason is None:
            raise click.UsageError("--reason is missing: state why the barrier is accepted")
        _add(Waiver(fingerprint, reason, until.date() if until else None))
    elif remove is not None:
        with_client(lambda client: _waivers(client).remove(remove))
        click.echo(f"{remove}: counts again")
    else:
        waivers = with_client(lambda client: _waivers(client).all())
        print_each(waivers, as_json=as_json, document=_document, line=_line, nothing="No waivers.")


def _waivers(client: Client) -> Waivers:
    from producer.stored.waivers import Waivers

    return Waivers(client)


def _add(waiver: Waiver) -> None:
    from producer.stored.waivers import check_waiver

    waiver = check_waiver(waiver)
    if waiver.is_expired(_today()):
        msg = f"--until {waiver.until}: that day is over (UTC); expected today or later"
        raise InputError(msg)
    with_client(lambda client: _waivers(client).add(waiver))
    click.echo(f"{waiver.fingerprint}: {one_line(waiver.text)}")


def _document(waiver: Waiver) -> dict[str, object]:
    return {**waiver.document(), "expired": waiver.is_expired(_today())}


def _line(waiver: Waiver) -> str:
    until = f"until {waiver.until}" if waiver.until else "no end"
    end = f"expired {waiver.until}" if waiver.is_expired(_today()) else until
    return f"{waiver.fingerprint}  {end:<18}  {one_line(waiver.reason)}"


def _today() -> date:
    return datetime.now(UTC).date()
