"""Rows about first use: the images, the first ``up`` of a clone, the browser's sandbox, settings, a scan."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, Final

from engine import CommandFailed
from fleet import Fleet, until

from producer.settings import setting_names
from worker.settings import WorkerSettings

UP_S: Final = 120.0
MOST_BYTES: Final = 1_150_000_000
PAGE: Final = "http://pages:8000/"
SET_ALREADY: Final = {"REDIS_URL", "REDIS_PASSWORD", "REDIS_PASSWORD_FILE"}
QUESTION: Final = "Which page has the worst barriers?"


def build(fleet: Fleet) -> str:
    """Build both images: small, labelled, with a user of a fixed id, without package managers."""
    fleet.compose("build", "worker", "client", timeout_s=3600)
    registry, version = fleet.environ["REGISTRY"], fleet.environ["VERSION"]
    sizes: list[int] = []
    for name in ("worker", "producer"):
        [image] = json.loads(fleet.engine.run("docker", "image", "inspect", f"{registry}sightline-{name}:{version}"))
        sizes.append(image["Size"])
        labels: dict[str, str] = image["Config"]["Labels"] or {}
        expect(image["Config"]["User"] == "10001", f"{name} runs as {image['Config']['User']!r}, not as 10001")
        expect(labels.get("org.opencontainers.image.version") == version, f"{name} has the labels {labels}")
    expect(
        sizes[0] <= MOST_BYTES,
        f"the worker's image has {sizes[0] / 1e6:.0f} MB: expected {MOST_BYTES / 1e6:.0f} at most",
    )
    return f"worker {sizes[0] / 1e6:.0f} MB, producer {sizes[1] / 1e6:.0f} MB"


def up(fleet: Fleet) -> str:
    """Start the set from a clone made with a umask of 077, without a GPU: healthy within two minutes."""
    took_s = start(fleet)
    limits = {str(about["HostConfig"]["LogConfig"]) for name in ("redis", "worker") for about in fleet.inspect(name)}
    expect(all("max-size" in limit for limit in limits), f"logs without a limit: {limits}")
    return f"healthy after {took_s:.0f} s"


def start(fleet: Fleet, *options: str) -> float:
    """Start the set and return the seconds until it is healthy."""
    began = time.monotonic()
    fleet.compose("up", "--detach", *options, timeout_s=UP_S)
    until(fleet.is_up, UP_S - (time.monotonic() - began))
    return time.monotonic() - began


def sandbox(fleet: Fleet) -> str:
    """Check that the browser runs in its sandbox, as an unprivileged user, on a read-only disk, without pip."""
    [worker] = [json.loads(line) for line in fleet.sightline("workers", "--json").splitlines()]
    expect(worker["sandbox"] == "on", f"the sandbox is {worker['sandbox']!r}")
    user = in_worker(fleet, "id -u; id -g").split()
    expect(user == ["10001", "10001"], f"it runs as {user}")
    expect(not in_worker(fleet, "touch /usr/x 2>/dev/null && echo written"), "its disk can be written")
    found = in_worker(fleet, "ls -d /venv/bin/pip* /venv/lib/python3*/site-packages/setuptools 2>/dev/null; true")
    expect(not found, f"the image has {found}")
    return f"on, {worker['browser']}, user 10001"


def settings(fleet: Fleet) -> str:
    """Check that every setting in the shell reaches the worker."""
    names = sorted(setting_names(WorkerSettings) - SET_ALREADY)
    given = dict.fromkeys(names, "7") | fleet.environ
    config = json.loads(fleet.compose("config", "--format", "json", given=given))
    reached = {name for name, value in config["services"]["worker"]["environment"].items() if value is not None}
    missing = sorted(set(names) - reached)
    expect(not missing, f"these do not reach it: {', '.join(missing)}")
    return f"{len(names)} settings"


def scan(fleet: Fleet) -> str:
    """Scan pages of another container: one barrier in one, none in the other, whose writing systems all have glyphs."""
    fleet.sightline("scan", PAGE, f"{PAGE}scripts.html", "--batch", "first", "--wait", "--fail-on", "never")
    found = results(fleet, "first")
    rules = {url: [finding["rule"] for finding in result["findings"]] for url, result in found.items()}
    expect(rules == {PAGE: ["image-alt"], f"{PAGE}scripts.html": []}, f"it found {rules}")
    ask(fleet)
    drawn = in_worker(
        fleet,
        f"chromium-headless-shell --user-data-dir=/tmp/look --screenshot=/tmp/look.png {PAGE}scripts.html 2>/dev/null"
        " && base64 /tmp/look.png && rm -r /tmp/look /tmp/look.png",
    )
    shot = fleet.home.parent / "scripts.png"
    shot.write_bytes(base64.b64decode(drawn))
    return f"1 barrier, and none for want of glyphs: look at {shot}"


def ask(fleet: Fleet) -> None:
    """Ask one question in the conversation that must survive everything."""
    fleet.sightline("ask", QUESTION, "--thread", "kept", "--no-cache", "--wait", "--json")


def results(fleet: Fleet, batch: str) -> dict[str, dict[str, Any]]:
    """Return the results of a batch by their address."""
    lines = fleet.sightline("result", batch, "--fail-on", "never", "--format", "jsonl").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return {result["url"]: result for result in found if "findings" in result}


def in_worker(fleet: Fleet, script: str) -> str:
    """Run a shell script in the worker's container and return its output; a failure raises nothing."""
    return fleet.compose("exec", "-T", "worker", "sh", "-c", f"{script}\ntrue").strip()


def expect(holds: object, otherwise: str) -> None:
    """Raise ``CommandFailed`` with the reason if it does not hold."""
    if not holds:
        raise CommandFailed(otherwise)


ROWS: Final = {"build": build, "up": up, "sandbox": sandbox, "settings": settings, "scan": scan}
