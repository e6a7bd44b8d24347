"""Receives a complete point-in-time snapshot of a running Redis, without interrupting its clients.

SYNC makes Redis fork, write its data of that moment (a BGSAVE), and send it once it is written. Later writes are not
included. Source: "Redis replication", ``SYNC``; ``redis-cli --rdb`` does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from redis import Redis

from producer.errors import RedisUnsuitable, os_reason

SILENCE_S: Final = 60.0
"""Redis sends a sign of life every 10 s while it writes the snapshot."""
CHUNK: Final = 1 << 20
END: Final = 0xFF
"""Opcode before the checksum that ends a snapshot."""
CHECKSUM_BYTES: Final = 8


def receive(redis: Redis) -> Iterator[bytes]:
    """Yield the snapshot in pieces. Raises ``RedisUnsuitable`` for a refused or broken one, and redis-py's errors."""
    pool = redis.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection.send_command("SYNC")
        # redis-py cannot read anything but replies; nothing is buffered before the first one.
        sock = connection._sock  # noqa: SLF001
        sock.settimeout(SILENCE_S)
        with sock.makefile("rb") as stream:
            yield from _pieces(stream)
    except TimeoutError:
        msg = f"Redis sent nothing for {SILENCE_S:.0f} s while it made the snapshot: look at its log and try again"
        raise RedisUnsuitable(msg) from None
    except OSError as error:
        msg = f"the connection broke during the snapshot ({os_reason(error)}): check the network and Redis's log"
        raise RedisUnsuitable(msg) from None
    finally:
        connection.disconnect()
        pool.release(connection)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    line = b"\n"
    while line == b"\n":  # a sign of life
        line = stream.readline()
    if not line.startswith(b"$") or not line[1:].strip().isdigit():
        said = line.decode("utf-8", "replace").strip().lstrip("-") or "it closed the connection"
        msg = (
            f"Redis does not send a snapshot ({said}): the user in REDIS_URL needs permission for the command SYNC "
            f"(hosted services may not offer it)"
        )
        raise RedisUnsuitable(msg)
    left = int(line[1:])
    last = b""
    while left:
        piece = stream.read(min(CHUNK, left))
        if not piece:
            msg = f"the connection ended {left} bytes before the end of the snapshot: check the network and Redis's log"
            raise RedisUnsuitable(msg)
        left -= len(piece)
        last = (last + piece)[-CHECKSUM_BYTES - 1 :]
        yield piece
    if last[:1] != bytes([END]):
        msg = "Redis sent an incomplete snapshot: try again"
        raise RedisUnsuitable(msg)
