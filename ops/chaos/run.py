"""Breaks everything at once and counts what was lost: ``python ops/chaos/run.py --minutes 10 --seed 1``.

Real workers, a real Redis that writes every command to disk, a real browser, a stub of an Ollama; producers that note
what they were told. While they work, processes are killed and frozen, connections cut, answers spoilt, garbage thrown
in. Then everything is brought back, all jobs end, the workers stop in order, and the auditor looks. Exit code 1 on any
discrepancy. The same seed makes the same plan.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from auditor import Auditor
from crowd import Crowd
from faults import Faults
from journal import Journal
from plan import Strike, make_plan
from stage import ENVIRONMENT, Stage

from producer.client.client import Client
from producer.settings import ClientSettings

CALM_S: Final = 240.0
"""For all jobs to end once everything works again: a worker needs a lease to take a dead one's jobs."""
SHOWN: Final = 8


@dataclass
class Outcome:
    """What a run came to: faults that struck, how jobs ended, what was wrong by check."""

    strikes: dict[str, int] = field(default_factory=dict[str, int])
    states: dict[str, int] = field(default_factory=dict[str, int])
    attempts: dict[int, int] = field(default_factory=dict[int, int])
    tries_again: int = 0
    worker_ends: dict[int, int] = field(default_factory=dict[int, int])
    findings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all was wrong."""
        return not any(self.findings.values())


async def chaos(folder: Path, *, seconds: float, seed: int, workers: int) -> Outcome:
    """Run one plan and audit it. Raises what a producer or a fault raised that should not have."""
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(folder, workers=workers))
        journal = stack.enter_context(Journal(folder / "journal.jsonl"))
        settings = ClientSettings(redis_url=stage.proxied_url, environment=ENVIRONMENT)
        client = await stack.enter_async_context(Client(settings))
        crowd, faults = Crowd(client, journal, stage.urls, seed=seed), Faults(stage, journal)
        async with asyncio.TaskGroup() as both:
            both.create_task(_break(stage, faults, make_plan(seed, seconds=seconds)))
            both.create_task(crowd.run(seconds=seconds))
        stuck: list[str] = []
        try:
            async with asyncio.timeout(CALM_S):
                await crowd.all_ended()
        except TimeoutError:
            stuck.append(f"jobs had not ended {CALM_S:.0f} s after everything worked again")
        codes = await stage.end_workers()
        stuck += [f"worker {n} ended with {code}" for n, code in enumerate(codes) if code != 0]
        redis = await stack.enter_async_context(Redis.from_url(stage.redis.url))
        auditor = Auditor(redis, stage.keys, journal)
        outcome.findings = await auditor.findings()
        outcome.findings["everything stops, and cleans up"] = stuck + stage.left_over()
        outcome.strikes, outcome.tries_again = dict(faults.done), crowd.tries_again
        outcome.states, outcome.attempts = dict(auditor.states), dict(auditor.attempts)
        for worker in stage.workers:
            for code, count in worker.ends.items():
                outcome.worker_ends[code] = outcome.worker_ends.get(code, 0) + count
    return outcome


async def _break(stage: Stage, faults: Faults, plan: tuple[Strike, ...]) -> None:
    """Carry the plan out, then bring everything back: producers wait for answers that only a whole stage gives."""
    await faults.run(plan)
    await stage.make_whole()


def show(outcome: Outcome, *, seed: int, seconds: float) -> None:
    """Print what happened and what the auditor found."""
    console = Console(highlight=False)
    table = Table(title=f"Chaos, {seconds:.0f} s, seed {seed}", title_justify="left", show_header=False)
    for name, count in sorted(outcome.strikes.items()):
        table.add_row(name.replace("_", " "), f"{count:,}")
    table.add_section()
    for state, count in sorted(outcome.states.items()):
        table.add_row(f"jobs {state}", f"{count:,}")
    again = sum(count for attempt, count in outcome.attempts.items() if attempt > 1)
    table.add_row("jobs run more than once", f"{again:,}")
    table.add_row("calls that producers repeated", f"{outcome.tries_again:,}")
    ends = ", ".join(f"{code}: {count}" for code, count in sorted(outcome.worker_ends.items()))
    table.add_row("workers ended, by exit code", ends)
    table.add_section()
    for check, wrong in outcome.findings.items():
        table.add_row(check, "yes" if not wrong else f"NO, {len(wrong)}")
    console.print(table)
    for check, wrong in outcome.findings.items():
        for sentence in wrong[:SHOWN]:
            console.print(f"  {check}: {sentence}", style="red", markup=False)


def main() -> int:
    """Run once, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000), help="the plan's; drawn without")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="folder for logs, journal and Redis' data, kept afterwards")
    options = parser.parse_args()
    seconds = options.minutes * 60
    print(f"seed {options.seed}: {len(make_plan(options.seed, seconds=seconds))} faults in {seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="sightline-chaos-") as temporary:
        folder: Path = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(chaos(folder, seconds=seconds, seed=options.seed, workers=options.workers))
    show(outcome, seed=options.seed, seconds=seconds)
    return 0 if outcome.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
