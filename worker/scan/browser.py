"""Finds the browser to run, and installs one if permitted.

Order: the path in the settings, an installed headless shell (same engine, 1.5 times faster scans), an installed
Chromium or Chrome, Playwright's downloads. ``python -m worker.scan.browser`` prints the browser that would be used,
``--install`` installs Debian's ``chromium-headless-shell`` if possible. Next: ``chromium.py``, which runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from producer.errors import DependencyMissing

# Debian's wrapper in /usr/bin adds its own flags: start the program itself.
_INSTALLED: Final = (
    "/usr/lib/chromium/chromium-headless-shell",
    "/usr/lib/chromium/chromium",
    "/usr/lib/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_ON_PATH: Final = ("chrome-headless-shell", "chromium-headless-shell", "chromium", "google-chrome", "chrome")
_PLAYWRIGHT: Final = (
    "chromium_headless_shell-*/*/*headless?shell",
    "chromium_headless_shell-*/*/headless_shell",
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)
_PACKAGE: Final = "chromium-headless-shell"
_HOW_TO: Final = (
    "on Debian run 'apt-get install --no-install-recommends chromium-headless-shell' as root; on a Mac install Google "
    "Chrome; elsewhere run 'playwright install chromium-headless-shell', or set BROWSER_PATH to a browser"
)


def find_browser(wanted: str | None = None) -> Path:
    """Return the browser's path; raises ``DependencyMissing``, which says what to install."""
    if wanted:
        if _is_program(Path(wanted)):
            return Path(wanted).absolute()  # a name without a folder would be searched on PATH
        msg = f"there is no browser at {wanted!r}: {_HOW_TO}"
        raise DependencyMissing(msg)
    found = next((path for path in _candidates() if _is_program(path)), None)
    if found is None:
        msg = f"no Chromium found: {_HOW_TO}"
        raise DependencyMissing(msg)
    return found


def install_browser() -> Path:
    """Return the browser found, or the one installed from Debian's archive as root.

    Raises ``DependencyMissing`` with an alternative if that is not possible.
    """
    try:
        return find_browser()
    except DependencyMissing as missing:
        apt = shutil.which("apt-get")
        if apt is None or os.geteuid() != 0:
            raise
        _run_apt(apt, "update", missing)
        _run_apt(apt, "install", missing)
    return find_browser()


def _run_apt(apt: str, step: str, missing: DependencyMissing) -> None:
    options = ["-q"] if step == "update" else ["-y", "-q", "--no-install-recommends"]
    packages = [] if step == "update" else [_PACKAGE]
    run = subprocess.run(  # noqa: S603  fixed arguments, no shell
        ["/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", apt, step, *options, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        lines = (run.stderr or run.stdout).strip().splitlines() or ["no output"]
        msg = f"{missing}; 'apt-get {step}' was tried and failed: {lines[-1]}"
        raise DependencyMissing(msg)


def _candidates() -> Iterator[Path]:
    yield from map(Path, _INSTALLED)
    yield from (Path(found) for name in _ON_PATH if (found := shutil.which(name)))
    for folder in _playwright_folders():
        for pattern in _PLAYWRIGHT:
            yield from sorted(folder.glob(pattern), reverse=True)


def _playwright_folders() -> Iterable[Path]:
    home = Path.home()
    return (home / ".cache/ms-playwright", home / "Library/Caches/ms-playwright")


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def main(arguments: list[str]) -> int:
    """Print the browser's path in one line, after installing it with ``--install``; return the exit code."""
    try:
        path = install_browser() if "--install" in arguments else find_browser()
    except DependencyMissing as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"browser: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
