"""Builds the documentation in ``site/``; exits with 1 for a dead link, a page missing in the menu, or an unknown name.

Pages are kept where they are read in the repository (``docs/``, ``ops/``, the root), linked by relative paths.
They are copied to ``.cache/docs/pages`` under the same paths, so that links hold on the site as well. Zensical runs in
``.cache/docs``, because it deletes the folder ``.cache`` beside its configuration when it cleans up.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WORK = ROOT / ".cache/docs"
PAGES = WORK / "pages"
MENU = re.compile(r"[\w./-]+\.md\b")
ANSI = re.compile(r"\x1b\[[\d;]*m")
ZENSICAL = Path(sys.executable).with_name("zensical")
PICTURE = re.compile(r"""(?:\]\(|src(?:set)?=")([\w./-]+\.(?:png|svg|webp))""")


def menu() -> list[str]:
    """Return the paths that the menu names, in its order."""
    return MENU.findall((HERE / "mkdocs.yml").read_text().partition("\nnav:\n")[2])


def wrong_in_menu() -> Iterator[str]:
    """Yield a line for each page of ``docs/`` missing in the menu, and for each menu entry without a page."""
    there = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    for name in sorted(there.difference(menu())):
        yield f"ops/docs/mkdocs.yml: nav does not have {name}: add it where its reader looks for it"
    for name in menu():
        if not (ROOT / name).is_file():
            yield f"ops/docs/mkdocs.yml: nav has {name}, which does not exist"


def decisions() -> list[Path]:
    """Return the pages of the decisions, by number."""
    return sorted((ROOT / "ops/decisions").glob("0*.md"))


def with_decisions(config: str) -> str:
    """Return the configuration with a submenu of all decisions in place of the one entry."""
    entry = "      - Decisions: ops/decisions/README.md\n"
    lines = ["      - Decisions:", "          - All decisions: ops/decisions/README.md"]
    for page in decisions():
        title = page.read_text().partition("\n")[0].removeprefix("# ")
        lines.append(f"          - {json.dumps(title, ensure_ascii=False)}: {page.relative_to(ROOT)}")
    before, found, after = config.partition(entry)
    if not found:
        raise SystemExit(f"ops/docs/mkdocs.yml: nav lacks the line {entry.strip()!r}")
    return before + "\n".join(lines) + "\n" + after


def pages() -> Iterator[Path]:
    """Yield the pages of the menu, and the decisions."""
    yield from (ROOT / name for name in menu())
    yield from decisions()


def pictures(page: Path) -> Iterator[Path]:
    """Yield the pictures that a page shows."""
    yield from ((page.parent / name).resolve() for name in PICTURE.findall(page.read_text()))


def copy(file: Path) -> None:
    """Copy a file of the repository to its path among the pages."""
    target = PAGES / file.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def main() -> int:
    """Copy the pages and build the site; return 0, or 1 if the menu or a link is wrong."""
    if wrong := list(wrong_in_menu()):
        print("\n".join(wrong), file=sys.stderr)
        return 1
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.rmtree(WORK / ".cache", ignore_errors=True)  # of pages: docs/api.md stays the same when a docstring changes
    copy(HERE / "site.css")
    (WORK / "mkdocs.yml").write_text(with_decisions((HERE / "mkdocs.yml").read_text()))
    for page in pages():
        copy(page)
        for picture in filter(Path.is_file, pictures(page)):  # a missing one is a dead link, which the build names
            copy(picture)
    done = subprocess.run([ZENSICAL, "build", "--strict"], cwd=WORK, capture_output=True, text=True, check=False)
    if done.returncode:
        print(ANSI.sub("", done.stdout + done.stderr).partition("Traceback")[0], file=sys.stderr)
        return 1
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    shutil.move(WORK / "site", ROOT / "site")
    print("docs: site/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
