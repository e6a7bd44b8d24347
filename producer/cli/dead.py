"""``sightline dead``: lists, shows, replays and drops dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from producer.cli.ci import say
from producer.cli.connect import with_client
from producer.cli.status_text import clock
from producer.cli.terminal import NamingGroup, json_option, print_each
from producer.errors import InputError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, one_line, printable

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.stored.dead_letters import DeadLetter, DeadLetters


_LABELS: Final = {"at_ms": "died", "job_id": "job"}


@click.group(cls=NamingGroup)
def dead() -> None:
    """Manage dead-lettered jobs and malformed queue entries."""


@dead.command("list", short_help="List dead letters, newest first.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Maximum number to list.")
@json_option("One line of JSON each. Default in a pipe.")
def list_letters(*, limit: int, as_json: bool) -> None:
    """List dead letters, newest first: time, job, attempts and reason.

    \b
    sightline dead list --limit 10
    """

    async def newest(client: Client) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        async for letter in _letters(client).newest_first():
            found.append(letter)
            if len(found) == limit:
                break
        return found

    letters = with_client(newest)
    print_each(letters, as_json=as_json, document=asdict, line=_line, nothing="No dead letters.")


@dead.command(short_help="Show one dead letter.")
@click.argument("name", metavar="JOB|ENTRY")
@json_option("One line of JSON each. Default in a pipe.")
def show(name: str, *, as_json: bool) -> None:
    """Show a whole dead letter: payload, reason, and unknown fields.

    \b
    sightline dead show 3f2b8c6e5a
    """
    letter = with_client(lambda client: _letters(client).find(name))
    if as_json:
        click.echo(line_of({"v": 1, **asdict(letter)}))
        return
    fields = asdict(letter)
    raw = {f"raw {label}": value for label, value in fields.pop("raw").items()}
    for label, value in {**fields, "at_ms": clock(letter.at_ms), **raw}.items():
        click.echo(f"{printable(_LABELS.get(label, label)):10} {printable(str(value))}")


@dead.command(short_help="Queue dead jobs again.")
@click.argument("names", nargs=-1, metavar="[JOB|ENTRY]…")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
def replay(names: tuple[str, ...], *, everything: bool) -> None:
    """Queue dead-lettered jobs again with their attempts reset. They leave their batch and lose their secrets.

    \b
    sightline dead replay 3f2b8c6e5a
    sightline dead replay --all
    """

    async def again(letters: DeadLetters, letter: DeadLetter) -> None:
        click.echo(f"queued again: {printable(await letters.replay(letter))}")

    _, failures = _for_each(names, again, everything=everything)
    _raise_first(failures)


@dead.command(short_help="Remove dead letters.")
@click.argument("names", nargs=-1, metavar="[JOB|ENTRY]…")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
def drop(names: tuple[str, ...], *, everything: bool) -> None:
    """Remove dead letters permanently. Their jobs' results still say why they failed.

    \b
    sightline dead drop 1764000000000-0
    """
    dropped, failures = _for_each(names, lambda letters, letter: letters.drop(letter), everything=everything)
    click.echo(f"dropped {counted(dropped, 'dead letter')}")
    _raise_first(failures)


def _letters(client: Client) -> DeadLetters:
    from producer.stored.dead_letters import DeadLetters

    return DeadLetters(client)


def _for_each(
    names: Sequence[str], act: Callable[[DeadLetters, DeadLetter], Awaitable[None]], *, everything: bool
) -> tuple[int, list[InputError]]:
    """Apply the action to the named letters, or to all; return the number of successes and the failures."""
    if everything == bool(names):
        raise click.UsageError("name the dead letters, or use --all: see 'sightline dead list'")
    failures: list[InputError] = []

    async def act_on_all(client: Client) -> int:
        letters, done = _letters(client), 0
        for one in names or [letter async for letter in letters.newest_first()]:
            try:
                await act(letters, await letters.find(one) if isinstance(one, str) else one)
                done += 1
            except InputError as error:  # unknown, or replayed by someone else meanwhile: continue with the rest
                failures.append(error)
        return done

    return with_client(act_on_all), failures


def _raise_first(failures: Sequence[InputError]) -> None:
    for failure in failures[1:]:
        say(str(failure))
    if failures:
        raise failures[0]


def _line(letter: DeadLetter) -> str:
    tried = counted(letter.attempts, "attempt")
    job_id, kind, reason = map(one_line, (letter.job_id, letter.kind or "?", f"{letter.error}: {letter.reason}"))
    return f"{clock(letter.at_ms)}  {job_id}  {kind}  {tried}  {reason}"
