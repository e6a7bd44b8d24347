"""A sound as a data URI."""

from __future__ import annotations

import base64
import struct

_RATE = 4_000


def wav(seconds: float) -> str:
    """Return a tone of that length."""
    data = bytes([128, 200] * round(_RATE * seconds / 2))
    form = struct.pack("<HHIIHH", 1, 1, _RATE, _RATE, 1, 8)
    whole = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return f"data:audio/wav;base64,{base64.b64encode(b'RIFF' + struct.pack('<I', len(whole)) + whole).decode()}"
