"""Makes a release: sets the version, dates the changelog, commits, tags and builds the wheel. Dry run without ``--do``.

Every check runs before the first change: the tree is clean, the version is not lower than the current one and has no
tag, the changelog says something under Unreleased. Images are built and pushed by hand, since no registry is set; their
tags are printed. Nothing is pushed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

FILES = (
    "pyproject.toml",
    "producer/contract/distribution.py",
    "docker-compose.yml",
    "ops/Dockerfile",
    "ops/k8s/kustomization.yaml",
    "ops/k8s/worker.yaml",
    "ops/k8s/web.yaml",
    "ops/k8s/backup.yaml",
    "docs/arq.md",
    "docs/cloud.md",
)
"""Files that contain the version; ``make check`` compares them with ``pyproject.toml``."""
VERSION = re.compile(r"\d+\.\d+\.\d+")
NAMED = re.compile(
    r'((?:^version = "|^VERSION: Final = "|image\.version="|newTag: |kubernetes\.io/version: |'
    r"sightline-(?:worker|producer):|sightline_scan-))([\w.]+)",
    re.MULTILINE,
)
"""The version where it is named: what leads to it, and itself."""
UNRELEASED = "## Unreleased\n"


class CannotRelease(Exception):
    """A check failed; nothing was changed."""


def git(root: Path, *words: str) -> str:
    """Return git's output; raises ``CannotRelease`` with its error."""
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRelease(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    """Return the parts of a version, for comparison."""
    return tuple(int(part) for part in version.split("."))


def current(root: Path) -> str:
    """Return the version in ``pyproject.toml``."""
    [found] = re.findall(r'^version = "([^"]+)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    return found


def notes(changelog: str) -> str:
    """Return the changelog's text under Unreleased."""
    _, found, rest = changelog.partition(UNRELEASED)
    if not found:
        raise CannotRelease("CHANGELOG.md: expected a section '## Unreleased'")
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].strip()


def dated(changelog: str, version: str, day: str) -> str:
    """Return the changelog with its unreleased changes under ``version``, and a new empty section."""
    return changelog.replace(UNRELEASED, f"{UNRELEASED}\n## {version} - {day}\n", 1)


def problems(root: Path, version: str) -> Iterator[str]:
    """Yield the problems that prevent a release of ``version``."""
    if not VERSION.fullmatch(version):
        yield f"VERSION is {version!r}: expected three numbers, such as 0.2.0"
        return
    if git(root, "status", "--porcelain"):
        yield "the work tree has changes: commit or stash them"
    if git(root, "tag", "--list", f"v{version}"):
        yield f"the tag v{version} exists: choose a higher version"
    if numbers(version) < numbers(current(root)):
        yield f"VERSION is {version}: expected {current(root)} or higher"
    changelog = (root / "CHANGELOG.md").read_text()
    if not notes(changelog):
        yield "CHANGELOG.md: nothing under Unreleased: say what users will notice"
    if re.search(rf"^## {re.escape(version)} - ", changelog, re.MULTILINE):
        yield f"CHANGELOG.md: {version} is there already"
    yield from (
        f"{name}: no version found: expected one" for name in FILES if not NAMED.search((root / name).read_text())
    )


def release(root: Path, version: str) -> None:
    """Set the version, date the changelog, commit and tag. ``git tag -d`` and ``git reset --hard HEAD~`` undo it."""
    for name in FILES:
        text = (root / name).read_text()
        (root / name).write_text(NAMED.sub(rf"\g<1>{version}", text))
    changelog = root / "CHANGELOG.md"
    changelog.write_text(dated(changelog.read_text(), version, f"{datetime.now(UTC):%Y-%m-%d}"))
    git(root, "commit", "--all", "--message", f"Release {version}")
    git(root, "tag", "--annotate", f"v{version}", "--message", f"Sightline {version}")


def plan(version: str) -> str:
    """Return the steps, and those that remain to be done by hand."""
    return f"""release: {version}
  set the version in {", ".join(FILES)}
  CHANGELOG.md: what is under Unreleased becomes {version}, with today's date
  commit 'Release {version}', tag v{version}
  build dist/sightline_scan-{version}-py3-none-any.whl
by hand afterwards:
  git push origin HEAD v{version}
  docker build -f ops/Dockerfile -t sightline-worker:{version} .
  docker build -f ops/Dockerfile --target producer -t sightline-producer:{version} ."""


def main(root: Path, words: list[str]) -> int:
    """Check, print the plan, and carry it out if ``--do`` is given."""
    parser = argparse.ArgumentParser(description="Makes a release.")
    parser.add_argument("version", help="three numbers, such as 0.2.0")
    parser.add_argument("--do", action="store_true", help="do it, instead of only saying what would be done")
    parser.add_argument("--no-wheel", action="store_true", help="build no wheel")
    options = parser.parse_args(words)
    try:
        found = list(problems(root, options.version))
        if not found:
            print(plan(options.version))
            if options.do:
                release(root, options.version)
    except CannotRelease as error:
        found = [str(error)]
    if found:
        print("release: " + "\n         ".join(found), file=sys.stderr)
        return 1
    if not options.do:
        print("nothing was changed: add DO=1 to do it")
    elif not options.no_wheel:
        return subprocess.call(["make", "--no-print-directory", "wheel"], cwd=root)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parents[1], sys.argv[1:]))
