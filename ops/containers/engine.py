"""A container engine with Compose: the machine's if one answers, else one made from Debian's packages as root.

The latter runs in a network namespace, so that it takes no port of this machine, and keeps its layers in a folder for
the next run. Everything started here is stopped here. ``images.py`` makes its base images.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COMPOSE: Final = "github.com/docker/compose/v2/cmd@v2.29.7"
"""The newest Compose that builds without the plugin buildx, which ``go install`` cannot make."""
PACKAGES: Final = {
    "dockerd": "docker.io", "ip": "iproute2", "iptables": "iptables", "nsenter": "util-linux",
    "debootstrap": "debootstrap",
}  # fmt: skip
NAMESPACE: Final = "sightline-containers"
OUTSIDE, INSIDE, NET = "10.214.0.1", "10.214.0.2", "10.214.0.0/30"
POOLS: Final = {"bip": "10.213.0.1/24", "default-address-pools": [{"base": "10.215.0.0/16", "size": 24}], "mtu": 1400}
START_S: Final = 60.0
FORWARD: Final = Path("/proc/sys/net/ipv4/ip_forward")


class CommandFailed(Exception):
    """A command failed; the message has its last lines."""


@dataclass(frozen=True)
class Engine:
    """A running engine. ``own`` says whether it was started here, with stand-ins for the base images."""

    environ: Mapping[str, str]
    own: bool

    def run(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        stdin: str = "",
        timeout_s: float = 600,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command beside the engine and return its stdout; raises ``CommandFailed``."""
        return run(words, environ={**self.environ, **(environ or {})}, cwd=cwd, stdin=stdin, timeout_s=timeout_s)


def run(
    words: Sequence[str | Path],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
    timeout_s: float = 600,
) -> str:
    """Run a command without a terminal and return its stdout; raises ``CommandFailed`` with its last lines."""
    try:
        done = subprocess.run(
            words, env=environ, cwd=cwd, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"{words[0]}: no such program") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{_shown(words)}: no end after {timeout_s:g} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise CommandFailed(f"{_shown(words)}: exit {done.returncode}: {' | '.join(said)}")
    return done.stdout


def _shown(words: Sequence[str | Path]) -> str:
    return " ".join(str(word) for word in words)[:120]


@contextlib.contextmanager
def engine(folder: Path) -> Generator[Engine]:
    """Yield an engine; one started here keeps its layers under ``folder`` and ends with the block.

    Raises ``CommandFailed`` if there is none and none can be started.
    """
    machines = dict(os.environ)
    if _answers(machines):
        yield Engine(machines, own=False)
        return
    if os.geteuid() != 0:
        raise CommandFailed("no container engine answers, and only root can make one: start Docker, or run as root")
    _install()
    config = _with_compose(folder)
    with _network(), _daemon(folder) as socket:
        yield Engine({**machines, "DOCKER_HOST": socket, "DOCKER_CONFIG": str(config)}, own=True)


def _answers(environ: Mapping[str, str]) -> bool:
    try:
        run(["docker", "info", "--format", "{{.ServerVersion}}"], environ=environ, timeout_s=20)
        run(["docker", "compose", "version"], environ=environ, timeout_s=20)
    except CommandFailed:
        return False
    return True


def _install() -> None:
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if missing:
        if not shutil.which("apt-get"):
            raise CommandFailed(f"an engine is made from Debian's packages, and there is no apt-get: {missing}")
        run(["apt-get", "update"])
        # Debian's starts itself after the installation; ours is another, and both would want the same bridge.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], environ=quiet, timeout_s=900)


def _with_compose(folder: Path) -> Path:
    """Return a configuration folder of Docker with Compose in it."""
    config = folder / "docker"
    plugin = config / "cli-plugins/docker-compose"
    if not plugin.exists():
        if not shutil.which("go"):
            raise CommandFailed("Compose is built by `go install`, and there is no go: install Go 1.21 or newer")
        plugin.parent.mkdir(parents=True, exist_ok=True)
        run(["go", "install", COMPOSE], environ={**os.environ, "GOBIN": str(folder), "GOFLAGS": ""}, timeout_s=1800)
        (folder / "cmd").replace(plugin)
    return config


