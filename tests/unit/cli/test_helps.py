"""Every help text: its content and width, and that its examples are valid calls."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import click
import pytest

from producer.cli.main import cli

ROOT = Path(__file__).resolve().parents[3]
MAKE = runpy.run_path(str(ROOT / "ops/cli/make.py"))
COLUMNS = 100


def helps() -> list[tuple[str, click.Command, str]]:
    """Every command with its full name and its help as printed."""
    root = cli.make_context("sightline", [], resilient_parsing=True, terminal_width=COLUMNS)
    below = [(name, command, command.get_help(context)) for name, command, context in MAKE["commands"](cli, root)]
    return [("sightline", cli, cli.get_help(root)), *below]


HELPS = helps()
EXAMPLE = r"\s+(?:[A-Z_]+=\S+ )*(?:cat \S+ \| |nohup |docker compose run .* )?(sightline [^|>]*)"
EXAMPLES = [
    (name, found[1]) for name, _, text in HELPS for line in text.splitlines() if (found := re.match(EXAMPLE, line))
]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, text in HELPS])
def test_a_help_fits_100_columns_and_shows_no_markers_of_click(name: str, text: str) -> None:
    assert "\\b" not in text
    assert "\b" not in text
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == [], name


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, text in HELPS])
def test_no_line_of_a_help_is_cut_or_an_argument_without_words(name: str, text: str) -> None:
    lines = [line for line in text.splitlines() if not line.startswith("Usage:")]

    assert [line for line in lines if line.endswith("...")] == [], name


@pytest.mark.parametrize(("name", "command"), [(name, command) for name, command, _ in HELPS])
def test_every_command_and_every_option_has_a_help_text(name: str, command: click.Command) -> None:
    options = [param for param in command.params if isinstance(param, click.Option)]

    assert command.help, name
    assert [option.opts for option in options if not option.help] == []


def test_the_help_of_scan_lists_every_option_once() -> None:
    text = next(text for name, _, text in HELPS if name == "sightline scan")
    command = next(command for name, command, _ in HELPS if name == "sightline scan")
    listed = re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE)

    options = [max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)]
    assert sorted(listed) == sorted([*options, "--help"])
    assert re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE) == [
        *("What to scan", "Logging in", "The page", "Waiting and the gate", "Reports", "Other"),
    ]


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_in_a_help_is_a_call_the_program_takes(
    name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "urls.txt").write_text("https://example.org/\n")
    words = shlex.split(re.split(r"\s{4,}", example)[0])[1:]
    command: click.Command = cli
    context = cli.make_context("sightline", [], resilient_parsing=True)
    while isinstance(command, click.Group) and words and words[0] in command.list_commands(context):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found

    assert command is not cli, f"{name}: no command in {example!r}"
    command.make_context(name, words)  # raises a UsageError for what it does not know
