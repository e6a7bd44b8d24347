"""``sightline usage``: sums model calls over days and shows the cloud's prices beside them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from producer.cli.connect import with_client
from producer.cli.status_text import duration
from producer.cli.terminal import json_option
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from producer.client.client import Client
    from producer.views.usage_view import Prices, UsageView


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 400), default=30, show_default=True, help="Number of days, including today."
)
@json_option("One JSON object. Default in a pipe.")
def usage(*, days: int, as_json: bool) -> None:
    """Sum model calls, tokens and GPU time by model, with the cloud's price beside them.

    Set the prices per million tokens in FALLBACK_PRICE_IN and FALLBACK_PRICE_OUT, in any currency. For the cloud's
    model, the price is the actual cost; for a local model, the cost that its tokens would have had in the cloud. Failed
    calls count; cached answers and built-in models do not. Each barrier is explained once for all pages; the calls
    saved by this are shown below the table.

    \b
    sightline usage
    sightline usage --days 7 --json
    """
    view, prices = with_client(lambda client: _read(client, days))
    if as_json:
        click.echo(line_of(_document(view, prices)))
        return
    from rich.console import Console

    print_usage(Console(highlight=False, markup=False, emoji=False), view, prices)


async def _read(client: Client, days: int) -> tuple[UsageView, Prices]:
    from producer.views.usage_view import Prices, read_usage

    prices = Prices(client.settings.fallback_price_in, client.settings.fallback_price_out)
    return await read_usage(client, days=days), prices


def _document(view: UsageView, prices: Prices) -> dict[str, Any]:
    """Return the view as JSON; a missing price is null."""
    return {
        "v": 1,
        "from": view.first.isoformat(),
        "to": view.last.isoformat(),
        "models": [{**asdict(use), "cloud_price": prices.of(use)} for use in view.models],
        "spent": _sum(view, prices, is_cloud=True),
        "not_spent": _sum(view, prices, is_cloud=False),
    }


def print_usage(console: Console, view: UsageView, prices: Prices) -> None:
    """Print the view for a person, in 80 columns; the waits are in the JSON."""
    from rich.table import Table

    if not view.models:
        console.print(f"No model was called from {view.first} to {view.last} (UTC).")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Model", overflow="fold")
    table.add_column("Kind")
    heads = ("Calls", "Failed", "Tokens in", "Tokens out", "GPU time")
    for head in (*heads, "Price") if prices.are_known else heads:
        table.add_column(head, justify="right", no_wrap=True)
    for use in view.models:
        price = prices.of(use)
        cells = [f"{number:,}" for number in (use.calls, use.failed, use.prompt_tokens, use.output_tokens)]
        cells.append(duration(use.gpu_ms) if use.gpu_ms else "-")
        if prices.are_known:
            cells.append("-" if price is None else f"{price:,.2f}")
        table.add_row(one_line(use.model, limit=60), use.kind, *cells)
    console.print(f"Model calls from {view.first} to {view.last} (UTC)")
    console.print(table)
    if saved := sum(use.saved for use in view.models):
        console.print(f"Saved {saved:,} calls: their barriers had already been explained for another page.")
    spent, kept = (_sum(view, prices, is_cloud=is_cloud) for is_cloud in (True, False))
    if spent is None or kept is None:
        console.print("Set FALLBACK_PRICE_IN and FALLBACK_PRICE_OUT, per million tokens, to see the cloud's price.")
    else:
        at = f"at {prices.prompt:g} in and {prices.output:g} out per million tokens"
        console.print(f"Spent in the cloud: {spent:,.2f}. Saved by running locally: {kept:,.2f} ({at}).")


def _sum(view: UsageView, prices: Prices, *, is_cloud: bool) -> float | None:
    if not prices.are_known:
        return None
    return sum(prices.of(use) or 0.0 for use in view.models if (use.kind == "cloud") is is_cloud)
