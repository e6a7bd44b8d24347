"""Captures the program's terminal output while it scans the sample shop: ``python ops/captures/make.py``.

Real Redis, real workers, real pages; each command runs in a pseudo-terminal of 80 or 120 columns, whose output is
stored as text and as SVG. Nothing is drawn by hand: to change a picture, change the program.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "ops/captures"
DOCS: Final = ROOT / "docs/captures"
HEIGHTS: Final = {80: 24, 120: 40}
"""Height of the live board's screen, by width."""
WIDTHS: Final = (80, 120)
ROUNDS: Final = 4
"""How often the shop's pages are listed, each time under other addresses: enough work to watch."""
TABLED: Final = ("/index.html", "/journal.html", "/kettle.html", "/story.html")
LIMIT_S: Final = 300.0
"""Longest run of one command. In quiet the 44 pages take half a minute, beside ten busy processes five."""
AT_WORK: Final = re.compile(rb"Scanning: [1-9]")
_FRAME: Final = re.compile(r"\r\x1b\[2K|\x1b\[1A\x1b\[2K")
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

sys.path.insert(0, str(ROOT))
from ops.demo.shop import SITE, served, workers  # noqa: E402  after the path is set
from worker.own_redis.server import EmbeddedRedis  # noqa: E402  after the path is set


def main() -> int:
    """Take all pictures; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder, served() as url, EmbeddedRedis(Path(folder)) as server:
        settings = {"REDIS_URL": server.url, "CHAT_MODEL": "builtin", "EMBEDDING_MODEL": "builtin", "TRY_FIXES": "0"}
        environment = {
            **os.environ,
            **settings,
            "SCAN_ALLOW_PRIVATE": "1",
            "HOST_PLACES": "10",
            "TERM": "xterm-256color",
        }
        with workers(2, environment):
            for width in WIDTHS:
                pages = [f"{url}{page.name}" for page in sorted(SITE.glob("*.html"))]
                listed = Path(folder) / "urls.txt"
                listed.write_text("\n".join(f"{page}?{n}" for n in range(ROUNDS) for page in pages))
                photograph(width, environment, listed, pages)
    return 0


def photograph(width: int, environment: dict[str, str], listed: Path, pages: list[str]) -> None:
    """Take the pictures of one width: the bar and the board during a batch, then the table of the pages."""
    boards: list[str] = []

    def look() -> None:
        time.sleep(4)  # waits until the workers are busy; the exact time does not matter
        boards.append(shown(["top"], width, environment, height=HEIGHTS[width], screens=3))

    scan = ["scan", "--file", str(listed), "--batch", f"nightly-{width}", "--fail-on", "never", "-o", os.devnull]
    drawn = shown([*scan, "--format", "jsonl"], width, environment, on_work=look)
    if not boards:
        sys.exit(f"sightline top did not end within {LIMIT_S:.0f} s: try again when the machine is less busy")
    frames = [frame for frame in _FRAME.split(drawn) if AT_WORK.search(frame.encode())]
    keep(f"progress-{width}", width, frames[len(frames) * 2 // 3])
    keep(f"top-{width}x{HEIGHTS[width]}", width, last_screen(boards[0]), folder=DOCS)
    few = [page for page in pages if page.endswith(TABLED)]
    table = shown(["scan", *few, "--wait", "--fail-on", "serious"], width, environment)
    keep(f"table-{width}", width, _FRAME.split(table)[-1])  # what stands there once the bar has gone


def shown(
    arguments: list[str],
    width: int,
    environment: dict[str, str],
    *,
    height: int = 40,
    screens: int = 0,
    on_work: Callable[[], None] | None = None,
) -> str:
    """Return a command's complete output to a terminal of this size; ``on_work`` is called once it has begun.

    Sends ``q`` after ``screens`` screens, unless that is 0. Exits with a message if the command takes longer than
    ``LIMIT_S``.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    command = [sys.executable, "-m", "producer.cli.main", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, looking = b"", None
    ends = time.monotonic() + LIMIT_S
    while piece := _read(ours, ends - time.monotonic()):
        seen += piece
        if screens and seen.count(b"\x1b[H") > screens:
            os.write(ours, b"q")
        if on_work is not None and AT_WORK.search(seen):
            looking = threading.Thread(target=on_work)
            looking.start()
            on_work = None
    os.close(ours)
    if time.monotonic() > ends:
        process.kill()
        sys.exit(
            f"sightline {arguments[0]} did not end within {LIMIT_S:.0f} s: try again when the machine is less busy"
        )
    process.wait()
    if looking is not None:
        looking.join()
    return seen.decode()


def last_screen(drawn: str) -> str:
    """Return the last frame that a program drew on the alternate screen; each frame begins in its corner."""
    return drawn.partition("\x1b[?1049l")[0].rpartition("\x1b[H")[2]


def keep(name: str, width: int, drawn: str, *, folder: Path = OUT) -> None:
    """Write a picture as text and as SVG."""
    folder.mkdir(exist_ok=True)
    text = Text.from_ansi("\n".join(line.rstrip() for line in drawn.replace("\r", "").rstrip().split("\n")))
    (folder / f"{name}.txt").write_text("\n".join(line.rstrip() for line in text.plain.splitlines()) + "\n")
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(text, soft_wrap=True)
        console.print()  # or the tails of the last line's letters are cut off
        svg = _FONTS.sub("", console.export_svg(title=f"sightline, {width} columns", unique_id=name))
    (folder / f"{name}.svg").write_text(svg)
    print(f"wrote {folder.relative_to(ROOT)}/{name}.txt and .svg")


def _read(descriptor: int, left_s: float) -> bytes:
    """Return the next output; empty once the other end is closed, or after ``left_s``."""
    try:
        if not select.select([descriptor], [], [], max(0.0, left_s))[0]:
            return b""
        return os.read(descriptor, 65_536)
    except OSError:  # how Linux says that the other end is closed
        return b""


if __name__ == "__main__":
    sys.exit(main())
