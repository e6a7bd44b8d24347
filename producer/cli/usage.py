"""``sightline usage``: its options. What it does is in ``usage_command.py``, imported when it is to be done."""

from __future__ import annotations

import click


@click.command()
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True, help="Days, today's among them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object. Default in a pipe.")
def usage(*, days: int, as_json: bool) -> None:
    """Sum what models were used for, by model, and set the cloud's price beside it.

    Prices are yours to say: FALLBACK_PRICE_IN and FALLBACK_PRICE_OUT, for a million tokens, in any currency. Beside a
    local model they say what its tokens would have cost in the cloud; beside the cloud's, what they cost. Calls that
    failed have used the card, and count; answers from the cache are no calls. The builtin models are not counted.

    \b
    sightline usage
    sightline usage --days 7 --json
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli import usage_command  # noqa: PLC0415  --help needs none of it

    usage_command.show(days=days, as_json=as_json)
