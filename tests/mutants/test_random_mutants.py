"""The random mutants themselves: one line each, valid, the same for one seed, and judged by tests that can fail."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.mutants import random_mutants
from tests.mutants.kept_reaches import keep, kept_reaches
from tests.mutants.line_change import LineChange
from tests.mutants.lua_changes import compiles, lua_changes
from tests.mutants.python_changes import is_valid_python, python_changes
from tests.mutants.random_mutants import (
    ROOT,
    SURVIVED,
    UNREACHED,
    SuiteBroken,
    all_reaches,
    chosen,
    copy_tree,
    first_caught,
    judge,
    passing,
    precompile,
    record,
)
from tests.mutants.reach import Reach, lines_of, select_tests
from tests.mutants.scope import ROOMS, Room, all_changes, draw, files_with_tests, room_of


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


def test_the_test_files_of_a_room_are_found_once(tmp_path: Path):
    for name in ("a/test_a.py", "a/b/test_b.py", "a/support.py", "test_c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rooms = [Room("one", (), ("a", "a/b", "missing")), Room("two", (), ("a/b/test_b.py",))]

    assert files_with_tests(tmp_path, rooms) == ["a/b/test_b.py", "a/test_a.py"]


@pytest.mark.parametrize(
    ("line", "lines"),
    [(1, []), (2, [2, 3]), (4, [4]), (5, [5]), (6, [6]), (9, []), (11, [11]), (12, [12, 13]), (14, [14])],
)
def test_a_mutant_is_reached_through_its_statement(line: int, lines: list[int]):
    text = """def f(a):
    if (a and
            b):
        return 1
    else: x = 2
    try: g()
    except E:
        pass
x = 3
def h(b):
    def i():
        return (1 +
                b)
    return i
"""

    assert list(lines_of(text, line)) == lines


def test_the_tests_that_reach_a_mutant_are_run_the_fastest_first():
    script = LineChange("worker/queue/lua/_start.lua", 1, "", "x")
    path = "worker/queue/outcome.py"
    text = (ROOT / path).read_text("utf-8")
    constant, use, in_a_class = (
        change_of(text, path, part, "", "")
        for part in ("BACKOFF_BASE_S: Final", "BACKOFF_BASE_S *", "attempt_returned: bool")
    )
    reaches = [
        Reach("slow", 2.0, is_failed=False, ran=frozenset({"lua:start"})),
        Reach("fast", 1.0, is_failed=False, ran=frozenset({"lua:start_read"})),
        Reach("other", 0.5, is_failed=False, ran=frozenset({"lua:bury"})),
        Reach("user", 3.0, is_failed=False, ran=frozenset({f"{path}:{use.line}"})),
    ]

    assert [reach.test for reach in select_tests(ROOT, script, reaches)] == ["fast", "slow"]
    assert [reach.test for reach in select_tests(ROOT, constant, reaches)] == ["user"]
    assert [reach.test for reach in select_tests(ROOT, in_a_class, reaches)] == ["other", "fast", "slow", "user"]


NOTICED = """
import subprocess, sys
from worker.queue import outcome

def test_here():
    assert outcome.backoff_s(1, random=lambda: 0.0) == 0.0

def test_in_a_program():
    code = "import producer, worker.queue.outcome as outcome; outcome.describe(ValueError())"
    subprocess.run([sys.executable, "-c", code], check=True, env={})
"""


@pytest.mark.timeout(400)  # three runs of pytest
def test_a_mutant_is_judged_by_the_tests_that_reach_it_here_or_in_a_program_they_start(tmp_path: Path):
    path = "worker/queue/outcome.py"
    copy_tree(tmp_path)
    precompile(tmp_path)
    (tmp_path / "tests/test_noticed.py").write_text(NOTICED, "utf-8")
    text = (tmp_path / path).read_text("utf-8")

    claims = "tests/redis/queue/test_starts.py::test_claim_takes_no_batch_entry_without_a_batch_slot"
    reaches = record(tmp_path, ["tests/test_noticed.py", claims])

    program = "tests/test_noticed.py::test_in_a_program"
    harmless = change_of(text, path, "return random() * min(BACKOFF_CAP_S, BACK", "random()", "1.0 * random()")
    elsewhere = change_of(text, path, "return ErrorInfo(type=type(error).__name__", "return", "return 1 / 0,")
    by_nobody = change_of(text, path, "return bool(getattr(error", "return", "return 1 / 0,")
    judged = [judge(tmp_path, change, reaches[:2]) for change in (harmless, elsewhere, by_nobody)]
    assert [one.caught_by for one in judged] == [SURVIVED, program, SURVIVED]
    assert [one.reached_by for one in judged] == [1, 1, 0]
    assert judged[2].verdict == UNREACHED
    script = LineChange("worker/queue/lua/claim.lua", 1, "", "")
    assert [reach.test for reach in select_tests(tmp_path, script, reaches)] == [claims]
    assert (tmp_path / path).read_text("utf-8") == text
    assert (ROOT / path).read_text("utf-8") == text


def test_tests_that_fail_without_a_mutant_judge_nothing(tmp_path: Path):
    copy_tree(tmp_path)
    (tmp_path / "tests/test_broken.py").write_text("def test_broken():\n    assert False\n", "utf-8")

    with pytest.raises(SuiteBroken, match="test_broken"):
        passing(record(tmp_path, ["tests/test_broken.py"]))


FLAKY = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range(200))
def test_passes(number): pass

def test_fails(): assert False

def test_passes_the_second_time():
    if not Path("seen").exists():
        Path("seen").touch()
        assert False
"""


