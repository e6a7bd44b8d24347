"""Prints the rows and writes RESULTS.md: values side by side, whether targets are met, machine and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from contenders import ALL
from rows import Row

from producer.contract.distribution import NAME

RESULTS: Final = Path(__file__).parent / "RESULTS.md"


def markdown(rows: Sequence[Row], about: Sequence[str]) -> str:
    """Return the whole page."""
    names = [contender.name for contender in ALL]
    lines = ["# Measured", "", "Written by `ops/bench/run.py`; methods in [README.md](README.md).", ""]
    lines += [f"- {line}" for line in about]
    lines += ["", f"| | unit | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    lines += [f"| {row.title} | {row.unit} | {' | '.join(_cells(row, names))} |" for row in rows]
    lines += ["", "| target | |", "|---|---|"]
    lines += [
        f"| {row.title}: {text} | {'met' if met else '**missed**'} |" for row in rows for text, met in row.targets
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    """Return the row's cells; peers without a column are named after Sightline's number."""
    others = "".join(f"; {name} {value}" for name, value in row.values.items() if name not in names)
    own, *peers = (row.values.get(name, "") for name in names)
    return [own + others, *peers]


def machine(server: dict[str, Any], *, fsync: str, rounds: int) -> list[str]:
    """Return the machine, the versions and the date of the measurements."""
    pins = ", ".join(pin for contender in ALL for pin in contender.pins if pin.startswith(contender.name))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {_processor()}, {platform.system()}",
        f"load average at the start {load} (1, 5, 15 minutes): above 0.5, the machine was not idle",
        f"Python {platform.python_version()}, Redis {server['redis_version']} with appendfsync {fsync}",
        f"sightline {version(NAME)} with redis-py {version('redis')} and arq {version('arq')}; {pins}",
        f"{rounds} rounds, medians",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
