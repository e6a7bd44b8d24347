"""Backup and restore on real servers: refusals, failures, and nothing done partially."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from producer.cli import main
from producer.errors import InputError
from producer.stored.backups import age_s
from tests.support.command_line import DEADLINE_S, start_sightline
from tests.support.redis_server import StartServer
from worker.backup import folder as folders
from worker.backup import restore
from worker.backup.replication_source import Offer
from worker.backup.snapshot import receive
from worker.backup.without_secrets import SecretFilter, unpacked
from worker.own_redis.server import EmbeddedRedis


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(server: EmbeddedRedis | str, *words: str) -> Done:
    """What ``sightline words…`` comes to, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("REDIS_URL", server if isinstance(server, str) else server.url)
        code = main.run(words)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def filled(redis_server: StartServer) -> EmbeddedRedis:
    server = redis_server()
    with Redis.from_url(server.url) as client:
        client.execute_command("FT.CREATE", "idx", "PREFIX", "1", "d:", "SCHEMA", "t", "TAG")
        client.hset("d:1", "t", "yes")
        client.execute_command("JSON.SET", "j", "$", '{"a": 1}')
        client.set("for a while", "x", ex=1000)
        client.xadd("s", {"a": "b"})
        client.xgroup_create("s", "g", id="0")
        client.xreadgroup("g", "c", {"s": ">"})
    return server


def test_a_snapshot_of_one_server_is_restored_into_another_with_a_password(
    filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path
) -> None:
    made = run(filled, "backup", str(tmp_path / "b"))
    target = redis_server(config={"requirepass": "a:b/c@d?e", "masterauth": "kept"})

    restored = run(target, "restore", str(tmp_path / "b"))

    assert made.returncode == 0, made.stderr
    assert re.search(r"about 4 keys, (?!0\.0)[\d.]+ KiB", made.stdout), "a small backup has a size, too"
    assert restored.returncode == 0, restored.stderr
    assert "restored 4 keys and 1 index of" in restored.stdout
    target.stop()
    target.start()  # what was restored is in its append-only file
    with Redis.from_url(target.url) as client:
        assert client.execute_command("FT.SEARCH", "idx", "@t:{yes}", "NOCONTENT") == [1, b"d:1"]
        assert client.execute_command("JSON.GET", "j", "$.a") == b"[1]"
        assert 900 < client.ttl("for a while") <= 1000  # pyright: ignore[reportOperatorIssue]  # a blocking client
        assert client.xpending("s", "g")["pending"] == 1  # pyright: ignore[reportIndexIssue]  # a blocking client
        assert client.info("replication")["role"] == "master"  # pyright: ignore[reportIndexIssue]  # a blocking client
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "b/dump.rdb").stat().st_mode & 0o777 == 0o600


def test_what_a_waiting_scan_would_log_in_with_is_in_no_backup_and_all_else_is(
    redis_server: StartServer, tmp_path: Path
) -> None:
    plain = {"rdbcompression": "no"}
    server, target = redis_server(config=plain), redis_server(config=plain)
    with Redis.from_url(server.url) as client, Redis.from_url(target.url) as other:
        fill_with_all_kinds(client)
        client.hset("sightline:dev:secret:j1", "headers", '{"Authorization": "Bearer t0ken-that-nobody-keeps"}')
        client.hset("sightline:dev:secret:j2", "headers", '{"X": "t0ken-that-nobody-keeps"}')
        client.expire("sightline:dev:secret:j2", 1000)
        whole = b"".join(receive(client))
        keys = set(client.scan_iter())

        made = run(server, "backup", str(tmp_path / "b"))
        restored = run(target, "restore", str(tmp_path / "b"))

        kept = {key for key in keys if not key.startswith(b"sightline:dev:secret:")}
        assert kept == set(other.scan_iter())
        assert [key for key in sorted(kept) if value_of(client, key) != value_of(other, key)] == []
    assert made.returncode == restored.returncode == 0, made.stderr + restored.stderr
    assert "left out: the login data of 2 waiting scans" in made.stdout
    assert b"t0ken" in whole
    assert b"t0ken" not in (tmp_path / "b/dump.rdb").read_bytes()


