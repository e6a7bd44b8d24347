"""The files of the project as git knows them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from tests.support.missing import not_tested

ROOT = Path(__file__).parents[2]


@cache
def tracked() -> tuple[str, ...]:
    """Return the paths that git tracks and that exist; skips the test outside of a work tree, fails it if CI is set."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    names = tuple(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file())
    return names or not_tested("no git work tree: nothing says which files are the project's")
