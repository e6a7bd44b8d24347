"""Loads what the environment keeps for the gate."""

from __future__ import annotations

from datetime import UTC, datetime

from producer.cli.scan.gate import Gate
from producer.client.client import Client
from producer.stored.decisions import Decisions
from producer.stored.waivers import Waivers


async def take_kept(client: Client, gate: Gate) -> None:
    """Load the environment's waivers and decisions into the gate."""
    gate.take_waivers(await Waivers(client).all(), today=datetime.now(UTC).date())
    gate.take_decisions(await Decisions(client).all())
