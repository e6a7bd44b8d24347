"""The program text of the lint, its words (``words.toml``) and rules (``js/lint*.js``), for the isolated world.

The rules are added to axe-core, which names elements, ignores hidden ones, and respects the requested part and the time
limit. Their findings need review: none of them can fail a page. Their names are in ``producer/contract/rules.py``.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from producer.contract import JsonObject

_HERE: Final = Path(__file__).parent
_PARTS: Final = ("lint_words", "lint_context", "lint", "lint_open")


@cache
def lint_script() -> str:
    """Return the script that adds the rules to a loaded axe-core."""
    given = [f"const sightline{name} = {json.dumps(table, ensure_ascii=False)}" for name, table in _tables().items()]
    return ";\n".join((*given, *((_HERE.parent / "js" / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS)))


def _tables() -> dict[str, JsonObject]:
    return {"Phrases": read_table("words"), "Rules": read_table("rules")}


@cache
def read_table(name: str) -> JsonObject:
    """Return one of the tables beside this file."""
    return tomllib.loads((_HERE / f"{name}.toml").read_text(encoding="utf-8"))
