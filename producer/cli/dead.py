"""``sightline dead``: the dead-letter stream. What the commands do is in ``dead_command.py``."""

from __future__ import annotations

import click

JSON_HELP = "One line of JSON each. Default in a pipe."


@click.group()
def dead() -> None:
    """Manage dead-lettered jobs and malformed queue entries."""


@dead.command("list", short_help="List dead letters, the newest first.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def list_letters(*, limit: int, as_json: bool) -> None:
    """List dead letters, the newest first: when, which job, how often it was tried, and why it died.

    \b
    sightline dead list --limit 10
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.dead_command import list_dead  # noqa: PLC0415  --help needs none of it

    list_dead(limit, as_json=as_json)


@dead.command(short_help="Show one dead letter.")
@click.argument("name", metavar="JOB|ENTRY")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def show(name: str, *, as_json: bool) -> None:
    """Show one dead letter whole: its payload, its reason, and fields that belong to no job.

    \b
    sightline dead show 3f2b8c6e5a
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.dead_command import show_dead  # noqa: PLC0415  --help needs none of it

    show_dead(name, as_json=as_json)


@dead.command(short_help="Queue dead jobs again.")
@click.argument("names", nargs=-1, metavar="[JOB|ENTRY]…")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
def replay(names: tuple[str, ...], *, everything: bool) -> None:
    """Queue dead jobs again, their attempts at zero. They belong to no batch any more, and their secrets are gone.

    \b
    sightline dead replay 3f2b8c6e5a
    sightline dead replay --all
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.dead_command import replay_dead  # noqa: PLC0415  --help needs none of it

    _check_choice(names, everything=everything)
    replay_dead(names)


@dead.command(short_help="Remove dead letters.")
@click.argument("names", nargs=-1, metavar="[JOB|ENTRY]…")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
def drop(names: tuple[str, ...], *, everything: bool) -> None:
    """Remove dead letters for good. The results of their jobs go on saying that they died.

    \b
    sightline dead drop 1764000000000-0
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.dead_command import drop_dead  # noqa: PLC0415  --help needs none of it

    _check_choice(names, everything=everything)
    drop_dead(names)


def _check_choice(names: tuple[str, ...], *, everything: bool) -> None:
    if everything == bool(names):
        msg = "name the dead letters, or give --all: see 'sightline dead list'"
        raise click.UsageError(msg)