def test_a_backup_is_verified_noted_and_kept_beside_the_newest_only(filled: EmbeddedRedis, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with Redis.from_url(filled.url) as client:
        client.hset("sightline:dev:scan:one", "url", "https://shop.example/")
    (folder / "mine").mkdir(parents=True)
    (folder / "mine/notes.txt").write_text("no backup")
    made = [run(filled, "backup", str(folder / name), "--verify", "--keep", "2") for name in ("a", "b", "c")]

    assert [(one.returncode, one.stderr) for one in made] == [(0, "")] * 3
    assert "verified: a Redis loaded 5 keys" in made[0].stdout
    assert ", 1 scan among them" in made[0].stdout
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c", "mine"]
    with Redis.from_url(filled.url) as client:
        assert age_s(client.hgetall("sightline:dev:backup"), now_ms=int(client.time()[0]) * 1000) is not None  # pyright: ignore[reportArgumentType, reportIndexIssue]  # a blocking client


def test_a_damaged_backup_is_named_when_it_is_verified_whatever_is_damaged(
    filled: EmbeddedRedis, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    run(filled, "backup", str(folder))
    snapshot, manifest = folder / "dump.rdb", folder / "manifest.json"
    whole, about = snapshot.read_bytes(), json.loads(manifest.read_text())
    snapshot.write_bytes(whole[:-20])
    other = run(filled, "backup", "--verify", str(folder))
    manifest.write_text(json.dumps({**about, "sha256": hashlib.sha256(snapshot.read_bytes()).hexdigest()}))
    not_loaded = run(filled, "backup", "--verify", str(folder))
    manifest.write_text(json.dumps({**about, "redis_version": "8.2.0", "sha256": hashlib.sha256(whole).hexdigest()}))
    snapshot.write_bytes(whole)
    newer = run(filled, "backup", "--verify", str(folder))
    manifest.unlink()
    unfinished = run(filled, "backup", "--verify", str(folder))

    assert [one.returncode for one in (other, not_loaded, newer, unfinished)] == [64, 64, 3, 64]
    assert "is damaged: its SHA-256 is" in other.stderr
    assert "is damaged: Redis cannot load it" in not_loaded.stderr
    assert "the embedded Redis (7.4) cannot load: restore it into an empty Redis" in newer.stderr
    assert "it has no manifest.json" in unfinished.stderr


def value_of(client: Redis, key: bytes) -> object:
    """What is at ``key``, times to live included; tables keep no order."""
    kind = client.type(key)
    whole = {b"hash": client.hgetall, b"set": client.smembers}.get(kind, client.dump)(key)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a blocking client
    ends = client.execute_command("HPEXPIRETIME", key, "FIELDS", 2, "a", "field 1") if kind == b"hash" else None
    return whole, client.execute_command("PEXPIRETIME", key), ends


def fill_with_all_kinds(client: Redis) -> None:
    """Write each kind of value that Redis has, small and large, with what comes before values in a snapshot."""
    many = {f"field {number}": number for number in range(600)}
    client.mset({"s": "x", "number": "5", "large": "y" * 70_000, "sightline:dev:job:secret:": "no secret"})
    client.rpush("list", *many)
    client.rpush("long values", *("v" * 9_000 for _ in range(5)))
    client.sadd("numbers", *range(50))
    client.sadd("words", *list(many)[:20])
    client.sadd("many words", *many)
    client.zadd("scores", {"a": 1, "b": 2.5})
    client.zadd("many scores", many)
    client.hset("hash", mapping={"a": "b"})
    client.hset("many fields", mapping=many)
    for name in ("fields that end", "many that end"):
        client.hset(name, mapping=many if "many" in name else {"a": 1, "b": 2})
        client.execute_command("HEXPIRE", name, 1000, "FIELDS", 1, "field 1" if "many" in name else "a")
    for number in range(300):
        client.xadd("stream", {"n": number})
    for group in ("g", "h"):
        client.xgroup_create("stream", group, id="0")
        client.xreadgroup(group, "c", {"stream": ">"}, count=20)
    client.execute_command("JSON.SET", "j", "$", '{"a": [1, 2.5, "x", null, true]}')
    client.execute_command("FT.CREATE", "idx", "PREFIX", "1", "d:", "SCHEMA", "t", "TAG")
    client.function_load("#!lua name=mine\nredis.register_function('f', function() return 1 end)")
    client.expire("s", 1000)


def test_an_unreadable_value_is_kept_whole_and_reported() -> None:
    known = b"REDIS0011\xfa\x01a\x01b\xfe\x00" + b"\x00\x16sightline:dev:secret:j\x05t0ken"
    unknown = b"\xf0 of a later release" + b"\xff" + bytes(8)

    reading = SecretFilter(iter([known, unknown]))

    assert b"".join(reading.pieces()) == known[:-30] + unknown
    assert (reading.dropped, reading.has_secrets) == (1, True)


def test_a_key_that_redis_has_packed_is_read() -> None:
    name = b"sightline:dev:secret:" + b"a" * 30  # as LZF packs it: 22 literals, then 29 more of the last
    packed = bytes([21]) + name[:22] + bytes([7 << 5, 29 - 9, 0])

    assert unpacked(packed, len(name)) == name


def test_a_redis_that_holds_anything_is_refused_and_left_alone(
    filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path
) -> None:
    run(filled, "backup", str(tmp_path / "b"))
    target = redis_server()
    with Redis.from_url(target.url) as client:
        client.set("mine", "1")

        refused = run(target, "restore", str(tmp_path / "b"))

        assert refused.returncode == 3
        assert "not empty (1 key, 0 indexes)" in refused.stderr
        assert client.keys() == [b"mine"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "the file: "),
        ("{", "the file: Invalid JSON"),
        ('{"v": 1}', "made_at: Field required"),
        (
            '{"made_at": "", "redis_version": "", "modules": [], "keys": 0, "bytes": 0, "sha256": 5}',
            "sha256: Input should be a valid string",
        ),
    ],
)
def test_an_invalid_manifest_is_reported_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "manifest.json").write_text(text)

    refused = run("redis://127.0.0.1:1", "restore", str(tmp_path))

    assert refused.returncode == 64
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_link_or_file_at_the_backup_s_path_is_neither_followed_nor_overwritten(
    filled: EmbeddedRedis, tmp_path: Path
) -> None:
    linked, owned, elsewhere = tmp_path / "linked", tmp_path / "owned", tmp_path / "elsewhere"
    for folder in (linked, owned):
        folder.mkdir()
    elsewhere.write_text("mine")
    (linked / "dump.rdb.part").symlink_to(elsewhere)
    (owned / "dump.rdb.part").touch(mode=0o666)
    (owned / "dump.rdb.part").chmod(0o666)

    codes = [run(filled, "backup", str(folder)).returncode for folder in (linked, owned)]

    assert codes == [0, 0]
    assert elsewhere.read_text() == "mine"
    for folder in (linked, owned):
        assert not (folder / "dump.rdb").is_symlink()
        assert (folder / "dump.rdb").stat().st_mode & 0o777 == 0o600


