"""What ``sightline usage`` does: reads the days' sums and sets prices beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from producer.cli.connect import read_settings, with_client
from producer.cli.terminal import is_terminal
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from producer.views.board import ModelUse
from producer.views.usage_view import Prices, UsageView, read_usage


def show(*, days: int, as_json: bool) -> None:
    """Print the sums; raises ``RedisUnreachable``."""
    settings = read_settings()
    prices = Prices(settings.fallback_price_in, settings.fallback_price_out)
    view = with_client(lambda client: read_usage(client, days=days))
    if as_json or not is_terminal():
        click.echo(line_of(document(view, prices)))
    else:
        print_usage(Console(highlight=False, markup=False, emoji=False), view, prices)


def document(view: UsageView, prices: Prices) -> dict[str, Any]:
    """Return the view as JSON; a price that nobody has said is null."""
    models = [
        {
            "kind": use.kind,
            "model": use.model,
            "calls": use.calls,
            "failed": use.failed,
            "prompt_tokens": use.prompt_tokens,
            "output_tokens": use.output_tokens,
            "wait_ms": use.wait_ms,
            "gpu_ms": use.gpu_ms,
            "cloud_price": prices.of(use),
        }
        for use in view.models
    ]
    return {
        "v": 1,
        "from": view.first.isoformat(),
        "to": view.last.isoformat(),
        "models": models,
        "spent": _sum(prices, view.models, is_cloud=True),
        "not_spent": _sum(prices, view.models, is_cloud=False),
    }


def print_usage(console: Console, view: UsageView, prices: Prices) -> None:
    """Print the view for a person, in 80 columns; the waits are in the JSON."""
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
        cells.append(span(use.gpu_ms))
        if prices.are_known:
            cells.append("-" if price is None else f"{price:,.2f}")
        table.add_row(one_line(use.model, limit=60), use.kind, *cells)
    console.print(f"Model calls from {view.first} to {view.last} (UTC)")
    console.print(table)
    spent, kept = (_sum(prices, view.models, is_cloud=is_cloud) for is_cloud in (True, False))
    if spent is None or kept is None:
        console.print("Set FALLBACK_PRICE_IN and FALLBACK_PRICE_OUT, for a million tokens, to see the cloud's price.")
    else:
        at = f"at {prices.prompt:g} in and {prices.output:g} out for a million tokens"
        console.print(f"Spent in the cloud: {spent:,.2f}. Not spent, as it ran here: {kept:,.2f} ({at}).")


def span(ms: int) -> str:
    """Return a time as a person reads it: ``-``, ``0.4 s``, ``12 s``, ``3 min``, ``2 h 5 min``."""
    if not ms:
        return "-"
    seconds = ms / 1000
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def _sum(prices: Prices, models: Iterable[ModelUse], *, is_cloud: bool) -> float | None:
    if not prices.are_known:
        return None
    return sum(prices.of(use) or 0.0 for use in models if (use.kind == "cloud") is is_cloud)
