"""``sightline review``: adds, lists and removes decisions on undecided findings."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import click

from producer.cli.connect import with_client
from producer.cli.terminal import json_option, print_each
from producer.contract.decision import VERDICTS, Decision, Verdict
from producer.errors import InputError
from producer.reports.plain_text import one_line

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.stored.decisions import Decisions


@click.command()
@click.argument("issue_id", metavar="[ID]", required=False)
@click.argument("verdict", type=click.Choice(VERDICTS), metavar="[barrier|no-barrier]", required=False)
@click.option("--reason", metavar="R", help="Reason; every report shows it.")
@click.option(
    "--by", metavar="NAME", help="Name of the reviewer; every report shows it.  [default: the user's login name]"
)
@click.option("--list", "is_list", is_flag=True, help="List the decisions.")
@click.option("--remove", metavar="ID", help="Withdraw the decision: the component needs review again.")
@json_option("With --list: one line of JSON each. Default in a pipe.")
def review(
    *,
    issue_id: str | None,
    verdict: str | None,
    reason: str | None,
    by: str | None,
    is_list: bool,
    remove: str | None,
    as_json: bool,
) -> None:
    """Decide an undecided finding, once per component for all its pages.

    \b
    sightline review 4a1f0c2d3e4b5a69-00c0ffee no-barrier --reason "the icon is decoration"
    sightline review 4a1f0c2d3e4b5a69-00c0ffee barrier --reason "the photo is too light" --by Anna
    sightline review --list
    sightline review --remove 4a1f0c2d3e4b5a69-00c0ffee

    ID is shown by reports beside findings that need review. 'barrier' counts the component's elements as barriers with
    the rule's impact, including for 'scan --fail-on'; with --only-new they count as known. 'no-barrier' removes them
    from the review list. Every report shows the decision with name and date.
    """
    if sum((issue_id is not None, is_list, remove is not None)) != 1:
        raise click.UsageError("use one of ID barrier|no-barrier with --reason, --list, or --remove ID")
    if issue_id is None and (reason is not None or by is not None):
        raise click.UsageError("--reason and --by need an ID and barrier or no-barrier")
    if issue_id is not None:
        if verdict is None:
            raise click.UsageError(f"the decision on {issue_id!r} is missing: expected {' or '.join(VERDICTS)}")
        if reason is None:
            raise click.UsageError("--reason is missing: state why")
        _add(Decision(issue_id, cast("Verdict", verdict), reason, by or _login_name(), datetime.now(UTC).date()))
    elif remove is not None:
        with_client(lambda client: _decisions(client).remove(remove))
        click.echo(f"{remove}: needs review again")
    else:
        decisions = with_client(lambda client: _decisions(client).all())
        print_each(decisions, as_json=as_json, document=Decision.document, line=_line, nothing="No decisions.")


def _decisions(client: Client) -> Decisions:
    from producer.stored.decisions import Decisions

    return Decisions(client)


def _add(decision: Decision) -> None:
    from producer.stored.decisions import check_decision

    check_decision(decision)
    with_client(lambda client: _decisions(client).add(decision))
    click.echo(f"{decision.issue_id}: {one_line(decision.text)}")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise InputError("this user has no login name: name the reviewer with --by NAME") from None


def _line(decision: Decision) -> str:
    return f"{decision.issue_id}  {one_line(decision.text)}"
