"""Sets the wall clock of running Redis servers, as an administrator or NTP may do."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).parent / "wrong_clock/redis_clock.c"
CONFIG: Final = {"jemalloc-bg-thread": "no"}
"""For servers on such a clock: that thread would sleep until a time of the kernel's clock."""


class RedisClock:
    """The clock of all servers started with ``variables``; correct until ``set`` is called. Needs a C compiler."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "redis-clock"
        self._file.write_bytes(bytes(8))
        library = folder / "redis-clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True)
        self.variables = {"LD_PRELOAD": str(library), "REDIS_CLOCK": str(self._file)}

    def set(self, *, wrong_s: float) -> None:
        """Shift the clock by this amount from now on."""
        with self._file.open("r+b") as file:  # in place: servers have it mapped
            file.write(struct.pack("=q", round(wrong_s * 1e6)))


def has_compiler() -> bool:
    """Return whether this machine can compile such a clock."""
    return shutil.which("cc") is not None
