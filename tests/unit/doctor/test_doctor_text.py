from __future__ import annotations

from typing import Final

import pytest

from worker.cli import doctor
from worker.cli.doctor import summary
from worker.doctor.line import Line, error, ok, warning

LONG: Final = warning("lifetimes", "so many words " * 12, "type this and that: " + "redis-cli EXPIRE KEY 604800 " * 4)


def lines_of(line: Line) -> list[str]:
    return list(doctor._text(line))  # pyright: ignore[reportPrivateUsage]  # shown to a person


def test_for_a_person_long_lines_are_folded_under_themselves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")

    first, *rest = lines_of(LONG)

    assert first.startswith("\x1b[33mwarning \x1b[0mlifetimes          so many words")
    assert len(rest) >= 4
    assert all(line.startswith(" " * 27) and len(line) <= 80 for line in rest)
    assert " ".join(" ".join([first, *rest]).split()).count("words") == 12


def test_for_a_program_each_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "is_terminal", lambda: False)

    assert len(lines_of(LONG)) == 2
    assert lines_of(ok("redis", "it answers")) == ["ok      redis              it answers"]


def test_the_last_line_counts_what_is_wrong():
    assert summary([ok("a", "b")]) == "no problems"
    assert summary([ok("a", "b"), error("a", "b", "c"), warning("a", "b", "c"), LONG]) == "1 error, 2 warnings"
