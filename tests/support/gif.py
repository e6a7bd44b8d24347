"""A GIF of black pixels, with as many frames as a test needs."""

from __future__ import annotations


def gif(*, frames: int, delay: int = 10, repeats: int | None = None) -> bytes:
    """Return the file; ``delay`` in hundredths of a second, ``repeats`` as in the file: None for none, 0 for always."""
    data = b"GIF89a\x10\0\x10\0\x80\0\0" + b"\0\0\0\xff\xff\xff"
    if repeats is not None:
        data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + repeats.to_bytes(2, "little") + b"\0"
    for _ in range(frames):
        data += b"\x21\xf9\x04\0" + delay.to_bytes(2, "little") + b"\0\0"
        data += b"\x2c\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02\x44\x01\0"
    return data + b";"
