"""Breaks everything at once and counts what was lost: ``python ops/chaos/run.py --minutes 10 --seed 1``.

Real workers, a real Redis with a replica and Sentinels, a real browser, a stub of an Ollama; producers and clients of
each form that record the replies they get. While they work, processes are killed and frozen, primaries replaced,
connections cut, clocks changed, answers corrupted, garbage added. Then everything is restored, all jobs end, the
workers stop cleanly, and the auditor checks. Exit code 1 on any discrepancy. The same seed makes the same plan.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from auditor import FINAL, Auditor
from callers import Caller
from calls import CallFigures, Calls, call_figures
from clients import AsyncForm, BlockingForm, CommandForm, Form, in_thread
from crowd import Crowd
from faults import Faults
from journal import Journal
from plan import Strike, make_plan
from replication import Replication
from servers import until
from stage import ENVIRONMENT, Stage

from producer.client.blocking import BlockingClient
from producer.client.client import Client
from producer.keys import Keys
from producer.redis.raw_connection import end
from producer.settings import ClientSettings

START_S: Final = 120.0
CALM_S: Final = 240.0
"""Time for all jobs to end once everything works again: a dead worker's jobs are reclaimed after a lease."""
SHOWN: Final = 8


@dataclass
class Outcome:
    """The outcome of a run: faults, ends of jobs and calls, and what each check found."""

    strikes: dict[str, int] = field(default_factory=dict[str, int])
    states: dict[str, int] = field(default_factory=dict[str, int])
    attempts: dict[int, int] = field(default_factory=dict[int, int])
    calls: dict[tuple[str, str], CallFigures] = field(default_factory=dict[tuple[str, str], CallFigures])
    failovers: int = 0
    excused: int = 0
    worker_ends: Counter[int] = field(default_factory=Counter[int])
    findings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def is_clean(self) -> bool:
        """Whether there was no discrepancy."""
        return not any(self.findings.values())


async def chaos(folder: Path, *, seconds: float, seed: int, workers: int) -> Outcome:
    """Run one plan and audit it. Raises unexpected errors of producers and faults."""
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(folder, workers=workers, is_replicated=True))
        journal = stack.enter_context(Journal(folder / "journal.jsonl"))
        replication, faults = Replication(stage.servers, journal), Faults(stage, journal)
        watching = asyncio.create_task(replication.watch())
        settings = ClientSettings(redis_url=stage.servers.url, environment=ENVIRONMENT)
        client = await stack.enter_async_context(Client(settings))
        calls = Calls(journal)
        crowd = Crowd(client, calls, journal, stage.urls, seed=seed)
        stuck: list[str] = []
        if not await until(lambda: _are_live(client, workers), within_s=START_S):
            stuck.append(f"{workers} workers had not started within {START_S:.0f} s")
        async with AsyncExitStack() as forms, asyncio.TaskGroup() as all_at_once:
            all_at_once.create_task(_break(stage, faults, make_plan(seed, seconds=seconds), stuck))
            all_at_once.create_task(crowd.run(seconds=seconds))
            for form in await _forms(forms, settings):
                caller = Caller(form, calls, journal, stage.urls, seed=seed)
                all_at_once.create_task(caller.run(seconds=seconds))
        is_calm = await until(lambda: _is_calm(crowd, client.redis, stage.keys), within_s=CALM_S, every_s=1)
        await end(*crowd.endings)
        stuck += [f"the wait for a job failed: {error!r}" for error in crowd.errors]
        if not is_calm:
            stuck.append(f"jobs had not ended {CALM_S:.0f} s after everything worked again")
        codes = await stage.end_workers()
        stuck += [f"worker {n} ended with {code}" for n, code in enumerate(codes) if code != 0]
        await end(watching)
        primary = await stage.servers.primary()
        redis = await stack.enter_async_context(Redis.from_url((primary or stage.servers.servers[0]).url))
        auditor = Auditor(redis, stage.keys, journal)
        outcome.findings = await auditor.findings()
        outcome.findings["everything stops, and cleans up"] = stuck + stage.left_over()
        outcome.strikes, outcome.calls = dict(faults.done), call_figures(journal)
        outcome.states, outcome.attempts = dict(auditor.states), dict(auditor.attempts)
        outcome.failovers, outcome.excused = replication.failovers, auditor.windows.excused
        outcome.worker_ends = sum((worker.ends for worker in stage.workers), Counter())
    return outcome


async def _are_live(client: Client, count: int) -> bool:
    """Return whether that many workers have started; before that, faults have no target."""
    return len((await client.queue()).workers) >= count


async def _forms(stack: AsyncExitStack, settings: ClientSettings) -> list[Form]:
    """Return the three forms of a client, each with its own connections, closed at the end."""
    client = await stack.enter_async_context(Client(settings))
    blocking = BlockingClient(settings)
    stack.push_async_callback(in_thread, blocking.close)
    variables = {"REDIS_URL": settings.redis_url, "ENVIRONMENT": settings.environment}
    return [AsyncForm(client), BlockingForm(blocking), CommandForm(variables)]


async def _break(stage: Stage, faults: Faults, plan: tuple[Strike, ...], stuck: list[str]) -> None:
    """Carry out the plan, then restore everything: producers wait for answers that need a working stage."""
    await faults.run(plan)
    if not await stage.make_whole():
        stuck.append("primary and replica did not come together again")


async def _is_calm(crowd: Crowd, redis: Redis, keys: Keys) -> bool:
    """Return whether every job and every wait for one has ended."""
    if crowd.endings:
        return False
    async for key in redis.scan_iter(match=keys.job("*"), count=500):
        state = await cast("Awaitable[bytes | None]", redis.hget(key, "state"))
        if state is not None and state.decode() not in FINAL:
            return False
    return True


def show(outcome: Outcome, *, seed: int, seconds: float) -> None:
    """Print what happened and what the auditor found."""
    console = Console(highlight=False, width=110)
    table = Table(title=f"Chaos, {seconds:.0f} s, seed {seed}", title_justify="left", show_header=False)
    for name, count in sorted(outcome.strikes.items()):
        table.add_row(name.replace("_", " "), f"{count:,}")
    table.add_row("primaries replaced, by plan or not", f"{outcome.failovers:,}")
    table.add_section()
    for state, count in sorted(outcome.states.items()):
        table.add_row(f"jobs {state}", f"{count:,}")
    again = sum(count for attempt, count in outcome.attempts.items() if attempt > 1)
    table.add_row("jobs run more than once", f"{again:,}")
    table.add_row("told and lost in a failover, not durable", f"{outcome.excused:,}")
    ends = ", ".join(f"{code}: {count}" for code, count in sorted(outcome.worker_ends.items()))
    table.add_row("workers ended, by exit code", ends)
    table.add_section()
    for (client, what), seen in sorted(outcome.calls.items()):
        ends = ", ".join(f"{count:,} {end}" for end, count in seen.outcomes.most_common())
        table.add_row(f"{client}, {what}", f"{ends}; longest {seen.longest_s:.1f} s of {seen.deadline_s:.0f}")
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
    # A shell's background jobs ignore it, and so would the commands that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"seed {options.seed}: {len(make_plan(options.seed, seconds=seconds))} faults in {seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="sightline-chaos-") as temporary:
        folder: Path = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(chaos(folder, seconds=seconds, seed=options.seed, workers=options.workers))
    show(outcome, seed=options.seed, seconds=seconds)
    return 0 if outcome.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
