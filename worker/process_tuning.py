"""Has the C library give large blocks back to the system when they are freed, so that a worker stays as large as it is.

glibc's malloc maps blocks of 128 KiB and more one by one, until the first of them is freed: then it takes that size, up
to 32 MiB, for usual and keeps blocks like it in its heap, which small blocks above hold open. A page's result, its
pictures and messages of a browser are of that kind and of all sizes: the heap of a worker grew for as long as a larger
one came (ops/decisions/0013-large-blocks-of-malloc.md).
"""

from __future__ import annotations

import ctypes
from typing import Final

LARGE_BYTES: Final = 128 * 1024
"""glibc's own first threshold."""
_M_TRIM_THRESHOLD: Final = -1  # mallopt(3), <malloc.h>
_M_MMAP_THRESHOLD: Final = -3


def keep_large_blocks_apart() -> bool:
    """Set the thresholds for good; False where malloc is not glibc's and has none. Safe to call twice."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, LARGE_BYTES) == 1 for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
