"""Finds the tests that can notice a mutant: those that ran its line or script on the unchanged tree, fastest first."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.mutants.line_change import LineChange
from tests.mutants.lua_changes import scripts_with

RECORDS: Final = ".reach"


@dataclass(frozen=True, slots=True)
class Reach:
    """One test: its id, the seconds it took, ``path:line`` of each line and ``lua:name`` of each script that it ran."""

    test: str
    took_s: float
    is_failed: bool
    ran: frozenset[str]

    @property
    def file(self) -> str:
        """The test's file."""
        return self.test.partition("::")[0]

    @classmethod
    def read(cls, record: Path, root: Path) -> Self:
        """Read the record of ``recorder.py`` for a test in the copy ``root``."""
        test, *lines = record.read_text("utf-8").splitlines()
        took = [line.removeprefix("took:") for line in lines if line.startswith("took:")]
        ran = frozenset(line.removeprefix(f"{root}/") for line in lines)
        return cls(test, float(took[0]) if took else 0.0, "failed:" in lines, ran)


def read_reaches(root: Path) -> list[Reach]:
    """Return the records in the copy ``root``."""
    return [Reach.read(record, root) for record in sorted((root / RECORDS).glob("*.txt"))]


def select_tests(root: Path, change: LineChange, reaches: Sequence[Reach]) -> list[Reach]:
    """Return the tests that can notice the change; all of them if its line runs at import, or its script never."""
    if change.path.endswith(".lua"):
        wanted = {f"lua:{script.stem}" for script in scripts_with(root, root / change.path)}
        found = [reach for reach in reaches if reach.ran & wanted] or reaches
    else:
        wanted = lines_with(root, change.path, change.line)
        found = [reach for reach in reaches if reach.ran & wanted] if wanted else reaches
    return sorted(found, key=lambda reach: reach.took_s)


def lines_with(root: Path, path: str, line: int) -> set[str]:
    """Return ``path:line`` of the code affected by the line: its statement, or the uses of its constant. Empty if that
    is unknown: a line of a class, say, or a constant that is used at import.
    """
    text = (root / path).read_text("utf-8")
    if lines := lines_of(text, line):
        return {f"{path}:{number}" for number in lines}
    name = constant_at(text, line)
    if not name:
        return set()
    found: set[str] = set()
    for file in sorted(file for package in ("producer", "worker") for file in (root / package).rglob("*.py")):
        text = file.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if name in text else ():
            if isinstance(node, ast.expr) and _name_of(node) == name:
                lines = lines_of(text, node.lineno)
                if not lines:
                    return set()
                found |= {f"{file.relative_to(root)}:{number}" for number in lines}
    return found


def _name_of(node: ast.expr) -> str:
    """Return the name that an expression reads; '' if it reads none."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
            return name
        case _:
            return ""


def constant_at(text: str, line: int) -> str:
    """Return the name of the module's constant whose value contains ``line``; '' if there is none."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.lineno <= line <= (node.end_lineno or 0):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            return target.id if isinstance(target, ast.Name) else ""
    return ""


def lines_of(text: str, line: int) -> range:
    """Return the lines of the statement that has ``line``; of a compound one, its head. Empty outside of functions."""
    function, found = range(0), range(0)
    for node in ast.walk(ast.parse(text)):  # outer ones come first
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.lineno < line <= (node.end_lineno or 0):
            function, found = range(node.body[0].lineno, (node.end_lineno or 0) + 1), range(0)
        elif isinstance(node, ast.stmt | ast.ExceptHandler):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or 0
            if node.lineno <= line <= last:
                found = range(node.lineno, last + 1)
    return (found or function) if function else range(0)
