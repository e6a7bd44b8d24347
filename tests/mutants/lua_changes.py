"""The line mutants of a Lua script, found by patterns, and the check that Redis still compiles it.

Comments, quoted texts and lines that create an error are left unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import redis
from redis.exceptions import ResponseError

from tests.mutants.line_change import LineChange

INCLUDE: Final = re.compile(r"^--@include (\S+)\n", re.MULTILINE)
SHARED: Final = "producer/redis/lua"
MASKED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|--.*")
LEFT_ALONE: Final = re.compile(r"error_reply|redis\.log|\berror\(|\berr *=")
STATEMENT: Final = re.compile(r"^(\s*)(redis\.p?call\(.*\))\s*$")
RETURN: Final = re.compile(r"^(\s+)return\b(?!.*\bfunction\b).*$")
RETURN_WITHIN: Final = re.compile(r"\breturn\b.*?(?=\bend\s*$)")
EXCHANGED: Final = (
    (re.compile(r"=="), "~="),
    (re.compile(r"~="), "=="),
    (re.compile(r"<="), "<"),
    (re.compile(r">="), ">"),
    (re.compile(r"<(?!=)"), "<="),
    (re.compile(r">(?!=)"), ">="),
    (re.compile(r"\bnot "), ""),
    (re.compile(r"\band\b"), "or"),
    (re.compile(r"\bor\b"), "and"),
    (re.compile(r"\btrue\b"), "false"),
    (re.compile(r"\bfalse\b"), "true"),
    (re.compile(r" \+ "), " - "),
    (re.compile(r" - "), " + "),
)
NUMBER: Final = re.compile(r"(?<![\w.])\d+(?![\w.])")


def lua_changes(path: str, text: str) -> list[LineChange]:
    """Return every mutant of the script, in the order of its lines. Whether it compiles: ``compiles``."""
    lines = text.split("\n")
    return [
        LineChange(path, number, line, after)
        for number, line in enumerate(lines, 1)
        if not LEFT_ALONE.search(line)
        for after in sorted(set(_afters(line)) - {line})
    ]


def _afters(line: str) -> Iterator[str]:
    code = MASKED.sub(lambda match: "\0" * len(match[0]), line)
    for pattern, new in EXCHANGED:
        for match in pattern.finditer(code):
            yield line[: match.start()] + new + line[match.end() :]
    for match in NUMBER.finditer(code):
        yield line[: match.start()] + str(int(match[0]) + 1) + line[match.end() :]
    if statement := STATEMENT.match(line):
        yield f"{statement[1]}do end"
    if early := RETURN.match(code):
        yield f"{early[1]}do end"
    elif within := RETURN_WITHIN.search(code):
        yield line[: within.start()] + line[within.end() :]


def compiles(root: Path, change: LineChange, client: redis.Redis) -> bool:
    """Return whether Redis compiles the changed script, or every script of its folders that includes it."""
    changed = root / change.path
    texts = {changed: change.changed(changed.read_text("utf-8"))}
    scripts = scripts_with(root, changed)
    try:
        for script in scripts:
            client.script_load(_with_includes(root, script, texts))
    except ResponseError:
        return False
    return bool(scripts)


def scripts_with(root: Path, file: Path) -> list[Path]:
    """Return the scripts that contain the text of ``file``: itself, or those of its folders that include it."""
    if not file.name.startswith("_"):
        return [file]
    folders = {script.parent for script in root.glob("*/*/lua/*.lua")} if SHARED in str(file) else {file.parent}
    scripts = [script for folder in sorted(folders) for script in sorted(folder.glob("[!_]*.lua"))]
    return [script for script in scripts if file.name in INCLUDE.findall(script.read_text("utf-8"))]


def _with_includes(root: Path, script: Path, texts: dict[Path, str]) -> str:
    def included(match: re.Match[str]) -> str:
        beside = script.parent / match[1]
        file = beside if beside.is_file() else root / SHARED / match[1]
        return texts.get(file) or file.read_text("utf-8")

    return INCLUDE.sub(included, texts.get(script) or script.read_text("utf-8"))