def test_a_damaged_and_an_unfinished_backup_are_named_and_none_is_overwritten(
    filled: EmbeddedRedis, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    run(filled, "backup", str(folder))
    again = run(filled, "backup", str(folder))
    held = {path.name for path in folder.iterdir()}
    whole = (folder / "dump.rdb").read_bytes()
    (folder / "dump.rdb").write_bytes(whole[:-20] + b"x" * 20)
    damaged = run(filled, "restore", str(folder))
    (folder / "manifest.json").unlink()
    unfinished = run(filled, "restore", str(folder))

    assert again.returncode == damaged.returncode == unfinished.returncode == 64
    assert "is not empty" in again.stderr
    assert held == {"dump.rdb", "manifest.json"}
    assert "is damaged: its SHA-256" in damaged.stderr
    assert "it has no manifest.json" in unfinished.stderr
    assert "Traceback" not in again.stderr + damaged.stderr + unfinished.stderr


def test_a_backup_of_a_newer_redis_is_refused(filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path) -> None:
    run(filled, "backup", str(tmp_path / "b"))
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    (tmp_path / "b/manifest.json").write_text(json.dumps({**manifest, "redis_version": "99.1.0"}))

    refused = run(redis_server(), "restore", str(tmp_path / "b"))

    assert refused.returncode == 3
    assert "the backup was made by Redis 99.1.0" in refused.stderr


def test_a_snapshot_that_crashes_redis_is_reported_and_its_data_folder_stays_empty(
    filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "AWAY_S", 1.0)
    run(filled, "backup", str(tmp_path / "b"))
    snapshot = (tmp_path / "b/dump.rdb").read_bytes()
    (tmp_path / "b/dump.rdb").write_bytes(snapshot[:-8] + b"8 wrong!")  # its checksum
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    digest = hashlib.sha256((tmp_path / "b/dump.rdb").read_bytes()).hexdigest()
    (tmp_path / "b/manifest.json").write_text(json.dumps({**manifest, "sha256": digest}))
    target = redis_server()

    refused = run(target, "restore", str(tmp_path / "b"))

    assert refused.returncode == 3
    assert "its log says why it cannot load the backup" in refused.stderr
    target.start()
    with Redis.from_url(target.url) as client:
        assert client.dbsize() == 0


def test_a_restore_takes_as_long_as_redis_makes_progress(
    redis_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "STANDSTILL_S", 1.0)
    server = redis_server()
    with Redis.from_url(server.url) as client:
        client.mset({f"key {number}": f"{number} {'x' * 2_000}" for number in range(300)})
    run(server, "backup", str(tmp_path / "b"))
    # 10 ms per key, as with a vector to index: three times as long as Redis may stand still.
    slow = redis_server(config={"key-load-delay": "10000", "loading-process-events-interval-bytes": "1024"})

    restored = run(slow, "restore", str(tmp_path / "b"))

    assert restored.returncode == 0, restored.stderr
    with Redis.from_url(slow.url) as client:
        assert client.dbsize() == 300
        assert client.info("replication")["role"] == "master"  # pyright: ignore[reportIndexIssue]  # a blocking client


def test_a_redis_that_cannot_call_back_is_a_primary_again_with_its_old_settings(
    filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(filled, "backup", str(tmp_path / "b"))
    target = redis_server(config={"masterauth": "kept"})
    monkeypatch.setattr(restore, "CALL_BACK_WITHIN_S", 0.2)

    refused = run(target, "restore", str(tmp_path / "b"), "--address", "192.0.2.1")

    assert refused.returncode == 3
    assert re.search(r"did not connect to 192\.0\.2\.1:\d+: run restore where it can", refused.stderr)
    with Redis.from_url(target.url, decode_responses=True) as client:
        assert client.config_get("masterauth") == {"masterauth": "kept"}
        assert client.info("replication")["role"] == "master"  # pyright: ignore[reportIndexIssue]  # a blocking client


def test_a_redis_that_a_failed_restore_cannot_make_a_primary_is_named_with_the_commands(
    filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(filled, "backup", str(tmp_path / "b"))
    target = redis_server(config={"masterauth": "kept"})
    pid = target.pid
    assert pid is not None
    monkeypatch.setattr(restore, "CALL_BACK_WITHIN_S", 0.3)
    monkeypatch.setattr(restore, "SILENCE_S", 0.1)
    monkeypatch.setattr("worker.cli.backup.ANSWER_WITHIN_S", 0.5)

    def freeze() -> bool:
        os.kill(pid, signal.SIGSTOP)
        return False

    enter = Offer.__enter__

    def entered(offer: Offer) -> Offer:
        monkeypatch.setattr(offer.called, "is_set", freeze)
        return enter(offer)

    monkeypatch.setattr(Offer, "__enter__", entered)
    try:
        refused = run(target, "restore", str(tmp_path / "b"))
    finally:
        os.kill(pid, signal.SIGCONT)

    assert refused.returncode == 3
    assert "may still be a replica of this program" in refused.stderr
    assert "redis-cli REPLICAOF NO ONE" in refused.stderr


def test_a_full_disk_leaves_no_backup_and_no_half_of_one(filled: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(filled.url) as client:
        client.set("large", b"x" * 3_000_000)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from producer.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )

    full = subprocess.run(
        [sys.executable, "-c", code, "backup", str(tmp_path / "b")],
        env={"REDIS_URL": filled.url, "PYTHONDONTWRITEBYTECODE": "1"},  # half a module would stay for all others
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert full.returncode == 64, full.stderr
    assert "cannot be written: File too large: free some space" in full.stderr
    assert list((tmp_path / "b").iterdir()) == []


def test_a_snapshot_whose_manifest_cannot_be_written_is_deleted(tmp_path: Path) -> None:
    folders.keep(tmp_path, [b"large"])
    (tmp_path / "manifest.json").mkdir()  # fails as a disk does that the snapshot has filled

    with pytest.raises(InputError, match="cannot be written"):
        folders.seal(tmp_path, folders.Manifest("2026-11-25T00:00:00+00:00", "7.4.1", (), 1, 5, "0"))

    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_an_attempt_killed_between_its_last_steps_is_no_backup_and_does_not_stay(
    filled: EmbeddedRedis, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    kill_at_each_step(folder)
    left = {str(n): {path.name for path in (folder / str(n)).iterdir()} for n in range(4)}
    assert not any(names >= {"dump.rdb", "manifest.json"} or names == {"dump.rdb"} for names in left.values()), left

    again = run(filled, "backup", str(folder / "3"), "--verify")
    for path in folder.glob("[0-2]/*"):
        os.utime(path, times=(0, 0))
    (folder / "mine").mkdir()
    (folder / "mine/dump.rdb").touch()
    os.utime(folder / "mine/dump.rdb", times=(0, 0))
    made = run(filled, "backup", str(folder / "4"), "--keep", "2")

    assert (again.returncode, made.returncode) == (0, 0), again.stderr + made.stderr
    assert {path.name for path in folder.iterdir()} == {"3", "4", "mine"}


def kill_at_each_step(folder: Path) -> None:
    """Write four backups in processes that kill themselves before their first to fourth rename or sync of a file."""
    code = (
        "import os, pathlib, signal, sys; from worker.backup import folder as folders\n"
        "def dying(act):\n"
        "    def call(*words):\n"
        "        left[0] -= 1\n"
        "        os.kill(os.getpid(), signal.SIGKILL) if left[0] < 0 else None\n"
        "        return act(*words)\n"
        "    return call\n"
        "os.fsync, pathlib.Path.rename = dying(os.fsync), dying(pathlib.Path.rename)\n"
        "for number in range(4):\n"
        "    if pid := os.fork():\n"
        "        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL, number\n"
        "        continue\n"
        "    left, folder = [number], pathlib.Path(sys.argv[1], str(number))\n"
        "    folders.prepare(folder); size, digest = folders.keep(folder, [b'x'])\n"
        "    folders.seal(folder, folders.Manifest('2026-11-25T00:00:00+00:00', '7.4.1', (), 1, size, digest))\n"
        "    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=60)


def test_a_user_without_the_right_is_told_which(redis_server: StartServer, tmp_path: Path) -> None:
    server = redis_server(config={"user": "weak on >pw ~* +@all -sync -psync"})

    refused = run(server.url.replace("redis://", "redis://weak:pw@"), "backup", str(tmp_path / "b"))

    assert refused.returncode == 3
    assert "needs permission for the command SYNC" in refused.stderr
    assert not (tmp_path / "b/manifest.json").exists()


def test_the_snapshot_is_sent_only_to_a_holder_of_the_token(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(b"REDIS secret")
    with (
        Offer(tmp_path / "dump.rdb", host="127.0.0.1") as offer,
        socket.create_connection(("127.0.0.1", offer.port), timeout=10) as stranger,
    ):
        stranger.sendall(b"*2\r\n$4\r\nAUTH\r\n$5\r\nguess\r\n*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n")
        stranger.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: stranger.recv(4096), b""))

    assert said == b"-NOAUTH Authentication required.\r\n" * 2
    assert not offer.called.is_set()


def test_a_restore_that_sigterm_ends_leaves_a_primary_with_its_old_settings(
    filled: EmbeddedRedis, redis_server: StartServer, tmp_path: Path
) -> None:
    run(filled, "backup", str(tmp_path / "b"))
    target = redis_server(config={"masterauth": "kept", "key-load-delay": "500000"})
    with Redis.from_url(target.url, decode_responses=True) as client:

        def is_loading() -> bool:
            return client.info("replication")["role"] == "slave"  # pyright: ignore[reportIndexIssue]  # a blocking client

        stopped = stop_once(is_loading, target, "restore", str(tmp_path / "b"))

        assert stopped == (130, "sightline: stopped")
        assert client.config_get("masterauth") == {"masterauth": "kept"}
        assert client.info("replication")["role"] == "master"  # pyright: ignore[reportIndexIssue]  # a blocking client


def test_a_backup_that_sigterm_ends_leaves_no_part_of_it(filled: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(filled.url) as client:
        client.config_set("rdb-key-save-delay", "2000000")

    stopped = stop_once((tmp_path / "b/dump.rdb.part").exists, filled, "backup", str(tmp_path / "b"))

    assert stopped == (130, "sightline: stopped")
    assert list((tmp_path / "b").iterdir()) == []


def stop_once(holds: Callable[[], bool], server: EmbeddedRedis, *words: str) -> tuple[int, str]:
    """Start ``sightline words…``, send SIGTERM once ``holds``; returns the exit code and stderr."""
    environment = {**os.environ, "REDIS_URL": server.url}
    with start_sightline(environment, *words) as process:
        deadline = time.monotonic() + DEADLINE_S
        try:
            while not holds():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.terminate()
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, said.strip()


def test_a_connection_that_breaks_during_the_snapshot_is_not_taken_for_a_full_disk(
    filled: EmbeddedRedis, tmp_path: Path
) -> None:
    with Redis.from_url(filled.url) as client:
        client.set("large", os.urandom(3_000_000))
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as relays:
        relayed = relays.submit(relay_and_reset, listening, filled.port, 1_000_000)
        broken = run(f"redis://127.0.0.1:{listening.getsockname()[1]}", "backup", str(tmp_path / "b"))
        relayed.result()

    assert broken.returncode == 3
    assert "the connection broke during the snapshot (Connection reset by peer)" in broken.stderr
    assert list((tmp_path / "b").iterdir()) == []


def relay_and_reset(listening: socket.socket, port: int, after: int) -> None:
    """Relay one connection to Redis; reset it once Redis has sent ``after`` bytes."""
    client, _ = listening.accept()
    sent = 0
    with client, socket.create_connection(("127.0.0.1", port)) as redis:
        while sent < after:
            readable, _, _ = select.select([client, redis], [], [], 20)
            for one in readable:
                piece = one.recv(65_536)
                sent += len(piece) if one is redis else 0
                (client if one is redis else redis).sendall(piece)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_day_old_parts_of_killed_attempts_are_deleted_with_old_backups(filled: EmbeddedRedis, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    for name, age_days in (("killed", 2), ("running", 0), ("mine", 2)):
        part = folder / name / "dump.rdb.part"
        part.parent.mkdir(parents=True)
        part.touch()
        made_s = time.time() - age_days * 86_400
        os.utime(part, times=(made_s, made_s))
    (folder / "mine/notes.txt").write_text("no backup")
    (folder / "dump.rdb.part").touch()

    made = run(filled, "backup", str(folder / "b"), "--keep", "1")

    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.endswith(f"deleted {folder / 'killed'}\n")
    assert {path.name for path in folder.iterdir()} == {"b", "running", "mine", "dump.rdb.part"}
