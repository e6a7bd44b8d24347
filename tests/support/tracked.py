"""The files of the project as git knows them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from tests.support.missing import not_tested

ROOT = Path(__file__).parents[2]


@cache
def tracked(*, or_new: bool = False) -> tuple[str, ...]:
    """Return the paths that git tracks and that exist; with ``or_new`` also those that it would add.

    Skips the test outside of a work tree, fails it if CI is set.
    """
    new = ["--cached", "--others", "--exclude-standard"] if or_new else []
    command = ["git", "-C", str(ROOT), "ls-files", "-z", *new]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = tuple(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file())
    return names or not_tested("no git work tree: nothing says which files are the project's")
