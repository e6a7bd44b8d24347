"""The table of outages names existing tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROWS = [line for line in (ROOT / "docs/outages.md").read_text("utf-8").splitlines() if "`tests/" in line]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_each_row_names_tests_that_there_are(row: str) -> None:
    file = ""
    named = re.findall(r"`(tests/[\w/]+\.py)`|`(test_\w+)`", row)
    for path, test in named:
        file = (ROOT / path).read_text("utf-8") if path else file
        assert not test or f"def {test}(" in file, f"no {test}"
    assert sum(bool(test) for _, test in named) >= 1
