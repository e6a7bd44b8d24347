"""Every file, name and decision that a docstring, comment or page of documentation refers to exists.

The changelog is not read: it names what a release removed. Names are looked for in code spans only (single backticks in
Markdown, double ones in docstrings and comments); files, decisions and sections anywhere. ``dict.get`` is a check of
the builtin's attribute, ``Client.wait`` of our class's, ``wait()`` of any function.
"""

from __future__ import annotations

import builtins
import re
from fnmatch import filter as matching
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePath
from typing import NamedTuple

import pytest

from tests.support.tracked import tracked

ROOT = Path(__file__).parents[2]
HERE = "tests/unit/test_references.py"
NOT_OURS = ("worker/scan/vendor/", "ops/schemas/", "CHANGELOG.md", HERE)
PROSE_OF = {".lua": "--", ".js": "//", ".mjs": "//", ".sh": "#", ".toml": "#", ".yml": "#", ".conf": "#", ".ini": "#"}

# Files that a user's project has, not this one, and patterns of names.
OTHER_FILES = frozenset(
    {"sightline.toml", "ci/sightline.toml", "lighthouserc.yml", "reports/report.md", "producer.py", "report.md"}
    | {"test_cli.py", "test_utils.py"}  # arq's own tests
    | {"X_program.py", "_name.lua", "advice.de.toml", "Node.js"}
)
# Names that other programs define and no line of our code uses.
OTHER_NAMES = frozenset(
    {"ExceptionDetails", "xdist_group", "aprune", "lzf_d", "FD", "storageState", "NAME_FILE", "job_tasks"}  # interfaces
    | {"malloc_info", "mallinfo2", "malloc_trim", "appendonlydir", "XSETID", "ALIASUPDATE", "PROFILE", "LOADING"}
    | {
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "MALLOC_ARENA_MAX",
        "OLLAMA_NUM_PARALLEL",
        "OLLAMA_MAX_LOADED_MODELS",
        "OLLAMA_CONTEXT_LENGTH",
        "OLLAMA_TOKEN",
        "PYDANTIC_DISABLE_PLUGINS",
        "RANDOM",
    }
    | {"FP16_InnerProductSIMD32_AVX512", "searchBottomLayer", "float16", "SecondsTimedelta", "_exit", "is_global"}
    | {"RETURN_TIME_AS_PERIOD", "STRICT_PARSING", "dateparser", "pytz", "tzdata", "tzlocal", "uvx", "sightlines", "LW"}
    | {
        "SHOP_PASSWORD_FILE",
        "xyzzy",
        "x7Gh2",
        "Class",
        "field",
        "Claimer",
    }  # examples; the class that decision 0018 removed
)

_WORD = re.compile(r"[A-Za-z_]\w*")
_HASH = re.compile(r"[0-9a-f]{8}")
_FILE = re.compile(r"(?<![\w/.:*<{$~-])\w[\w./*-]*\.(?:py|lua|md|toml|js|mjs|sh|yml|jinja|css|conf|patch)\b(?!\.\w)")
_FOLDER = re.compile(r"(?<![\w/.-])(?:producer|worker|tests|ops|docs)/[\w./-]*\w(?![\w*])")
_SPAN = re.compile(r"`([\w.]+(?:\(\))?)`")
_DECISION = re.compile(r"(?:[Dd]ecisions?|,|and)(?: |/)(00\d\d)\b")
_LINK = re.compile(r"\w\]\((?!https?:)([^)#\s]+)")
_OUTSIDE = re.compile(r"\b(?:DESIGN|FACTS|HOUSE)(?:\.md| §)")


# House style makes these enough: a docstring's quotes begin a line, a class ends at the next unindented line.
_TRIPLE_QUOTED = re.compile(r'^ *r?"""(.*?)"""|""".*?"""', re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=\s))# (.*)$", re.MULTILINE)
_CLASS = re.compile(r"^class (\w+)(?:\[.*?\])?(\([^)]*\))?:(.*(?:\n(?: .*)?$)*)", re.MULTILINE)
_MEMBER = re.compile(r"^ +(?:(?:async )?def |class )(\w+)|(?:^ +|\bself\.)(\w+)", re.MULTILINE)


class Prose(NamedTuple):
    """A docstring, a comment or a line of Markdown, and where it stands."""

    path: str
    line: int
    text: str


def listed() -> tuple[str, ...]:
    """Return the files of the project: those that git has or would add."""
    return tracked(or_new=True)


@cache
def paths() -> frozenset[str]:
    """Return all files and folders, each also by every shorter end of its path."""
    whole = {part for path in listed() for part in (path, *(str(above) for above in PurePath(path).parents))}
    return frozenset("/".join(path.split("/")[start:]) for path in whole for start in range(path.count("/") + 1))


class Project(NamedTuple):
    """All prose, and what code defines or uses."""

    prose: list[Prose]
    words: set[str]
    members: dict[str, set[str]]
    derived: set[str]


