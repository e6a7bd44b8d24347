"""Every code block of the documentation is run by a test, here or in the one that it names, or says why it is not.

A block is marked by a comment in the line before it: ``<!-- run: tests/…/test_x.py -->`` or ``<!-- not run: why -->``.
Without a mark it is run here: calls of ``sightline`` are parsed (``cli/test_docs.py``), targets of make and settings
looked up, steps and JSON read, Python executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from producer.cli.scan.journeys import read_steps
from tests.support.rows import check_each
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "ops/runbook.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
)
FENCED = re.compile(r"^(?:<!-- (run|not run): (.+) -->\n)?```(\w*)\n((?:.*\n)*?)```", re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
CALL = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.\.\./bin/)?sightline ")


class Block(NamedTuple):
    """A code block, where it is, and its mark."""

    where: str
    mark: str
    why: str
    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text()
    for found in FENCED.finditer(text):
        yield Block(f"{page}:{text.count(chr(10), 0, found.start()) + 1}", found[1], found[2], found[3], found[4])


def in_order(block: Block, folder: Path) -> None:
    """Run the block, or find the test that does; raises where neither can be."""
    if block.mark == "not run":
        assert len(block.why) > 5, "say why it is not run"
    elif block.mark == "run":
        test = re.split(r"[ ,]", block.why)[0]
        assert block.where.split(":")[0] in (ROOT / test).read_text(), f"{test} does not name the page"
    elif block.language == "python":
        exec(compile(block.text, block.where, "exec"), {})  # noqa: S102  our own page
    elif block.language == "yaml":
        read_yaml(block.text)
    elif block.language == "json":
        read_json(block.text, folder)
    else:
        assert not block.language, f"nothing runs {block.language!r}: mark it"
        for line in re.sub(r"\s*\\\n\s*", " ", block.text).splitlines():
            run_line(re.split(r"(?:^|\s)#", line)[0].strip())


def read_yaml(text: str) -> None:
    tree = yaml.safe_load(text)
    action = yaml.safe_load((ROOT / "ops/ci/action.yml").read_text())
    component = next(yaml.safe_load_all((ROOT / "templates/accessibility.yml").read_text()))
    if "sightline/ops/ci@" in text:
        assert set(tree[0]["with"]) <= set(action["inputs"])
    elif "component:" in text:
        assert set(tree["include"][0]["inputs"]) <= set(component["spec"]["inputs"])


def read_json(text: str, folder: Path) -> None:
    if isinstance(json.loads(text), list):
        file = folder / "steps.json"
        file.write_text(text)
        assert read_steps(str(file), "the block")


def run_line(line: str) -> None:
    if target := re.fullmatch(r"make (\S+).*", line):
        assert target[1] in TARGETS, f"make has no target {target[1]}"
    elif re.fullmatch(r"[A-Z_]+=\S+", line):
        name, _, value = line.partition("=")
        WorkerSettings.from_env({} if name.endswith("_FILE") else {name: value})
        assert hasattr(WorkerSettings, name.lower())
    else:
        assert not line or CALL.match(line), f"{line!r} is run by no test: mark the block"


@pytest.mark.parametrize("page", PAGES)
def test_every_code_block_is_run_or_says_why_not(page: str, tmp_path: Path):
    if found := list(blocks(page)):
        check_each(found, lambda block: in_order(block, tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "```\nrm -r x\n```",
        "```\nmake gone\n```",
        "```python\n1 / 0\n```",
        "<!-- run: tests/unit/test_references.py -->\n```sh\n```",
    ],
)
def test_a_block_that_nothing_runs_is_found(text: str, tmp_path: Path):
    [found] = FENCED.finditer(text)
    block = Block("docs/none.md:1", found[1], found[2], found[3], found[4])

    with pytest.raises((AssertionError, ZeroDivisionError)):
        in_order(block, tmp_path)
