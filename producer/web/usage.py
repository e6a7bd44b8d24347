"""The use of models, by day and model."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from producer.errors import InputError
from producer.views.usage_view import Prices, read_usage
from producer.web.desk import Desk, Shown

MOST_DAYS: Final = 400


async def usage(desk: Desk, request: Request) -> Shown:
    """Show the totals of the last days."""
    text = request.query_params.get("days", "30")
    days = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0  # noqa: PLR2004  three digits
    if not 1 <= days <= MOST_DAYS:
        raise InputError(f"days {text[:20]!r}: expected 1 to {MOST_DAYS}")
    settings = desk.client.settings
    prices = Prices(settings.fallback_price_in, settings.fallback_price_out)
    view = await read_usage(desk.client, days=days)
    facts = {
        "usage": view,
        "days": days,
        "prices": prices,
        "costs": [prices.of(one) for one in view.models],
        "saved": sum(one.saved for one in view.models),
    }
    return Shown("usage.html.jinja", "Usage", facts, ("usage", "costs", "saved"))
