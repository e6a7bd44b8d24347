"""``sightline waive``: its options. What they do is in ``waive_command.py``, imported when it is to be done."""

from __future__ import annotations

from datetime import datetime

import click


@click.command()
@click.argument("fingerprint", required=False)
@click.option("--reason", metavar="R", help="Why the barrier is accepted; every report shows it.")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Last day, UTC.  [default: none]"
)
@click.option("--list", "is_list", is_flag=True, help="List the waivers.")
@click.option("--remove", metavar="FINGERPRINT", help="Let the barrier count again.")
@click.option("--json", "as_json", is_flag=True, help="With --list: one line of JSON each. Default in a pipe.")
def waive(
    *,
    fingerprint: str | None,
    reason: str | None,
    until: datetime | None,
    is_list: bool,
    remove: str | None,
    as_json: bool,
) -> None:
    """Accept a barrier: it stays in every report, with the reason, and does not fail 'scan' until its end.

    \b
    sightline waive 3f2b8c6e5a1d4f7089abcdef --reason "new shop in March" --until 2027-03-31
    sightline waive --list
    sightline waive --remove 3f2b8c6e5a1d4f7089abcdef

    FINGERPRINT is that of an element, on every page that has it, or that of a finding: the rule, on every page. JSON
    and JUnit reports show both, HTML and CSV the first, SARIF the second.
    """  # noqa: D301  \b is click's mark for lines to keep
    if sum((fingerprint is not None, is_list, remove is not None)) != 1:
        msg = "give one of FINGERPRINT with --reason, --list, and --remove FINGERPRINT"
        raise click.UsageError(msg)
    if (fingerprint is None) != (reason is None) or (until and fingerprint is None):
        msg = (
            "--reason is missing: say why the barrier is accepted"
            if fingerprint
            else "--reason and --until need a FINGERPRINT"
        )
        raise click.UsageError(msg)
    from producer.cli import waive_command  # noqa: PLC0415  --help needs none of it

    if is_list:
        waive_command.list_waivers(as_json=as_json)
    elif remove is not None:
        waive_command.remove_waiver(remove)
    else:
        waive_command.add_waiver(fingerprint or "", reason or "", until.date() if until else None)
