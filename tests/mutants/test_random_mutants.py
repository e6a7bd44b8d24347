"""The random mutants themselves: one line each, valid, the same for one seed, and judged by tests that can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.mutants.line_change import LineChange
from tests.mutants.lua_changes import compiles, lua_changes
from tests.mutants.python_changes import is_valid_python, python_changes
from tests.mutants.random_mutants import ROOT, SURVIVED, copy_tree, run_tests
from tests.mutants.scope import ROOMS, all_changes, draw, files_to_run, room_of


def afters(text: str) -> set[str]:
    return {change.after.strip() for change in python_changes("a.py", text)}


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("x = a < b", "x = a <= b"),
        ("x = a is None", "x = a is not None"),
        ("x = a and b", "x = a or b"),
        ("x = not a", "x = a"),
        ("x = 3", "x = 4"),
        ("x = True", "x = False"),
        ("x = min(a, b)", "x = max(a, b)"),
        ("x = a + b", "x = a - b"),
        ("f(a)", "pass"),
        ("x = a if b else c", "x = a if not (b) else c"),
        ("x = 'ä' < b", "x = 'ä' <= b"),
    ],
)
def test_an_operator_changes_a_line_of_python(line: str, after: str):
    assert afters(line) == {after}


def test_an_awaited_call_and_a_returned_value_are_left_out():
    assert afters("async def f():\n    await g()\n    return a\n") == {"pass", "return None"}


@pytest.mark.parametrize(
    "text",
    [
        "log.info('a', n=1)",
        "def f():\n    'Return 1.'",
        "def f(a: Literal[1]) -> Literal[2]: ...",
        "raise ValueError(1)",
        "__all__ = [1]",
        "HOLD_S: Final = 30",
        "wait_ms = 5",
        "x = f(timeout_s=3)",
        "if TYPE_CHECKING:\n    import a",
    ],
)
def test_what_no_test_should_notice_is_left_alone(text: str):
    assert afters(text) == set()


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("if a == '1 < 2' then", "if a ~= '1 < 2' then"),
        ("local a = not b", "local a = b"),
        ("  redis.call('DEL', KEYS[1])", "  do end"),
        ("  return false", "  do end"),
        ("if a then return b end", "if a then end"),
        ("local a = b or c -- or 1", "local a = b and c -- or 1"),
        ("local a = 7", "local a = 8"),
    ],
)
def test_an_operator_changes_a_line_of_lua(line: str, after: str):
    assert after in {change.after for change in lua_changes("a.lua", line)}


def test_a_message_or_a_comment_of_lua_is_left_alone():
    assert lua_changes("a.lua", "-- 1 < 2\nreturn redis.error_reply('WRONG 1')") == []


def test_every_mutant_changes_one_line_and_the_python_of_it_is_valid():
    changes = all_changes(ROOT)

    assert {room_of(change).name for change in changes} == {room.name for room in ROOMS}
    for change in changes:
        text = (ROOT / change.path).read_text("utf-8")
        assert "\n" not in change.after
        assert change.before != change.after
        if change.path.endswith(".py"):
            assert is_valid_python(change.changed(text)), change


def test_a_seed_draws_the_same_mutants_again_and_redis_compiles_them(redis_url: str):
    with redis.Redis.from_url(redis_url) as client:
        first, again, other = (draw(ROOT, 40, seed, client) for seed in (7, 7, 8))

        assert first == again
        assert first != other
        assert len({(change.path, change.line) for change in first}) == 40
        scripts = [change for change in first if change.path.endswith(".lua")]
        assert scripts
        assert all(compiles(ROOT, change, client) for change in scripts)


@pytest.mark.parametrize("path", ["worker/limits/lua/enter_host.lua", "producer/redis/lua/_common.lua"])
def test_a_script_that_does_not_compile_is_no_mutant(redis_url: str, path: str):
    lines = (ROOT / path).read_text("utf-8").split("\n")
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("local "))
    with redis.Redis.from_url(redis_url) as client:
        assert compiles(ROOT, LineChange(path, line, lines[line - 1], lines[line - 1] + " "), client)
        assert not compiles(ROOT, LineChange(path, line, lines[line - 1], "if then"), client)


def test_files_that_mention_the_module_are_run_first(tmp_path: Path):
    for name, text in (("test_a.py", "nothing"), ("test_b.py", "import pool")):
        (tmp_path / name).write_text(text)

    assert files_to_run(tmp_path, (".",), "pool") == ["test_b.py", "test_a.py"]


def test_a_mutant_that_a_test_notices_is_caught_in_a_copy_and_undone(tmp_path: Path):
    path = "worker/queue/outcome.py"
    copy_tree(tmp_path)
    text = (tmp_path / path).read_text("utf-8")
    lines = text.split("\n")
    line = next(number for number, code in enumerate(lines, 1) if code.startswith("def "))
    change = LineChange(path, line, lines[line - 1], lines[line - 1].replace("def ", "def no_"))
    files = ["tests/unit/queue/test_outcome.py"]

    assert run_tests(tmp_path, files, 100) == SURVIVED
    change.write(tmp_path)
    assert run_tests(tmp_path, files, 100) != SURVIVED
    change.undo(tmp_path)
    assert (tmp_path / path).read_text("utf-8") == text
    assert (ROOT / path).read_text("utf-8") == text
