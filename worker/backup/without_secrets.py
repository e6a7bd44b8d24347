"""Removes the secrets of waiting scans from a snapshot: reads it record by record, as Redis would.

The hash of a job with a login says so, and the job is not run without it (``agent/job_secrets.py``), so a restored one
becomes a dead letter that says what to do. The format is that of ``rdb.h`` and ``rdb.c`` of Redis, up to version 12
(Redis 8). A record of an unknown kind cannot be skipped: everything after it is kept, and ``has_secrets`` says so. The
checksum becomes 0, which means none to Redis; the manifest has a SHA-256.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

SECRET: Final = re.compile(rb"sightline:[a-z0-9_-]+:secret:")
HEADER_BYTES: Final = 9
CHUNK: Final = 1 << 20
END, SELECT, EXPIRY_S, EXPIRY_MS, RESIZE, AUX, FREQUENCY, IDLE, MODULE_AUX, FUNCTION, SLOT_INFO = (
    *(0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF9, 0xF8, 0xF7, 0xF5, 0xF4),
)
_MODULE_END, _MODULE_FLOAT, _MODULE_DOUBLE, _MODULE_STRING = 0, 3, 4, 5
_COMPRESSED: Final = 3


class UnknownRecord(Exception):
    """A record of a kind that cannot be skipped."""


class Pieces(io.RawIOBase):
    """The pieces of an iterator, as a readable file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Return True: the pieces are readable."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``, or a part of it, with the next bytes; returns their number, 0 at the end."""
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class SecretFilter:
    """Yields a snapshot without its secrets; ``dropped`` counts them.

    With ``with_indexes`` False, a Redis that loads it creates no index.
    """

    def __init__(self, snapshot: Iterator[bytes], *, with_indexes: bool = True) -> None:
        self._with_indexes = with_indexes
        self._stream = io.BufferedReader(Pieces(snapshot), CHUNK)
        self._record = bytearray()
        self.dropped = 0
        self.has_secrets = False

    def pieces(self) -> Iterator[bytes]:
        """Yield the kept data in pieces."""
        self._take(HEADER_BYTES)
        kept = bytearray()
        try:
            while not self._read_record():
                kept += self._record
                self._record = bytearray()
                if len(kept) >= CHUNK:
                    yield bytes(kept)
                    kept.clear()
        except UnknownRecord:
            self.has_secrets = True
            yield bytes(kept + self._record)
            while piece := self._stream.read(CHUNK):
                yield piece
            return
        yield bytes(kept + self._record) + bytes(8)
        while self._stream.read(CHUNK):  # the checksum
            pass

    def _read_record(self) -> bool:
        """Read one record into ``_record``, or nothing if it is a secret; returns whether it is the end."""
        while True:
            kind = self._byte()
            if kind in _ABOUT_THE_NEXT:
                _ABOUT_THE_NEXT[kind](self)
                continue
            if kind == END or kind in _OF_THE_WHOLE:
                _OF_THE_WHOLE.get(kind, _nothing)(self)
                if kind == MODULE_AUX and not self._with_indexes:
                    self._record.clear()
                return kind == END
            if kind not in _VALUES:
                raise UnknownRecord
            key = self.string(is_wanted=True)
            _VALUES[kind](self)
            if SECRET.match(key):
                self._record.clear()
                self.dropped += 1
            return False

    # ------------------------------------------------------------------------------------------ parts of a record

    def _take(self, count: int) -> bytes:
        taken = self._stream.read(count)
        if len(taken) < count:
            raise UnknownRecord  # it ends early: the reader of the whole reports it
        self._record += taken
        return taken

    def _byte(self) -> int:
        return self._take(1)[0]

    def skip(self, count: int) -> None:
        """Skip ``count`` bytes."""
        self._take(count)

    def number(self) -> int:
        """Read a length."""
        number, is_special = self._length()
        if is_special:
            raise UnknownRecord
        return number

    def _length(self) -> tuple[int, bool]:
        first = self._byte()
        form = first >> 6
        if form == 0:
            return first & 0x3F, False
        if form == 1:
            return (first & 0x3F) << 8 | self._byte(), False
        if form == _COMPRESSED:
            return first & 0x3F, True
        return int.from_bytes(self._take(8 if first == 0x81 else 4), "big"), False  # noqa: PLR2004  RDB_64BITLEN

    def string(self, *, is_wanted: bool = False) -> bytes:
        """Read a string; returns it if it ``is_wanted``. A number counts as an empty string."""
        size, is_special = self._length()
        if not is_special:
            return self._take(size)
        if size == _COMPRESSED:
            packed, whole = self.number(), self.number()
            taken = self._take(packed)
            return unpacked(taken, whole) if is_wanted else b""
        self._take(1 << size)  # of 1, 2 or 4 bytes
        return b""

    def module(self) -> None:
        """Read a module's value: its id, then the type and value of each part."""
        self.number()
        while (part := self.number()) != _MODULE_END:
            if part == _MODULE_STRING:
                self.string()
            elif part in {_MODULE_FLOAT, _MODULE_DOUBLE}:
                self._take(4 if part == _MODULE_FLOAT else 8)
            else:
                self.number()

    def each(self, *parts: Callable[[SecretFilter], object]) -> None:
        """Read a number, then ``parts`` that many times."""
        for _ in range(self.number()):
            for part in parts:
                part(self)


