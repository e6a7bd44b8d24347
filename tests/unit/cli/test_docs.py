"""The docs about the command line match the program: the page of helps, and every call in the README."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from producer.cli.main import cli
from tests.support.rows import check_each

ROOT = Path(__file__).resolve().parents[3]
MAKE = runpy.run_path(str(ROOT / "ops/cli/make.py"))
PAGES = ("README.md", "ops/cli.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


def leaves() -> Iterator[tuple[str, click.Command]]:
    root = cli.make_context("sightline", [], resilient_parsing=True)
    for name, command, _ in MAKE["commands"](cli, root):
        if not isinstance(command, click.Group):
            yield name, command


def calls(page: str) -> Iterator[str]:
    """Every ``sightline …`` line in the page's code blocks, without its comment, up to a pipe."""
    for block in re.findall(r"```\w*\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            found = re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:cat \S+ \| )?sightline (.*)", line)
            if found:
                yield re.split(r"\s+#\s|\s\|\s|\s{4,}", found[1])[0]


def test_the_way_from_nothing_to_a_gate_takes_five_commands_at_most() -> None:
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    [commands] = [block.splitlines() for block in blocks if "git clone" in block]
    assert len(commands) <= 5
    assert "--local" in commands[-1]
    assert not any("git clone" in line for line in commands[1:])


def test_the_page_of_helps_is_what_the_program_prints() -> None:
    page = (ROOT / "ops/cli.md").read_text()

    assert page == MAKE["page"](), "run: .venv/bin/python ops/cli/make.py"


@pytest.mark.parametrize(("name", "command"), [*leaves()], ids=lambda given: given if isinstance(given, str) else "")
def test_the_help_of_every_command_has_an_example_of_it(name: str, command: click.Command) -> None:
    help_text = command.help or ""

    usual = name.removesuffix(" list")  # a group may do that without being told
    assert re.search(rf"^\s*(?:\S+=\S+ )*(?:.* \| )?{usual}\b", help_text, re.MULTILINE)


def is_form(call: str) -> bool:
    """Whether it shows the syntax of a call rather than a call."""
    return "..." in call or "…" in call or not {"COMMAND", "[OPTIONS]"}.isdisjoint(shlex.split(call))


@pytest.mark.parametrize("page", [page for page in PAGES if any(not is_form(call) for call in calls(page))])
def test_a_documented_call_is_one_the_program_takes(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("urls.txt", "accessibility-urls.txt"):
        (tmp_path / name).write_text("https://example.org/\n")

    check_each((call for call in calls(page) if not is_form(call)), is_taken)


def is_taken(call: str) -> None:
    context = cli.make_context("sightline", [], resilient_parsing=True)
    command: click.Command = cli
    words = shlex.split(call)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0]) if words and not words[0].startswith("-") else None
        if found is None:
            break
        command, words = found, words[1:]

    command.make_context(call, words, parent=None)  # raises a UsageError for what it does not know
