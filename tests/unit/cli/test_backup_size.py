"""The size of a backup as ``sightline backup`` prints it."""

from __future__ import annotations

import pytest

from worker.cli.backup import size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (987, "1.0 KiB"),
        (10_035, "9.8 KiB"),
        (104_857, "102.4 KiB"),
        (104_858, "0.1 MiB"),
        (3_221_225_472, "3,072.0 MiB"),
    ],
)
def test_a_backup_below_a_tenth_of_a_mib_has_its_size_in_kib(size: int, text: str) -> None:
    assert size_text(size) == text
