"""The line of each key: every way of writing one that TOML has."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from producer.config.lines import Path, lines_of
from producer.config.toml_text import key_text, value_text

TEXT = '''# a comment = 1
start = "npm run [x]" # = "not a key"

[scan]
viewport = """
390x844 = "no key"
\\""" [no]
"""
"quoted key".inner = { a = 1, 'b.c' = [2, { d = '#' }] }
plain = \'\'\'
[nor = this]\'\'\'\'

[[site]]
url = "http://one/"
pages = [
    "/",  # [0]

    "/cart",
]
[site.replace]
"http://a" = "http://b"
[[site]]
url = 'http://two/'
[gate.max]
rules.color-contrast = 5
'''


def test_each_key_and_each_entry_of_a_list_has_its_line() -> None:
    lines = lines_of(TEXT)

    assert {path: line for path, line in lines.items() if len(path) == 1} == {
        ("start",): 2, ("scan",): 4, ("site",): 13
    }  # fmt: skip
    expected = {
        ("scan", "viewport"): 5,
        ("scan", "quoted key", "inner", "b.c", 1, "d"): 9,
        ("scan", "plain"): 10,
        ("site", 0): 13,
        ("site", 0, "url"): 14,
        ("site", 0, "pages", 0): 16,
        ("site", 0, "pages", 1): 18,
        ("site", 0, "replace", "http://a"): 21,
        ("site", 1): 22,
        ("site", 1, "url"): 23,
        ("gate", "max"): 24,
        ("gate", "max", "rules", "color-contrast"): 25,
    }
    assert {path: lines.get(path) for path in expected} == expected


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, str(key)))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths_of(inner, (*path, number))


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_every_key_of_any_valid_file_has_a_line(table: dict[str, Any]) -> None:
    text = "".join(f"{key_text(key)} = {value_text(value)}\n" for key, value in table.items())

    assert tomllib.loads(text) == table
    assert set(lines_of(text)) == set(paths_of(table))
