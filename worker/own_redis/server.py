"""Runs a real Redis with search and JSON on machines without one.

Owns the server processes; ``worker/own_redis/build.py`` provides the program. Independent of jobs, keys and settings.
Production runs ``redis:8`` instead; only commands that both support are used.

The server listens on loopback only, syncs its append-only file on every write and evicts nothing. A data folder serves
one server at a time: the server process itself holds the folder's lock, which is released however the server ends. The
server has a separate session, so that Ctrl-C reaches only the workers, which still need it to requeue their jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self, cast
from urllib.parse import quote

import redis

from producer.errors import DependencyMissing, RedisUnsuitable, os_reason
from worker.own_redis.build import fetch

_START_DEADLINE_S: Final = 60
"""Without any sign of life; while loading, Redis gives one every 1,024 commands."""
_STOP_DEADLINE_S: Final = 15
_LOCK_DEADLINE_S: Final = 2
"""A child that rewrites the append-only file briefly outlives a killed server, and holds the lock."""
_POLL_S: Final = 0.005
_FREE_PORTS: Final = range(20_000, 30_000)
"""Below the ephemeral ports, so that no outgoing connection takes the port while the server restarts."""
_PORT_TRIES: Final = 20

_DEFAULTS: Final[Mapping[str, str]] = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": '""',
    "maxmemory-policy": "noeviction",
    # A hash with a longer value takes twice the memory (ops/redis.conf).
    "hash-max-listpack-value": "500",
    # Redis refuses to start in a missing locale, and minimal systems lack most.
    "locale-collate": "C",
}

_KILL_AT_EOF: Final = 'read -r _; kill -9 "$1"'
"""Waits for the end of a pipe that only the parent holds open. PR_SET_PDEATHSIG would need no shell, but it fires when
the *thread* that started the server ends, and only Linux has it."""


class EmbeddedRedis:
    """A Redis server owned by this process, with its data in ``data_dir``.

    ``port`` 0 picks a free port at the first start and keeps it. ``config`` overrides the defaults with directives of
    redis.conf (``{"appendfsync": "everysec", "requirepass": "…"}``; a sequence repeats the directive); ``variables``
    extends the server's environment. With ``die_with_parent`` the server is killed when this process ends without
    stopping it, without loss of acknowledged writes. Use as a context manager, or call ``start`` and ``stop``. Not
    thread-safe.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        config: Mapping[str, str | Sequence[str]] | None = None,
        variables: Mapping[str, str] | None = None,
        die_with_parent: bool = False,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir / "redis.log"
        self.port = port
        self._config = {**_DEFAULTS, **(config or {})}
        self._variables = variables or {}
        self._die_with_parent = die_with_parent
        self._server: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for ``REDIS_URL``, with the password of ``config``, if any."""
        password = self._config.get("requirepass")
        login = f":{quote(password, safe='')}@" if isinstance(password, str) else ""
        return f"redis://{login}127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The PID of the running server, for signals such as SIGSTOP; None if it is not running."""
        return None if self._server is None or self._server.poll() is not None else self._server.pid

    def last_output(self) -> str:
        """Return the last lines of the server's log, joined into one."""
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it is empty"

    # ------------------------------------------------------------------------------------------ life

    def start(self) -> Self:
        """Start the server and wait until its data is loaded. Does nothing if it is running.

        Raises ``DependencyMissing`` if this machine cannot run it or store its data; ``RedisUnsuitable`` if the data
        folder or the port is in use or the server does not start, with the end of its log.
        """
        if self.pid is not None:
            return self
        self.kill()
        home = fetch()
        wanted = self.port
        for _ in range(1 if wanted else _PORT_TRIES):
            self.port = wanted or free_port()
            try:
                self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._launch(home)
                if self._await_ready():
                    return self
            except OSError as error:
                self.kill()
                where, why = str(self.data_dir), os_reason(error)
                msg = f"the embedded Redis cannot keep its data in {where!r} ({why}): free space and make it writable"
                raise DependencyMissing(msg) from None
            except BaseException:
                self.kill()
                raise
        msg = f"port {self.port} on 127.0.0.1 is in use: choose another one, or stop the program that listens there"
        raise RedisUnsuitable(msg)

    def stop(self) -> None:
        """Shut the server down cleanly, or kill it if that takes too long. Safe to call twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash. Safe to call twice."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------ steps

    def _launch(self, home: Path) -> None:
        config_path = self.data_dir / "redis.conf"
        with self._locked_folder() as lock, self.log_path.open("ab") as log:
            config_path.touch(mode=0o600)
            config_path.write_text(self._render_config(home))
            self._server = subprocess.Popen(  # noqa: S603  the verified build
                [home / "bin/redis-server", config_path],
                env={**os.environ, **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
        if self._die_with_parent:
            self._watch = subprocess.Popen(  # noqa: S603  fixed words and a number
                ["/bin/sh", "-c", _KILL_AT_EOF, "sh", str(self._server.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _render_config(self, home: Path) -> str:
        """Return redis.conf: the lines that this class relies on come last, because the last one counts."""
        lines: list[str] = []
        for name, value in self._config.items():
            lines += [f"{name} {v}" for v in ((value,) if isinstance(value, str) else value)]
        lines += [f"port {self.port}", f"dir {_quoted(self.data_dir)}", "daemonize no", 'logfile ""']
        lines += [f"loadmodule {_quoted(home / 'lib' / module)}" for module in ("redisearch.so", "rejson.so")]
        return "\n".join(lines) + "\n"

    @contextlib.contextmanager
    def _locked_folder(self) -> Generator[BinaryIO]:
        """Hold the data folder's lock, which processes inherit with the open file; raises if a server has it."""
        with (self.data_dir / "lock").open("wb") as lock:
            deadline = time.monotonic() + _LOCK_DEADLINE_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        msg = f"another Redis runs on {str(self.data_dir)!r}: stop it, or use another data folder"
                        raise RedisUnsuitable(msg) from None
                time.sleep(_POLL_S)
            yield lock

    def _await_ready(self) -> bool:
        """Wait until the server has loaded its data; returns False if the port is taken."""
        server = self._server
        deadline = time.monotonic() + _START_DEADLINE_S
        with redis.Redis.from_url(self.url, socket_timeout=_START_DEADLINE_S) as client:
            while server is not None and time.monotonic() < deadline:
                if server.poll() is not None:
                    said = self.last_output()
                    if "Address already in use" in said:
                        return False
                    msg = f"the embedded Redis exited at its start: {said}"
                    raise RedisUnsuitable(msg)
                with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                    info = cast("dict[str, object]", client.info("server"))
                    if info["process_id"] == server.pid:
                        # It replies, so it is alive; PING is refused until all data is loaded.
                        deadline = time.monotonic() + _START_DEADLINE_S
                        client.ping()
                        return True
                time.sleep(_POLL_S)
        msg = f"the embedded Redis did not answer within {_START_DEADLINE_S} s: {self.last_output()}"
        raise RedisUnsuitable(msg)

    def _end(self, how: signal.Signals) -> None:
        server, watch = self._server, self._watch
        if server is not None:
            server.send_signal(how)
            server.send_signal(signal.SIGCONT)  # last: a frozen process would run before it is killed
            try:
                server.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            self._server = None
        if watch is not None:
            watch.kill()  # before its pipe closes, since the PID it would kill may have been reused
            watch.wait()
            if watch.stdin is not None:
                watch.stdin.close()
            self._watch = None


def free_port() -> int:
    """Return a port that is currently free."""
    while True:
        port = secrets.choice(_FREE_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
