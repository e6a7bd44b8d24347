"""What is known of the newest backup: ``sightline backup`` notes it in Redis, metrics and doctor read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MADE_MS: Final = b"made_ms"


def age_s(fields: Mapping[bytes, bytes], *, now_ms: int) -> float | None:
    """Return the age of the newest backup, None where none was made. Pure."""
    made = fields.get(MADE_MS, b"")
    return max(0.0, (now_ms - int(made)) / 1000) if made.isdigit() else None
