"""requirements.lock: the requirements of pyproject.toml, pinned and hashed, without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
_LOCK = (_ROOT / "requirements.lock").read_text()
_PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?P<rest>[^\\\n]*(?:\\\n[^\\\n]*)*)$", re.MULTILINE)


def _asked_for() -> list[str]:
    project: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    lines = {
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["worker"],
        *project["dependency-groups"]["dev"],
    }
    return sorted(lines)


@pytest.mark.parametrize("line", _asked_for())
def test_the_lock_holds_a_version_that_fits_each_dependency(line: str) -> None:
    wanted = Requirement(line)

    pinned = [pin["version"] for pin in _PIN.finditer(_LOCK) if pin["name"] == canonicalize_name(wanted.name)]

    assert pinned, f"{wanted.name} is not in requirements.lock: run `make lock`"
    assert all(wanted.specifier.contains(version) for version in pinned), "run `make lock`"


def test_every_pin_has_hashes_and_nothing_but_pins_is_in_the_lock() -> None:
    pins = list(_PIN.finditer(_LOCK))

    rest = _PIN.sub("", _LOCK).strip().splitlines()

    assert pins
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", pin["rest"]) for pin in pins)
    assert all(line.startswith("#") or not line for line in rest)
    assert "//" not in _LOCK