def unpacked(packed: bytes, whole: int) -> bytes:
    """Return LZF-compressed data uncompressed (``lzf_d.c``): keys of more than 20 bytes may be compressed."""
    out, at = bytearray(), 0
    while at < len(packed):
        control = packed[at]
        at += 1
        if control < 1 << 5:
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        size = control >> 5
        if size == 7:  # noqa: PLR2004  as in lzf_d.c
            size += packed[at]
            at += 1
        start = len(out) - ((control & 0x1F) << 8) - packed[at] - 1
        at += 1
        for offset in range(size + 2):
            out.append(out[start + offset])
    return bytes(out[:whole])


# ---------------------------------------------------------------------------------------------- readers by type

Part = Callable[[SecretFilter], object]


def _nothing(_: SecretFilter) -> None:
    """Nothing follows."""


def _parts(*parts: Part) -> Part:
    def read(reader: SecretFilter) -> None:
        for part in parts:
            part(reader)

    return read


def _each(*parts: Part) -> Part:
    return lambda reader: reader.each(*parts)


def _skip(count: int) -> Part:
    return lambda reader: reader.skip(count)


_string: Part = SecretFilter.string
_number: Part = SecretFilter.number


def _stream(version: int) -> Part:
    """Return the reader of a stream: nodes, ids and counts, groups with their pending entries and consumers."""
    counts = [_number] * (3 if version == 1 else 8)
    entry, time = _skip(16), _skip(8)
    seen = _skip(8 if version < 3 else 16)  # noqa: PLR2004  version 3 adds the last activity
    consumer = (_string, seen, _each(entry))
    read_up_to = [_number] * (2 if version == 1 else 3)
    group = (_string, *read_up_to, _each(entry, time, _number), _each(*consumer))
    return _parts(_each(_string, _string), *counts, _each(*group))


_ABOUT_THE_NEXT: Final[Mapping[int, Part]] = {
    EXPIRY_MS: _skip(8),
    EXPIRY_S: _skip(4),
    FREQUENCY: _skip(1),
    IDLE: _number,
}
_OF_THE_WHOLE: Final[Mapping[int, Part]] = {
    SELECT: _number,
    RESIZE: _parts(_number, _number),
    AUX: _parts(_string, _string),
    MODULE_AUX: SecretFilter.module,
    FUNCTION: _string,
    SLOT_INFO: _parts(_number, _number, _number),
}
_VALUES: Final[Mapping[int, Part]] = {
    **dict.fromkeys((0, 11, 16, 17, 20), _string),  # a string; a set of numbers; hash, zset and set in one piece
    **dict.fromkeys((1, 2, 14), _each(_string)),  # lists and sets
    4: _each(_string, _string),  # a hash
    5: _each(_string, _skip(8)),  # a sorted set
    7: SecretFilter.module,
    15: _stream(1),
    18: _each(_number, _string),  # a list
    19: _stream(2),
    21: _stream(3),
    24: _parts(_skip(8), _each(_number, _string, _string)),  # a hash whose fields expire
    25: _parts(_skip(8), _string),
}
"""By RDB_TYPE: the types that Redis 7.2 and later write."""