@contextlib.contextmanager
def _network() -> Generator[None]:
    """Keep a network namespace with this machine's network access."""
    forwarded = FORWARD.read_text()
    masquerade = ["POSTROUTING", "-s", NET, "-j", "MASQUERADE"]
    inside = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
    if Path("/run/netns", NAMESPACE).exists():
        if run(["ip", "netns", "pids", NAMESPACE]).split():
            raise CommandFailed(
                f"another run is under way in the network namespace {NAMESPACE}: wait until it has ended"
            )
        _end_network(masquerade)  # left by a run that was killed
    run(["ip", "netns", "add", NAMESPACE])
    try:
        run(["ip", "link", "add", "sl-outside", "type", "veth", "peer", "name", "sl-inside", "netns", NAMESPACE])
        run(["ip", "addr", "add", f"{OUTSIDE}/30", "dev", "sl-outside"])
        run(["ip", "link", "set", "sl-outside", "mtu", "1400", "up"])
        run([*inside, "ip", "link", "set", "lo", "up"])
        run([*inside, "ip", "addr", "add", f"{INSIDE}/30", "dev", "sl-inside"])
        run([*inside, "ip", "link", "set", "sl-inside", "mtu", "1400", "up"])
        run([*inside, "ip", "route", "add", "default", "via", OUTSIDE])
        run([*inside, "sh", "-c", f"echo 1 >{FORWARD}"])
        FORWARD.write_text("1")
        run(["iptables", "-t", "nat", "-A", *masquerade])
        yield
    finally:
        FORWARD.write_text(forwarded)
        _end_network(masquerade)


def _end_network(masquerade: list[str]) -> None:
    with contextlib.suppress(CommandFailed):
        run(["iptables", "-t", "nat", "-D", *masquerade])
    # The pair goes with the namespace once no process is in it.
    with contextlib.suppress(CommandFailed):
        run(["ip", "link", "delete", "sl-outside"])
    run(["ip", "netns", "delete", NAMESPACE])


@contextlib.contextmanager
def _daemon(folder: Path) -> Generator[str]:
    """Run the engine in the namespace, with images only; yield the address of its socket."""
    _unmount(folder)
    config, log, socket = folder / "daemon.json", folder / "dockerd.log", folder / "docker.sock"
    config.write_text(json.dumps({**POOLS, "storage-driver": "overlay2", "features": {"buildkit": True}}))
    # It ends with this program even where that is killed.
    command = [
        "nsenter", f"--net=/run/netns/{NAMESPACE}", "setpriv", "--pdeathsig", "TERM",
        "dockerd", "--config-file", config, "--data-root", folder / "layers", "--exec-root", folder / "run",
        "--pidfile", folder / "pid", "--host", f"unix://{socket}",
    ]  # fmt: skip
    with log.open("wb") as out:
        daemon = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    address = f"unix://{socket}"
    try:
        deadline = time.monotonic() + START_S
        while not _socket_answers(address):
            if daemon.poll() is not None or time.monotonic() > deadline:
                said = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
                raise CommandFailed(f"the engine does not start: {said}")
            time.sleep(0.5)
        _empty(address)
        yield address
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
        _unmount(folder)


def _empty(address: str) -> None:
    """Remove containers and volumes left by a killed run, since this engine restarts them."""
    environ = {**os.environ, "DOCKER_HOST": address}
    for listed, remove in (("ps --all", "rm --force"), ("volume ls", "volume rm --force")):
        left = run(["docker", *listed.split(), "--quiet"], environ=environ).split()
        if left:
            run(["docker", *remove.split(), *left], environ=environ)


def _unmount(folder: Path) -> None:
    """Unmount everything that a killed engine left mounted below ``folder``, innermost first."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed([point for point in mounted if point.startswith(f"{folder}/")]):
        run(["umount", point])


def _socket_answers(address: str) -> bool:
    try:
        run(["docker", "info"], environ={**os.environ, "DOCKER_HOST": address}, timeout_s=20)
    except CommandFailed:
        return False
    return True
