"""``sightline history``: its options. What they do is in ``history_command.py``."""

from __future__ import annotations

import click

from producer.cli.scan.options import FAIL_ON

IMPACTS = FAIL_ON[:-1]
"""All that ``--fail-on`` takes but ``never``; the contract's own list would load pydantic."""
JSON_HELP = "One line of JSON each. Default in a pipe."


class ListByDefault(click.Group):
    """A group that takes what is no command of its own for the arguments of ``list``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` before them."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["list", *args])


@click.group(cls=ListByDefault)
def history() -> None:
    """Show what past scans found, and drop old records; ``list`` may be left out."""


@history.command("list")
@click.argument("url", required=False)
@click.option("--search", metavar="TEXT", help="Those nearest in meaning first.")
@click.option("--group", metavar="G", help="Of this group only.")
@click.option("--site", metavar="HOST", help="Of this site only.")
@click.option("--rule", metavar="R", help="That failed this axe rule, such as image-alt.")
@click.option("--impact", type=click.Choice(IMPACTS), help="With a barrier of this impact.")
@click.option("--since", metavar="D", help="Seen since then: 2026-11-01, yesterday, May, '3 weeks ago'.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many records.")
@click.option("--trend", is_flag=True, help="With --since: which groups got worse; with --site, its days.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def list_scans(
    *,
    url: str | None,
    search: str | None,
    group: str | None,
    site: str | None,
    rule: str | None,
    impact: str | None,
    since: str | None,
    limit: int,
    trend: bool,
    as_json: bool,
) -> None:
    """Show the states that pages were in, the most recently seen first; with URL those of one page and what changed.

    A page in the same state as before gets no new record: its last one says how often it was seen. Old ones are
    dropped by 'sightline history prune'.

    \b
    sightline history https://shop.example/cart
    sightline history --search 'forms without labels' --site shop.example
    sightline history --trend --since '3 months ago'
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli.history_command import Wanted, show_scans, show_trend  # noqa: PLC0415  --help needs none of it

    wanted = Wanted(url=url, search=search, group=group, site=site, rule=rule, impact=impact, since=since, limit=limit)
    if not trend:
        show_scans(wanted, as_json=as_json)
        return
    if since is None:
        msg = "--trend compares with another time: add --since, such as --since '4 weeks ago'"
        raise click.UsageError(msg)
    if any((url, search, rule, impact)) or (group is not None and site is not None):
        msg = "--trend is of all groups, or of one --group, or of the days of one --site: it takes nothing else"
        raise click.UsageError(msg)
    show_trend(wanted, as_json=as_json)


@history.command(short_help="Drop old records.")
@click.option(
    "--older-than", required=True, metavar="D", help="Last seen before then: 2026-01-01, '1 year', '90 days'."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def prune(*, older_than: str, as_json: bool) -> None:
    """Drop old states of pages. A page's newest record stays, and its newest that was read whole, whatever their age.

    Trends of sites are kept; those of groups reach back as far as the records do.

    \b
    sightline history prune --older-than '1 year'
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli.history_command import prune_old  # noqa: PLC0415  --help needs none of it

    prune_old(older_than, as_json=as_json)
