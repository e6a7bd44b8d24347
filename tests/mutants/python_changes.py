"""The line mutants of a Python file, found in its syntax tree.

Left out, because no test should notice them: log events, docstrings, the text of errors, type annotations, ``__all__``,
decorators, and the numbers of durations (names that end in ``_s`` or ``_ms``: a second more is still correct).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from tests.mutants.line_change import LineChange

Edit = tuple[int, int, int, str]
"""Line from 1, first and last byte within it, and the replacement."""

COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
LOGS: Final = ("log", "logger")
DURATIONS: Final = ("_s", "_ms")


def python_changes(path: str, text: str) -> list[LineChange]:
    """Return every mutant of the file, in the order of its lines. Whether it compiles: ``is_valid_python``."""
    lines = text.split("\n")
    changes: dict[LineChange, None] = {}
    for line, first, last, new in _edits(ast.parse(text), lines):
        before = lines[line - 1]
        raw = before.encode()
        after = (raw[:first] + new.encode() + raw[last:]).decode()
        if after != before:
            changes[LineChange(path, line, before, after)] = None
    return sorted(changes, key=lambda change: (change.line, change.after))


def is_valid_python(text: str) -> bool:
    """Return whether Python compiles ``text``."""
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _edits(node: ast.AST, lines: list[str]) -> Iterator[Edit]:
    """Yield the edits of ``node`` and its descendants that a test could notice."""
    yield from _edits_of(node, lines)
    for child in _children(node):
        yield from _edits(child, lines)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the relevant child nodes that run: no annotation, decorator, message or duration."""
    match node:
        case ast.Raise() | ast.JoinedStr():
            return
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))) if name in LOGS:
            return
        case ast.Assign(targets=[ast.Name(id=name)]) if name in {"__all__", "msg"} or _is_duration(name):
            return
        case ast.AnnAssign(target=target, value=value):
            if value is not None and not (isinstance(target, ast.Name) and _is_duration(target.id)):
                yield value
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from node.body
        case ast.ClassDef():
            yield from node.body
        case ast.keyword(arg=name, value=ast.Constant()) if name is not None and _is_duration(name):
            return
        case _:
            yield from ast.iter_child_nodes(node)


def _is_duration(name: str) -> bool:
    return name.lower().endswith(DURATIONS)


def _edits_of(node: ast.AST, lines: list[str]) -> Iterator[Edit]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            old, new = COMPARISONS[type(op)]
            yield from _between(left, right, old, new, lines)
        case ast.BoolOp(op=op, values=values):
            old, new = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
            for left, right in pairwise(values):
                yield from _between(left, right, old, new, lines)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right) if not _is_text(left, right):
            old, new = ("+", "-") if isinstance(op, ast.Add) else ("-", "+")
            yield from _between(left, right, old, new, lines)
        case ast.UnaryOp(op=ast.Not(), operand=operand) if node.lineno == operand.lineno:
            yield node.lineno, node.col_offset, operand.col_offset, ""
        case ast.Constant(value=bool() as value):
            yield from _whole(node, str(not value))
        case ast.Constant(value=int() as value):
            yield from _whole(node, str(value + 1))
        case ast.Call(func=ast.Name(id="min" | "max" as name) as func):
            yield from _whole(func, "max" if name == "min" else "min")
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield from _negated(test, lines)
        case _:
            yield from _of_statement(node)


def _of_statement(node: ast.AST) -> Iterator[Edit]:
    """Yield edits that remove a call statement, or the value of a return."""
    match node:
        case ast.Expr(value=ast.Call(func=func) | ast.Await(value=ast.Call(func=func))):
            is_log = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in LOGS
            if not is_log and not (isinstance(func, ast.Name) and func.id == "assert_never"):
                yield from _whole(node, "pass")
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield from _whole(value, "None")
        case _:
            return


def _negated(test: ast.expr, lines: list[str]) -> Iterator[Edit]:
    is_known = isinstance(test, ast.Compare | ast.Name) and getattr(test, "id", "") == "TYPE_CHECKING"
    if not is_known and not isinstance(test, ast.Compare) and test.lineno == test.end_lineno:
        end = test.end_col_offset or 0
        old = lines[test.lineno - 1].encode()[test.col_offset : end].decode()
        yield test.lineno, test.col_offset, end, f"not ({old})"


def _is_text(*nodes: ast.expr) -> bool:
    return any(
        isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str)) for n in nodes
    )


def _whole(node: ast.expr | ast.stmt, new: str) -> Iterator[Edit]:
    if node.lineno == node.end_lineno and node.end_col_offset is not None:
        yield node.lineno, node.col_offset, node.end_col_offset, new


def _between(left: ast.expr, right: ast.expr, old: str, new: str, lines: list[str]) -> Iterator[Edit]:
    """Yield edits that exchange the operator between two operands on one line."""
    if left.end_lineno != right.lineno or left.end_col_offset is None:
        return
    first, last = left.end_col_offset, right.col_offset
    segment = lines[right.lineno - 1].encode()[first:last].decode()
    yield right.lineno, first, last, segment.replace(old, new, 1)
