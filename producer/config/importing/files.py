"""Detects the tool of a configuration file, and reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, cast

from producer.config.importing.draft import Draft
from producer.config.importing.lighthouse import import_lighthouse
from producer.config.importing.pa11y import import_pa11y
from producer.errors import DependencyMissing, InputError
from producer.text_file import read_text

_SCRIPTS: Final = frozenset({".js", ".cjs", ".mjs", ".ts"})
_YAML: Final = frozenset({".yml", ".yaml"})


def draft_of(file: Path) -> Draft:
    """Return the draft of a configuration; raises ``InputError`` for an unreadable file or an unknown tool."""
    config = _content(file)
    name = file.name.lower()
    if "lighthouse" in name or isinstance(config.get("ci"), dict):
        return import_lighthouse(config, file.absolute().parent)
    if "pa11y" in name or config.keys() & {"urls", "defaults"}:
        return import_pa11y(config)
    msg = f"{str(file)!r} is not a known configuration: expected pa11y-ci's (urls, defaults) or Lighthouse CI's (ci)"
    raise InputError(msg)


def _content(file: Path) -> dict[str, Any]:
    if file.suffix in _SCRIPTS:
        script = json.dumps(f"./{file.name}")
        hint = f"node -p 'JSON.stringify(require({script}))' > {file.stem}.json"
        raise InputError(f"{str(file)!r} is a program, which is not run: convert it to JSON, {hint}")
    try:
        text = read_text(file)
    except OSError as error:
        raise InputError(f"cannot read {str(file)!r}: {error.strerror}") from None
    content = _yaml(text, file) if file.suffix in _YAML else _json(text, file)
    if not isinstance(content, dict):
        raise InputError(f"{str(file)!r} is not a table of options")
    return cast("dict[str, Any]", content)


def _json(text: str, file: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise InputError(f"{str(file)!r} is not JSON, {where}") from None


def _yaml(text: str, file: Path) -> object:
    try:
        import yaml  # noqa: PLC0415  comes with the worker's packages; the client has no need of it otherwise
    except ModuleNotFoundError:
        raise DependencyMissing(f"{str(file)!r} is YAML: install PyYAML to read it, or convert it to JSON") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise InputError(f"{str(file)!r} is not YAML{'' if line is None else f', line {line + 1}'}") from None
