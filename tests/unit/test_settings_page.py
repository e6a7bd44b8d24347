"""The page of settings has each setting once, with the default that programs use, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr

from producer.settings import variables_of
from worker.settings import WorkerSettings

PAGE = Path(__file__).parents[2] / "docs/settings.md"


def documented() -> dict[str, str]:
    """Return the default that the page gives for each setting."""
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| (.*?) ?\|", PAGE.read_text(), re.MULTILINE)
    return {name: default.strip("` ") for names, default in rows for name in re.findall(r"[A-Z_]+", names)}


def shown(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return f"{default:g}" if isinstance(default, float) else str(int(default) if isinstance(default, bool) else default)


def test_the_page_of_settings_has_every_setting_and_its_default():
    assert documented() == {one.name.upper(): shown(one.default) for one in variables_of(WorkerSettings)}
