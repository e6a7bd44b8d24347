"""The fields of a result that change later are a closed, typed list, and nothing else rewrites a result."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from producer.contract import Assessment, Finding, Impact, QueryResult, Result, ScanResult
from producer.contract.assessment import AssessmentRevision
from producer.contract.findings import Changes, ChangesRevision, FindingRevision
from producer.contract.results import JobFacts, QueryRevision, ScanRevision

ROOT = Path(__file__).parents[2]
REVISIONS = [
    (Result, JobFacts),
    (ScanResult, ScanRevision),
    (QueryResult, QueryRevision),
    (Finding, FindingRevision),
    (Changes, ChangesRevision),
    (Assessment, AssessmentRevision),
]


def trees(word: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield the syntax trees of the files that contain ``word``: to parse all of them takes a second."""
    for package in ("producer", "worker"):
        for path in (ROOT / package).rglob("*.py"):
            if word in (text := path.read_text("utf-8")):
                yield str(path.relative_to(ROOT)), ast.parse(text)


def untyped_copies(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that copy a model with other changes than the ``Unpack``ed ones of their own function."""
    typed: set[int] = set()
    for node in ast.walk(tree):
        kwargs = node.args.kwarg if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
        if kwargs and kwargs.annotation and ast.unparse(kwargs.annotation).startswith("Unpack["):
            typed |= {id(one) for one in ast.walk(node) if isinstance(one, ast.Name) and one.id == kwargs.arg}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "model_copy":
            values = [*node.args, *(word.value for word in node.keywords if word.arg != "deep")]
            if any(id(value) not in typed for value in values):
                yield node.lineno


def test_no_model_is_copied_with_fields_named_by_strings() -> None:
    found = [f"{path}:{line}" for path, tree in trees("model_copy") for line in untyped_copies(tree)]

    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "result.model_copy(update={'notes': ()})",
        "result.model_copy(update=dict(notes=()))",
        "result.model_copy({'notes': ()})",
        "def f(result, **changes: Any):\n    return result.model_copy(update=changes)",
        "def f(result, changes):\n    return result.model_copy(update=changes)",
    ],
)
def test_an_untyped_copy_is_found(code: str) -> None:
    assert list(untyped_copies(ast.parse(code)))


def test_only_the_contract_knows_how_a_missing_assessment_looks_on_the_wire() -> None:
    found = {
        path
        for path, tree in trees("none")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("none:")
    }

    assert found == {"producer/contract/assessment.py"}


@pytest.mark.parametrize(("model", "revision"), REVISIONS)
def test_a_revision_has_the_types_of_its_model_s_fields(model: type[Any], revision: type[Any]) -> None:
    fields, changes = get_type_hints(model), get_type_hints(revision)

    assert {name: fields.get(name) for name in changes} == changes


def test_a_revised_result_keeps_what_a_newer_release_wrote() -> None:
    newer = ScanResult.model_validate({"status": "scanned", "colour": "red"})

    revised = newer.revised(scan_id="s1", notes=("a note",))

    assert (revised.scan_id, revised.notes, revised.model_extra) == ("s1", ("a note",), {"colour": "red"})
    assert (newer.scan_id, newer.notes) == ("", ())


def test_a_finding_is_cut_and_stays_what_it_is() -> None:
    whole = Finding(rule="label", impact=Impact.SERIOUS, node_count=3, fingerprint="f1")

    assert whole.revised(node_count=2).model_dump() == {**whole.model_dump(), "node_count": 2}
