"""The other scanners of the rows about scans: pa11y-ci (axe runner), @axe-core/cli, and axe-core by Playwright.

They come from npm, pinned, into ``.cache/bench/node``. @axe-core/cli drives Debian's Chromium by chromium-driver, the
others Sightline's browser. Each scans its addresses two at a time and returns the seconds; a page that it did not scan
ends the measurement. Rules: tags wcag2a, wcag2aa, wcag21a, wcag21aa, as in pa11y's WCAG2AA for axe-core.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from worker.scan.browser import find_browser

HERE: Final = Path(__file__).resolve().parent
NODE: Final = HERE.parents[1] / ".cache" / "bench" / "node"
PACKAGES: Final = {
    "pa11y-ci": "4.1.1",
    "@axe-core/cli": "4.13.0",
    "playwright-core": "1.65.1",
    "@axe-core/playwright": "4.14.0",
}
TAGS: Final = "wcag2a,wcag2aa,wcag21a,wcag21aa"
LIMIT_S: Final = 180
"""Timeout of one page."""


def install_peers() -> None:
    """Install the pinned peers unless they exist and, as root, Debian's driver for @axe-core/cli's browser.

    The peers' own browser downloads are skipped.
    """
    if shutil.which("chromedriver") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-qy", "--no-install-recommends", "chromium-driver"], check=True)
    if all(_installed(name) == version for name, version in PACKAGES.items()):
        return
    NODE.mkdir(parents=True, exist_ok=True)
    pinned = [f"{name}@{version}" for name, version in PACKAGES.items()]
    subprocess.run(["npm", "install", "--ignore-scripts", "--silent", *pinned], cwd=NODE, check=True)


def _installed(name: str) -> str:
    about = NODE / "node_modules" / name / "package.json"
    return str(json.loads(about.read_text())["version"]) if about.exists() else ""


def peers_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a peer whose browsers leave their profiles in ``folder``, not in /tmp."""
    return {**os.environ, "TMPDIR": str(folder)}


def scan_pa11y(urls: list[str], folder: Path) -> float:
    """Return the seconds pa11y-ci takes."""
    chrome = {"executablePath": str(find_browser(None)), "args": ["--no-sandbox"]}
    defaults = {"concurrency": 2, "runners": ["axe"], "standard": "WCAG2AA", "chromeLaunchConfig": chrome}
    defaults["timeout"] = LIMIT_S * 1000
    config = NODE / "pa11yci.json"
    config.write_text(json.dumps({"defaults": {**defaults, "useIncognitoBrowserContext": False}, "urls": urls}))
    began = time.perf_counter()
    command = [str(NODE / "node_modules/.bin/pa11y-ci"), "--config", str(config), "--json"]
    report = NODE / "pa11y.json"  # a file: node cuts what it writes to a pipe when it exits
    with report.open("wb") as out:
        subprocess.run(
            command, cwd=NODE, env=peers_environment(folder), stdout=out, stderr=subprocess.DEVNULL, check=False
        )
    took_s = time.perf_counter() - began
    pages = json.loads(report.read_text())["results"].values()
    failed = [row for rows in pages for row in rows if "code" not in row]
    if len(pages) != len(urls) or failed:
        sys.exit(f"pa11y-ci scanned {len(pages)} of {len(urls)} pages, {len(failed)} of them failed: {failed[:1]}")
    return took_s


def scan_axe_cli(urls: list[str], folder: Path) -> float:
    """Return the seconds two processes of @axe-core/cli take, half of the pages each."""
    driver, chrome = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chrome is None:
        sys.exit("@axe-core/cli needs chromedriver and chromium: apt-get install chromium-driver")
    options = ["--tags", TAGS, "--chromedriver-path", driver, "--chrome-path", chrome]
    options += ["--timeout", str(LIMIT_S)]
    chrome_options = ["--chrome-options", "no-sandbox,headless=new,disable-gpu"]
    began = time.perf_counter()
    halves = [
        subprocess.Popen(
            [str(NODE / "node_modules/.bin/axe"), *half, *options, *chrome_options],
            cwd=NODE,
            env=peers_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for half in (urls[::2], urls[1::2])
    ]
    said = [half.communicate()[0] for half in halves]
    took_s = time.perf_counter() - began
    scanned = sum(len(re.findall(r"please wait", text)) for text in said)
    if scanned != len(urls):
        sys.exit(f"@axe-core/cli scanned {scanned} of {len(urls)} pages: {said[0][-500:]}")
    return took_s


def scan_playwright(urls: list[str], folder: Path) -> float:
    """Return the seconds ``programs/axe_playwright.mjs`` takes."""
    pages = folder / "urls.txt"
    pages.write_text("\n".join(urls))
    began = time.perf_counter()
    command = ["node", str(HERE / "programs" / "axe_playwright.mjs"), str(find_browser(None)), TAGS, str(pages)]
    ended = subprocess.run(
        command, cwd=NODE, env=peers_environment(folder), capture_output=True, text=True, check=False
    )
    took_s = time.perf_counter() - began
    if ended.returncode or int(ended.stdout) != len(urls):
        sys.exit(f"axe by Playwright scanned {ended.stdout.strip() or 0} of {len(urls)} pages: {ended.stderr[-500:]}")
    return took_s


PEERS: Final[dict[str, Callable[[list[str], Path], float]]] = {
    "pa11y-ci": scan_pa11y,
    "@axe-core/cli": scan_axe_cli,
    "axe by Playwright": scan_playwright,
}
