"""The files of the command line import each other in one direction, imports inside functions included."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def imports_of(path: Path, known: set[str]) -> set[str]:
    """The modules among ``known`` that a file imports, at its top or in a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & known


@pytest.mark.parametrize("folder", ["producer/cli", "worker/cli"])
def test_no_file_of_the_command_line_imports_one_that_imports_it(folder: str) -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }

    graph = {name: imports_of(path, set(paths)) for name, path in paths.items()}

    assert any(graph.values())
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_command_but_web_loads_a_web_server() -> None:
    said = "import sys; from producer.cli import main; main.run(['--help']); main.run(['usage', '--help']); "
    said += "main.run(['history', '--help']); print([name for name in sys.modules if name in ('starlette', 'uvicorn')])"

    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.splitlines()[-1] == "[]"
