"""Skips tests that need something that this machine lacks."""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

_IN_CI: Final = os.environ.get("CI", "").lower() not in {"", "0", "false"}
"""As the run began: tests do not see the variable (``conftest.py``)."""


def not_tested(reason: str) -> NoReturn:
    """Skip the test, naming what is missing; fail it if CI is set."""
    if not _IN_CI:
        pytest.skip(f"NOT TESTED: {reason}")
    pytest.fail(reason, pytrace=False)
