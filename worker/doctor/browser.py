"""The browser as a worker starts it: its sandbox, and which scripts it has no glyphs for."""

from __future__ import annotations

from producer.errors import DependencyMissing
from worker.doctor.line import Line, error, ok, warning
from worker.scan.browser import find_browser
from worker.scan.cdp import BrowserGone
from worker.scan.chromium import Chromium
from worker.scan.fonts import read_fonts
from worker.scan.sandbox import ON, SandboxMode
from worker.scan.settings import Fonts, ScanSettings

SUBJECT = "fonts"


async def started_browser_lines(browser_path: str, *, sandbox: SandboxMode = "auto") -> list[Line]:
    """Start the browser and return its lines; none without a browser, which another check reports."""
    try:
        program = find_browser(browser_path or None)
    except DependencyMissing:
        return []
    try:
        browser = await Chromium.launch(program, ScanSettings(sandbox=sandbox))
    except DependencyMissing as missing:
        text, _, todo = str(missing).partition(": ")
        return [error("sandbox", text, todo)]
    except (BrowserGone, OSError) as failure:
        return [error("browser", str(failure), "fix the cause, or set another browser in BROWSER_PATH")]
    try:
        return [sandbox_line(browser.sandbox), fonts_line(await read_fonts(browser))]
    finally:
        await browser.close()


def sandbox_line(sandbox: str) -> Line:
    """Return the line about the browser's sandbox. Pure."""
    if sandbox == ON:
        return ok("sandbox", "the browser runs in a sandbox")
    todo = (
        "run the worker as a user other than root where user namespaces are permitted; SCAN_SANDBOX=require enforces it"
    )
    return warning(
        "sandbox", f"{sandbox}: a page that breaks out of the browser has the rights of the worker's user", todo
    )


def fonts_line(fonts: Fonts) -> Line:
    """Return the line about the browser's fonts. Pure."""
    if not fonts.fingerprint:
        return warning(SUBJECT, "the browser did not report its fonts", "try again when the machine is idle")
    if fonts.missing:
        names = ", ".join(fonts.missing)
        text = f"no glyphs for {names}: such text is drawn as boxes of the wrong size (fonts {fonts.fingerprint})"
        return warning(
            SUBJECT, text, "if you scan such pages: on Debian, apt-get install fonts-noto-core fonts-noto-cjk"
        )
    return ok(SUBJECT, f"glyphs for all scripts tried (fonts {fonts.fingerprint})")
