"""A temporary Redis and worker for one run of ``sightline scan --local``, removed afterwards in every case.

Both are tied to the calling program, which may end by SIGKILL (``lifeline.py``, ``server.py``). All files, including
the browser's profile, are in one temporary folder. The client's package finds this module through the entry point group
``sightline.local`` and so does not import it.
"""

from __future__ import annotations

import ipaddress
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from producer.errors import DependencyMissing, os_reason
from worker import command
from worker.own_redis.lifeline import tied
from worker.own_redis.server import EmbeddedRedis

ENVIRONMENT: Final = "local"
_STOP_S: Final = 5
_FAST: Final = {"appendonly": "no"}
"""Temporary data need not reach the disk."""


@dataclass(frozen=True, slots=True)
class LocalService:
    """A running Redis and worker; ``settings`` are the environment variables for a client."""

    settings: Mapping[str, str]
    worker: subprocess.Popen[bytes]
    log: Path

    def why_dead(self) -> str | None:
        """Return the worker's last output once it has ended, None while it runs."""
        if self.worker.poll() is None:
            return None
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("sightline: ") if lines else f"it ended with {self.worker.returncode}"


@contextmanager
def local_service(environ: Mapping[str, str], urls: Iterable[str]) -> Generator[LocalService]:
    """Start both, yield the service, stop both.

    Loopback hosts in ``urls`` may be scanned, on their ports only; resources of these pages may be on any port of this
    machine except those of Redis and Ollama.
    The models default to ``builtin``. Raises ``DependencyMissing`` if this machine cannot run Redis.
    """
    with (
        _temporary_folder() as name,
        EmbeddedRedis(Path(name) / "redis", config=_FAST, die_with_parent=True) as server,
    ):
        folder = Path(name)
        # Empty means unset: the password is another Redis', and the port may be another worker's.
        settings = {"REDIS_URL": server.url, "REDIS_PASSWORD_FILE": "", "ENVIRONMENT": ENVIRONMENT}
        allowed = ",".join(filter(None, (environ.get("SCAN_ALLOW_HOSTS", ""), *loopback_hosts(urls))))
        variables = {
            "CHAT_MODEL": "builtin",
            "EMBEDDING_MODEL": "builtin",
            "LOG_FORMAT": "console",
            **environ,
            **settings,
            "SCAN_ALLOW_HOSTS": allowed,
            "SHUTDOWN_GRACE_S": "0",
            "METRICS_PORT": "",
            # Notices are a service's: this one is gone before a second try.
            **dict.fromkeys(("NOTIFY_WEBHOOKS", "NOTIFY_WEBHOOKS_FILE", "NOTIFY_MAIL_TO", "SMTP_URL"), ""),
            "TMPDIR": str(folder),
        }
        log = folder / "worker.log"
        with log.open("wb") as out:
            worker = subprocess.Popen(  # noqa: S603  our own program
                tied(command(), remove=folder),
                env=variables,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C goes to the calling program, which then stops the worker
            )
        try:
            yield LocalService(settings, worker, log)
        finally:
            _end(worker)


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="sightline-local-", ignore_cleanup_errors=True)
    except OSError as error:
        msg = f"--local needs a temporary folder ({os_reason(error)}): free some space, or set TMPDIR to another folder"
        raise DependencyMissing(msg) from None


def loopback_hosts(urls: Iterable[str]) -> list[str]:
    """Return the loopback addresses in the form of SCAN_ALLOW_HOSTS: ``host:port``, or a network for IPv6.

    If there are any, ``loopback`` comes last, since a local application's API may be on another port.
    """
    found: dict[str, None] = {}
    for url in urls:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if host == "localhost" or host.endswith(".localhost"):
                found[f"{host}:{port}"] = None
            continue
        if address.is_loopback:
            found[f"{host}:{port}" if address.version == 4 else f"{host}/128"] = None  # noqa: PLR2004  IPv4
    return [*found, "loopback"] if found else []


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    if worker.stdin is not None:
        worker.stdin.close()
