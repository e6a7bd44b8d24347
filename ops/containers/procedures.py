"""Rows about the runbook's procedures: rolling upgrade, new passwords, backup and restore."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from contact import UP_S, expect
from engine import CommandFailed
from faults import END_S, expect_kept, expect_whole, history, submit, until_done
from fleet import Fleet, as_cron, runbook, until

WORKERS: Final = 3
LOAD: Final = 36
ROTATE_S: Final = 30.0
ENDED_WELL: Final = "succeeded"


def roll(fleet: Fleet) -> str:
    """Roll three workers under load: never fewer than three healthy, no job requeued twice, none lost."""
    fleet.compose("up", "--detach", "--no-recreate", "--scale", f"worker={WORKERS}", "worker")
    until(lambda: healthy(fleet) == WORKERS, 240)
    submit(fleet, "roll", LOAD)
    log = fleet.home.parent / "roll.log"
    follow = ["docker", "compose", "logs", "--follow", "--no-log-prefix", "--since", "1s", "worker"]
    with log.open("w") as out:
        follower = subprocess.Popen(
            follow,
            cwd=fleet.home,
            env={**fleet.engine.environ, **fleet.environ},
            stdout=out,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        try:
            seen = _watched(fleet, lambda: fleet.shell("ops/roll.sh", timeout_s=900, given={"ROLL_WITHIN_S": "400"}))
            until_done(fleet, "roll", LOAD)
        finally:
            follower.terminate()
            follower.wait(30)
    expect_whole(fleet, "roll", LOAD)
    requeued = _requeued(log)
    expect(min(seen) >= WORKERS, f"at one time {min(seen)} workers were healthy: {seen}")
    expect(max(requeued.values(), default=0) <= 1, f"requeued more than once: {requeued.most_common(3)}")
    _interrupt_a_roll(fleet)
    return f"{min(seen)} to {max(seen)} healthy, {len(requeued)} jobs requeued once, {LOAD} of {LOAD} pages"


def _interrupt_a_roll(fleet: Fleet) -> None:
    """End a roll while it waits for its new workers: the old ones are left, and nothing else."""
    before = set(fleet.ids("worker"))
    rolling = subprocess.Popen(
        ["ops/roll.sh"],
        cwd=fleet.home,
        env={**fleet.engine.environ, **fleet.environ},
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    until(lambda: len(fleet.ids("worker")) > len(before), 240)
    rolling.terminate()
    status = rolling.wait(120)
    expect((status, set(fleet.ids("worker"))) == (130, before), f"a roll that was interrupted ended with {status}")


def healthy(fleet: Fleet) -> int:
    """Return the number of workers that the engine reports as healthy."""
    labels = (f"label=com.docker.compose.project={fleet.project}", "label=com.docker.compose.service=worker")
    filters = [word for value in (*labels, "health=healthy") for word in ("--filter", value)]
    return len(fleet.engine.run("docker", "ps", "--quiet", *filters).split())


def _watched(fleet: Fleet, act: Callable[[], object]) -> list[int]:
    """Return the number of healthy workers during an action, sampled twice a second."""
    failed: list[CommandFailed] = []

    def acting() -> None:
        try:
            act()
        except CommandFailed as error:
            failed.append(error)

    thread, seen = threading.Thread(target=acting), [healthy(fleet)]
    thread.start()
    while thread.is_alive():
        seen.append(healthy(fleet))
        time.sleep(0.5)
    if failed:
        raise failed[0]
    return seen


def _requeued(log: Path) -> Counter[str]:
    """Return how often each scan was requeued, by the workers' logs."""
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return Counter(
        event["job_id"]
        for event in events
        if event.get("event") == "job.finished" and event["kind"] == "scan" and event["outcome"] != ENDED_WELL
    )


def rotate(fleet: Fleet) -> str:
    """Give all users new passwords: everything is healthy within half a minute, and the old ones are refused."""
    old = (fleet.home / "worker-password").read_text()
    began = time.monotonic()
    fleet.shell("ops/rotate.sh")
    took_s = time.monotonic() - began
    expect("PONG" in _as_worker(fleet, (fleet.home / "worker-password").read_text()), "the new password is refused")
    expect("PONG" not in _as_worker(fleet, old), "the old password is taken")
    fleet.client("status")
    fleet.compose("restart", "redis")
    until(fleet.is_up, UP_S)
    expect("PONG" in _as_worker(fleet, (fleet.home / "worker-password").read_text()), "a restart of Redis undoes it")
    expect(took_s <= ROTATE_S, f"it took {took_s:.0f} s: expected {ROTATE_S:.0f} at most")
    return f"{took_s:.0f} s, the old password refused, also after a restart of Redis"


def _as_worker(fleet: Fleet, password: str) -> str:
    words = [
        "--env",
        f"REDISCLI_AUTH={password}",
        "redis",
        "redis-cli",
        "--no-auth-warning",
        "--user",
        "worker",
        "ping",
    ]
    try:
        return fleet.compose("exec", "-T", *words)
    except CommandFailed as error:
        return str(error)


def restore(fleet: Fleet) -> str:
    """Back up as root's cron job, delete Redis' volume, and restore by pasting the runbook's lines."""
    backups = fleet.home.parent / "backups"
    subprocess.run(["rm", "-rf", backups], check=True)
    backups.mkdir()
    today = time.strftime("%Y-%m-%d")
    own = [
        ("/backups:/backups", f"{backups}:/backups"),
        ("2026-11-25", today),
        ("sightline_redis", f"{fleet.project}_redis"),
    ]
    records = history(fleet)
    as_cron(fleet, runbook(fleet.home, "Back up", replaced=own))
    as_cron(fleet, runbook(fleet.home, "Restore", replaced=own), timeout_s=END_S)
    until(fleet.is_up, UP_S)
    expect_kept(fleet, records)
    return f"{records} records, results and conversation are there"


ROWS: Final = {"roll": roll, "rotate": rotate, "restore": restore}