def test_one_test_in_a_hundred_that_fails_without_a_mutant_is_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    copy_tree(tmp_path)
    (tmp_path / "tests/test_flaky.py").write_text(FLAKY, "utf-8")

    reaches = passing(record(tmp_path, ["tests/test_flaky.py"]))

    assert len(reaches) == 201
    assert "tests/test_flaky.py::test_passes_the_second_time" in {reach.test for reach in reaches}
    assert capfd.readouterr().out.endswith("left out, as it fails without a mutant: tests/test_flaky.py::test_fails\n")


def test_a_test_that_fails_once_catches_no_mutant(tmp_path: Path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_flaky.py").write_text(FLAKY, "utf-8")
    by_chance, never = (
        Reach(f"tests/test_flaky.py::{name}", 1.0, is_failed=False, ran=frozenset())
        for name in ("test_passes_the_second_time", "test_fails")
    )

    assert first_caught(tmp_path, [by_chance, never]) == never.test
    (tmp_path / "seen").unlink()
    assert first_caught(tmp_path, [by_chance]) == SURVIVED


def test_what_a_test_reaches_is_kept_until_its_file_or_what_tests_share_changes(tmp_path: Path):
    for name in ("worker/a.py", "worker/a.lua", "tests/conftest.py", "tests/test_a.py", "tests/test_b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1", "utf-8")
    files, record_file = ["tests/test_a.py", "tests/test_b.py"], tmp_path / ".cache" / "kept.gz"
    a, b = (Reach(f"{file}::test", 1.5, is_failed=False, ran=frozenset({"worker/a.py:1"})) for file in files)

    keep(record_file, tmp_path, files[:1], [a])
    keep(record_file, tmp_path, files[1:], [b])

    assert kept_reaches(record_file, tmp_path) == {files[0]: [a], files[1]: [b]}
    (tmp_path / "tests/test_a.py").write_text("2", "utf-8")
    assert kept_reaches(record_file, tmp_path) == {files[1]: [b]}
    for name in ("worker/a.py", "worker/a.lua", "tests/conftest.py"):
        (tmp_path / name).write_text("2", "utf-8")
        assert kept_reaches(record_file, tmp_path) == {}
        (tmp_path / name).write_text("1", "utf-8")
    assert kept_reaches(tmp_path / "missing", tmp_path) == {}


def test_a_killed_run_keeps_what_it_has_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(random_mutants, "KEPT", tmp_path / "kept.gz")
    monkeypatch.setattr(random_mutants, "FILES_AT_ONCE", 1)
    files = ["tests/test_a.py", "tests/test_b.py"]
    (tmp_path / "tests").mkdir()
    for file in files:
        (tmp_path / file).touch()
    a, b = (Reach(f"{file}::test", 1.5, is_failed=False, ran=frozenset()) for file in files)
    asked: list[list[str]] = []

    def killed(parts: list[list[str]]) -> Iterator[list[Reach]]:
        yield [a]
        raise KeyboardInterrupt(parts)

    def recorded(parts: list[list[str]]) -> Iterator[list[Reach]]:
        asked.extend(parts)
        yield [b]

    with pytest.raises(KeyboardInterrupt):
        all_reaches(tmp_path, files, killed)

    assert all_reaches(tmp_path, files, recorded) == [a, b]
    assert asked == [files[1:]]


def test_mutants_of_a_draw_are_named_by_seed_and_number():
    first, second = (LineChange("a.py", number, "", "") for number in (1, 2))

    assert chosen([first, second], 7, ()) == {"7-1": first, "7-2": second}
    assert chosen([first, second], 7, ["7-2"]) == {"7-2": second}
    with pytest.raises(ValueError, match=r"not drawn: 7-3; the ids are 7-1 to 7-2"):
        chosen([first, second], 7, ["7-3"])


def change_of(text: str, path: str, part: str, old: str, new: str) -> LineChange:
    """The line that has ``part``, with ``old`` replaced by ``new``."""
    number, line = next((number, line) for number, line in enumerate(text.split("\n"), 1) if part in line)
    return LineChange(path, number, line, line.replace(old, new, 1))
