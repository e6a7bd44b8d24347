"""The repository's files that may contain markup of scanned pages, as git lists them. Next: ``reports/sources.py``.

Without git, or outside a repository, there are none, and reports name only pages.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from producer.reports.sources import Sources

_SUFFIXES: Final = frozenset(
    (
        *(".html", ".htm", ".xhtml", ".svg", ".md", ".mdx", ".vue", ".svelte", ".astro", ".js", ".jsx", ".ts", ".tsx"),
        *(".php", ".erb", ".ejs", ".hbs", ".handlebars", ".mustache", ".njk", ".liquid", ".twig", ".j2", ".jinja"),
        *(".jinja2", ".cshtml", ".razor", ".jsp", ".heex", ".eex", ".tmpl", ".gohtml", ".ftl"),
    )
)
_MAX_FILES: Final = 5_000
_MAX_FILE_BYTES: Final = 500_000
_MAX_BYTES: Final = 30_000_000
"""Limit for all files together: about two seconds of reading and searching."""
_GIT_S: Final = 10


def read_sources(folder: Path) -> Sources | None:
    """Return the files with markup of the repository that ``folder`` is in, if it is in one."""
    root = _git(folder, "rev-parse", "--show-toplevel").strip("\n")
    if not root:
        return None
    listed = _git(Path(root), "ls-files", "-z").split("\0")
    # A report has no way to name a file whose name is not text.
    named = [name for name in listed if Path(name).suffix.lower() in _SUFFIXES and name.isprintable()]
    texts: dict[str, str] = {}
    left = _MAX_BYTES
    for name in named[:_MAX_FILES]:
        file = Path(root, name)
        with contextlib.suppress(OSError):
            size = file.stat().st_size
            if file.is_symlink() or size > min(_MAX_FILE_BYTES, left):
                continue
            texts[name] = file.read_text("utf-8", errors="replace")
            left -= size
    return Sources(texts)


def _git(folder: Path, *words: str) -> str:
    """Return git's output; '' if git is missing, fails or takes too long.

    In containers a checkout may belong to another user: git only lists its files and runs nothing in it.
    """
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_S, check=True)  # noqa: S603  git, by its path
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="surrogateescape")