@cache
def project() -> Project:
    """Read every text file of the project once."""
    found = Project([], set(), {}, set())
    for path in listed():
        if not path.startswith(NOT_OURS):
            try:
                text = (ROOT / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            _add(found, path, text)
    return found


def _add(found: Project, path: str, text: str) -> None:
    mark = PROSE_OF.get(PurePath(path).suffix)
    if path.endswith(".py"):
        _add_python(found, path, text)
    elif path.endswith(".md"):
        found.prose.extend(Prose(path, number, line) for number, line in enumerate(text.split("\n"), 1))
    else:
        for number, line in enumerate(text.split("\n"), 1):
            code, _, comment = line.partition(mark) if mark else (line, "", "")
            found.words.update(_WORD.findall(code))
            found.prose.extend([Prose(path, number, comment)] if comment else [])


def _add_python(found: Project, path: str, text: str) -> None:
    def note(prose: re.Match[str]) -> str:
        if prose[1] is None:
            return prose[0]
        found.prose.append(Prose(path, text.count("\n", 0, prose.start(1)) + 1, prose[1]))
        return ""

    code = _COMMENT.sub(note, _TRIPLE_QUOTED.sub(note, text))
    found.words.update(_WORD.findall(code))
    for name, bases, body in _CLASS.findall(code):
        found.members.setdefault(name, set()).update(member for pair in _MEMBER.findall(body) for member in pair)
        found.derived.update({name} if bases else ())


def is_file(name: str) -> bool:
    """Whether a file of the project has this path, or ends in it, or the pattern has one; or it is a user's."""
    name = name.removeprefix("./")
    return name in paths() or name in OTHER_FILES or ("*" in name and bool(matching(paths(), name)))


@cache
def beginnings() -> frozenset[str]:
    """Return paths up to the first dot or hyphen of their name: a sentence may leave the rest out."""
    return frozenset(re.split(r"[.-]", path, maxsplit=1)[0] for path in paths())


def is_name(span: str) -> bool:
    """Whether code knows each part of a dotted name; a class of ours has the member, a call is of a function."""
    names = project()
    parts = span.removesuffix("()").split(".")
    for owner, member in pairwise(parts):
        if owner in names.members and owner not in names.derived and member not in names.members[owner]:
            return False
    known = (names.words, OTHER_NAMES, paths(), vars(builtins))
    plain = [part.removeprefix("sightline_") for part in parts if _WORD.fullmatch(part)]  # metrics have the prefix
    return all(any(part in where for where in known) for part in plain)


def missing(prose: Prose) -> list[str]:
    """Return what the prose names and nobody defines."""
    text = prose.text
    found = [name for name in _FILE.findall(text) if not is_file(name)]
    found += [name for name in _FOLDER.findall(text) if not is_file(name) and name not in beginnings()]
    found += [f"decision {number}" for number in _DECISION.findall(text) if number not in beginnings()]
    found += [f"{name}: not in the repository" for name in _OUTSIDE.findall(text)]
    if prose.path.endswith(".md"):
        here = (ROOT / prose.path).parent
        found += [f"link {name}" for name in _LINK.findall(text) if not (here / name).exists()]
    found += [name for name in _SPAN.findall(text) if not (is_file(name) or is_name(name) or _HASH.fullmatch(name))]
    return list(dict.fromkeys(found))


def test_every_reference_leads_somewhere():
    stale = [f"{prose.path}:{prose.line}: {name}" for prose in project().prose for name in missing(prose)]

    assert not stale, "nothing in the project has these names:\n" + "\n".join(stale)


def test_every_number_of_a_decision_has_a_page_or_is_listed_as_unused():
    folder = ROOT / "ops/decisions"
    listed_numbers = re.findall(
        r"^\| (?:\[(\d{4})\]\(\1-|(\d{4}) \| \W \|)", (folder / "README.md").read_text(), re.MULTILINE
    )
    pages = [path.name[:4] for path in sorted(folder.glob("0*.md"))]

    assert [number for number, _ in listed_numbers if number] == pages
    assert [int(number or unused) for number, unused in listed_numbers] == list(range(1, len(listed_numbers) + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("``worker/queue/gone.py`` claims", ["worker/queue/gone.py"]),
        ("as ``claims.py`` does", ["claims.py"]),
        ("see ``Client.wait_for_ever``", ["Client.wait_for_ever"]),
        ("see ``GoneClass``", ["GoneClass"]),
        ("as ``producer/gone`` has it", ["producer/gone"]),
        ("decision 0099 says why", ["decision 0099"]),
        ("``producer/client/client.py`` has ``Client.submit``; decision 0001; ``dict``", []),
    ],
)
def test_a_stale_reference_is_found(text: str, expected: list[str]):
    assert missing(Prose("worker/module.py", 1, text)) == expected
