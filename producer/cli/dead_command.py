"""What ``sightline dead list``, ``show``, ``replay`` and ``drop`` do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from producer.cli.connect import with_client
from producer.cli.terminal import is_terminal
from producer.client.client import Client
from producer.errors import SightlineError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, printable
from producer.stored.dead_letters import DeadLetter, DeadLetters


def list_dead(limit: int, *, as_json: bool) -> None:
    """Print up to ``limit`` letters, the newest first."""
    letters = with_client(lambda client: _newest(client, limit))
    is_line = as_json or not is_terminal()
    for letter in letters:
        click.echo(_json(letter) if is_line else _line(letter))
    if not letters and not is_line:
        click.echo("No dead letters.")


def show_dead(name: str, *, as_json: bool) -> None:
    """Print one letter whole; raises ``UnknownJob``."""
    letter = with_client(lambda client: DeadLetters(client).find(name))
    if as_json or not is_terminal():
        click.echo(_json(letter))
        return
    rows = {
        "entry": letter.entry,
        "died": _time(letter.at_ms),
        "job": letter.job_id,
        "kind": letter.kind,
        "lane": letter.lane,
        "attempts": str(letter.attempts),
        "error": letter.error,
        "reason": letter.reason,
        "payload": letter.payload,
        **{f"raw {name}": value for name, value in letter.raw.items()},
    }
    for name_, value in rows.items():
        click.echo(f"{printable(name_):10} {printable(value)}")


def replay_dead(names: Sequence[str]) -> None:
    """Replay the letters named, or all; says of each what became of it, and goes on after a failure."""

    async def act(client: Client) -> list[SightlineError]:
        dead, failures = DeadLetters(client), list[SightlineError]()
        async for letter in _chosen(dead, names, failures):
            try:
                click.echo(f"queued again: {printable(await dead.replay(letter))}")
            except SightlineError as error:
                failures.append(error)
        return failures

    _report(with_client(act))


def drop_dead(names: Sequence[str]) -> None:
    """Drop the letters named, or all."""

    async def act(client: Client) -> list[SightlineError]:
        dead, failures, dropped = DeadLetters(client), list[SightlineError](), 0
        async for letter in _chosen(dead, names, failures):
            await dead.drop(letter)
            dropped += 1
        click.echo(f"dropped {counted(dropped, 'dead letter')}")
        return failures

    _report(with_client(act))


async def _chosen(dead: DeadLetters, names: Sequence[str], failures: list[SightlineError]) -> AsyncIterator[DeadLetter]:
    """Yield the letters of ``names``, or all there are now; a name that is unknown is a failure, not the end."""
    if not names:
        for letter in [letter async for letter in dead.newest_first()]:
            yield letter
        return
    for name in names:
        try:
            yield await dead.find(name)
        except SightlineError as error:
            failures.append(error)


async def _newest(client: Client, limit: int) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    async for letter in DeadLetters(client).newest_first():
        letters.append(letter)
        if len(letters) == limit:
            break
    return letters


def _report(failures: list[SightlineError]) -> None:
    for failure in failures[1:]:
        click.echo(f"sightline: {failure}", err=True)
    if failures:
        raise failures[0]


def _line(letter: DeadLetter) -> str:
    tried = counted(letter.attempts, "attempt")
    about = f"{letter.job_id}  {letter.kind or '?'}  {tried}  {letter.error}: {letter.reason}"
    return f"{_time(letter.at_ms)}  {printable(about)}"


def _json(letter: DeadLetter) -> str:
    return line_of({"v": 1, **asdict(letter)})


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
